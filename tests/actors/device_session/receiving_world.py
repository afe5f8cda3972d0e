"""Sessions that receive, without connections: what they are delivered is read by the codec of a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from actors.device_session.broker import Broker
from actors.device_session.delivery.fan_out import FanOut
from actors.device_session.delivery.granted import Answer
from actors.device_session.delivery.message import Message
from actors.device_session.delivery.receiving import Receiver
from actors.device_session.registry.sessions import Account, ClientKey
from actors.device_session.registry.state import Link, SessionState
from actors.device_session.registry.statuses import milliseconds
from actors.directory.identities import AppIdentity, Identity
from actors.runtime.log_limiter import LogLimiter
from actors.wire.mqtt.dialect import dialect_of
from actors.wire.mqtt.packets import MQTT_3_1_1, MQTT_5, Subscribe, Subscription
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties
from actors.wire.mqtt.reasons import Reason
from tests.actors.device_session.conftest import OUT, make_broker
from tests.actors.device_session.disk import Disk

APP = AppIdentity("city")


class Got(NamedTuple):
    """A packet that a client got; `kind` is the packet type's number."""

    kind: int
    packet_id: int
    payload: bytes = b""
    qos: int = 0
    dup: bool = False
    retain: bool = False
    topic: str = ""
    rest: bytes = b""


def cut(data: bytes, level: int) -> list[Got]:
    """The packets of a stream, read by hand (properties are kept as they lie)."""
    got: list[Got] = []
    place = 0
    while place < len(data):
        first, place = data[place], place + 1
        length = shift = 0
        while True:
            byte, place = data[place], place + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        body, place = data[place : place + length], place + length
        assert len(body) == length
        got.append(_packet(first, body, level))
    return got


def _packet(first: int, body: bytes, level: int) -> Got:
    kind = first >> 4
    if kind != 3:
        return Got(kind, int.from_bytes(body[:2], "big"), rest=body[2:])
    size = int.from_bytes(body[:2], "big")
    topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
    qos = first >> 1 & 3
    packet_id = int.from_bytes(rest[:2], "big") if qos else 0
    rest = rest[2:] if qos else rest
    properties = b""
    if level == MQTT_5:
        properties, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    return Got(3, packet_id, rest, qos, bool(first & 8), bool(first & 1), topic, properties)


@dataclass
class Subscriber:
    """One session with its receiving side, and what its connection was told."""

    broker: Broker
    name: str = "app"
    expiry: int = 0
    level: int = MQTT_3_1_1
    identity: Identity = APP
    wakes: int = 0
    closed: list[Reason] = field(default_factory=list)

    def __post_init__(self) -> None:
        key = ClientKey(Account("app", "city"), self.name)
        self.state = SessionState(key, self.identity, self.level, self.expiry, incarnation=self.name)
        self.receiver = Receiver(self.broker, self.state)

    def connect(self, **limits: int) -> Subscriber:
        """A new connection."""

        def wake() -> None:
            self.wakes += 1

        def close(reason: Reason, _text: str) -> None:
            self.closed.append(reason)

        self.receiver.attach(Link(dialect_of(self.level), wake, close, **limits))
        return self

    def restarted(self, broker: Broker) -> Subscriber:
        """The same session as it is after the daemon was started again on the same disk."""
        disk = self.broker.journal
        assert isinstance(disk, Disk)
        other = Subscriber(broker, self.name, self.expiry, self.level, self.identity)
        saved = [one for (session, _), one in disk.subscriptions.items() if session == self.name]
        other.receiver.restore(saved, disk.saved(self.name))
        return other

    def subscribe(self, *filters: str, qos: int = 2, identifier: int | None = None, **options: object) -> Answer:
        subscriptions = tuple(Subscription(name, qos, **options) for name in filters)
        answer = self.receiver.subscribe(Subscribe(1, subscriptions, identifier))
        if answer.changes:
            self.broker.journal.write(answer.changes, None)
        return answer

    def got(self) -> list[Got]:
        """All that leaves now."""
        packets: list[Got] = []
        woken = -1
        while woken != self.wakes:
            woken = self.wakes
            while pieces := self.receiver.collect():
                packets += cut(b"".join(pieces), self.level)
        return packets

    def payloads(self) -> list[bytes]:
        """The payloads of what leaves now."""
        return [one.payload for one in self.got()]

    def acknowledge(self, packets: Sequence[Got]) -> None:
        """Everything that QoS 1 and 2 ask for, to the end."""
        for one in packets:
            if one.qos == 1:
                self.receiver.acknowledged(one.packet_id)
            elif one.qos == 2:
                if self.receiver.received(one.packet_id):
                    self.receiver.completed(one.packet_id)
            elif one.kind == 6:
                self.receiver.completed(one.packet_id)


def world(disk: Disk | None = None, **settings: object) -> Broker:
    """A broker whose journal is a disk."""
    return replace(make_broker(**settings), journal=disk or Disk(), log=Quiet())


class Quiet(LogLimiter):
    """A log that needs no clock."""

    def _has_room(self) -> bool:
        return False


def message(payload: bytes | str, qos: int = 1, topic: str = OUT, **options: object) -> Message:
    properties = options.pop("properties", NO_PROPERTIES)
    assert isinstance(properties, Properties)
    payload = payload.encode() if isinstance(payload, str) else payload
    return Message(topic, payload, qos, milliseconds(), properties=properties, **options)


def publish(broker: Broker, *messages: Message, promise: Callable[[], None] = lambda: None) -> FanOut:
    """As a publisher's read does it; `promise` is called once the disk has answered, where it is asked at all."""
    fan_out = FanOut()
    for one in messages:
        fan_out.give([one], broker.subscriptions.match(one.topic))
    fan_out.write(broker.journal, promise)
    return fan_out


def publish_all(broker: Broker, payloads: str, qos: int = 1) -> FanOut:
    """One message for each letter."""
    return publish(broker, *(message(payload, qos) for payload in payloads))
