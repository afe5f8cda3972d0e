"""A client of a daemon that sends what it is told to, byte by byte, and waits for each answer by its kind."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Self, TypeVar

from actors.wire.mqtt.answers import (
    Acknowledgement,
    Answer,
    AnswerReader,
    Connack,
    Pingresp,
    ServerDisconnect,
    Suback,
    Unsuback,
)
from actors.wire.mqtt.client import write
from actors.wire.mqtt.packets import (
    MQTT_5,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties

Kind = TypeVar("Kind", bound=tuple)
_PATIENCE = 10.0


class Peer:
    """One connection at one level, as a client that does nothing by itself.

    `heard` are the messages that came and were not asked for yet; what else comes waits in `others`.
    """

    def __init__(self, address: tuple[str, int], level: int = MQTT_5) -> None:
        self.level = level
        self.heard: list[Publish] = []
        self.others: list[Answer] = []
        self.connection = socket.create_connection(address, timeout=_PATIENCE)
        self._answers = AnswerReader(level)
        self._ended = False
        self._next_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    # --- sends ------------------------------------------------------------------------------------------------------

    def send(self, *packets: Packet | bytes) -> None:
        """Send packets as they are."""
        raw = (packet if isinstance(packet, bytes) else write(packet, self.level) for packet in packets)
        self.connection.sendall(b"".join(raw))

    def connect(self, client_id: str, *, clean: bool = True, **fields: object) -> Connack:
        """Log in; what the server answers."""
        more = {"keep_alive": 60, "session_expiry": 0} | fields
        self.send(Connect(self.level, client_id, clean_start=clean, **more))
        return self.expect(Connack)

    def subscribe(self, *filters: str | Subscription, qos: int = 2, identifier: int | None = None) -> tuple[int, ...]:
        """Subscribe; the reason for each filter."""
        wanted = tuple(Subscription(one, qos) if isinstance(one, str) else one for one in filters)
        packet_id = self.packet_id()
        self.send(Subscribe(packet_id, wanted, identifier))
        answer = self.expect(Suback)
        assert answer.packet_id == packet_id
        return answer.reasons

    def unsubscribe(self, *filters: str) -> tuple[int, ...]:
        """Unsubscribe; the reason for each filter (none below MQTT 5)."""
        packet_id = self.packet_id()
        self.send(Unsubscribe(packet_id, filters))
        answer = self.expect(Unsuback)
        assert answer.packet_id == packet_id
        return answer.reasons

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> int:
        """Publish, and go through the whole hand-shake; the reason code of its answer."""
        packet_id = self.packet_id() if qos else 0
        self.send(Publish(topic, payload, qos, packet_id, retain, dup=False, properties=properties))
        if not qos:
            return 0
        reason = self.expect_acknowledgement("PUBACK" if qos == 1 else "PUBREC", packet_id)
        if qos == 2 and reason < 0x80:
            self.send(Pubrel(packet_id))
            self.expect_acknowledgement("PUBCOMP", packet_id)
        return reason

    def acknowledge(self, message: Publish) -> None:
        """Take a message over."""
        if message.qos == 1:
            self.send(Puback(message.packet_id))
        elif message.qos == 2:
            self.send(Pubrec(message.packet_id))
            self.expect_acknowledgement("PUBREL", message.packet_id)
            self.send(Pubcomp(message.packet_id))

    def disconnect(self, reason: int = 0, session_expiry: int | None = None) -> None:
        """Say good-bye, and wait until the server has closed."""
        self.send(Disconnect(reason, session_expiry))
        self.wait_closed()

    def packet_id(self) -> int:
        """The next packet id of this client's own."""
        self._next_id += 1
        return self._next_id

    # --- receives ---------------------------------------------------------------------------------------------------

    def hear(self, count: int = 1, timeout: float = _PATIENCE) -> list[Publish]:
        """So many messages, each taken over."""
        messages = []
        for _ in range(count):
            messages.append(self.next_message(timeout))
            self.acknowledge(messages[-1])
        return messages

    def next_message(self, timeout: float = _PATIENCE) -> Publish:
        """The next message; it is not acknowledged."""
        deadline = time.monotonic() + timeout
        while not self.heard:
            assert self._read(deadline), f"no message, but {self.others}"
        return self.heard.pop(0)

    def silence(self) -> None:
        """Nothing more comes: the answer to a PINGREQ overtakes no message that has begun."""
        self.ping()
        assert self.heard == []

    def ping(self) -> None:
        """Wait until the server has answered PINGREQ."""
        self.send(Pingreq())
        self.expect(Pingresp)

    def expect_acknowledgement(self, kind: str, packet_id: int) -> int:
        """The reason of this acknowledgement."""
        answer = self.expect(Acknowledgement)
        assert (answer.kind, answer.packet_id) == (kind, packet_id)
        return answer.reason

    def expect(self, kind: type[Kind], timeout: float = _PATIENCE) -> Kind:
        """The next packet that is no PUBLISH; it must be of this kind."""
        deadline = time.monotonic() + timeout
        while not self.others:
            assert self._read(deadline), f"no {kind.__name__}"
        answer = self.others.pop(0)
        assert isinstance(answer, kind), answer
        return answer

    def told_goodbye(self) -> int:
        """The reason of the DISCONNECT with which the server ends the connection."""
        reason = self.expect(ServerDisconnect).reason
        self.wait_closed()
        return reason

    def wait_closed(self, timeout: float = _PATIENCE) -> None:
        """Wait until the server has closed the connection."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(ConnectionResetError):
            while not self._ended:
                assert self._read(deadline) or self._ended, "still open"

    def _read(self, deadline: float) -> bool:
        """Take what comes next; whether anything came before the deadline."""
        self.connection.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.connection.recv(65536)
        except TimeoutError:
            return False
        self._ended = not data
        for answer in self._answers.feed(data):
            (self.heard if isinstance(answer, Publish) else self.others).append(answer)
        return bool(data)
