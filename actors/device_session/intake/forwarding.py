"""How what a session publishes becomes records: by rule, topic and partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from actors.device_session.intake.conditions import Doubt
from actors.device_session.targets import TopicTarget
from actors.records import Record, TopicPartition

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.connection.reading import Reading
    from actors.device_session.intake.incoming import OpenMessage
    from actors.device_session.intake.paths import Path, Route
    from actors.device_session.registry.state import SessionState
    from actors.device_session.registry.statuses import DeviceStatus
    from actors.directory.thing_model import Checker
    from actors.rules.forward import Forward
    from actors.wire.mqtt.packets import Publish

T = TypeVar("T")

_TOPIC_SHOWN: Final = 200


class Forwarder:
    """Makes the records of one session's messages, and notes what cannot be forwarded."""

    __slots__ = ("_broker", "_state", "_status")

    def __init__(self, broker: Broker, state: SessionState, status: DeviceStatus | None) -> None:
        self._broker = broker
        self._state = state
        self._status = status

    def forward(self, topic: str, path: Path, publishes: Sequence[Publish], now: int, reading: Reading) -> None:
        """Put the records of these messages, all of one topic, into the batches of the reading."""
        if reading.special is not None and reading.special.open:
            for publish in publishes:
                self._forward_one(topic, path, publish, now, reading)
            return
        payloads = [publish[1] for publish in publishes]
        for route in path.routes:
            good = payloads if route.forward.check is None else self._readable(topic, route.forward.check, payloads)
            if route.topic is None:
                self._drop(topic, route.forward, len(good))
                continue
            records = route.forward.records(good, now)
            if route.place is not None:
                self._add(reading, route, route.place, records, publishes)
                continue
            for number, some in _by_partition(route.topic, records, spread=route.forward.spread).items():
                self._add(reading, route, TopicPartition(route.topic.name, number), some, publishes)

    def checked(
        self, topic: str, check: Checker, publishes: list[Publish], reading: Reading, bad: int
    ) -> list[Publish]:
        """The reports that keep their product's thing model; the others are noted, and answered with `bad` if not 0."""
        reasons = [check(publish[1]) for publish in publishes]
        if not any(reasons):
            return publishes
        if bad:
            reading.refuse([one for one, reason in zip(publishes, reasons, strict=True) if reason is not None], bad)
        return self._without(topic, publishes, reasons)

    def warn(self, event: str, topic: str, **facts: object) -> None:
        """Say in the log what became of messages."""
        self._broker.log.warning(event, client=str(self._state.identity), topic=topic[:_TOPIC_SHOWN], **facts)

    def _forward_one(self, topic: str, path: Path, publish: Publish, now: int, reading: Reading) -> None:
        """As `forward`, for one message that may have been stored in part before."""
        message = reading.message_of(publish)
        for route in path.routes:
            if route.forward.check is not None and not self._readable(topic, route.forward.check, [publish.payload]):
                continue
            if route.topic is None:
                self._drop(topic, route.forward, 1)
                continue
            record = route.forward.record(publish.payload, now)
            place = route.place or TopicPartition(route.topic.name, route.topic.partition_for(record.key))
            if message is None:
                self._add(reading, route, place, [record], (publish,))
            elif not _found(message, route, place.partition, reading):
                self._add(reading, route, place, [self._marked(record, publish)], (publish,), message=message)

    def _marked(self, record: Record, publish: Publish) -> Record:
        """A record that names its QoS 2 message, where that is to be known after a restart of the daemon."""
        incoming = self._state.incoming
        if incoming is None or not self._state.is_persistent:
            return record
        return record._replace(headers=(*record.headers, incoming.header(publish.packet_id)))

    def _add(
        self,
        reading: Reading,
        route: Route,
        place: TopicPartition,
        records: list[Record],
        publishes: Sequence[Publish],
        *,
        message: OpenMessage | None = None,
    ) -> None:
        """Put records into the batch of their partition; one that its topic does not take is rejected, not the read."""
        size = 0
        for key, value, _, _ in records:
            size += len(value or b"") + len(key or b"")
        if size > route.most:
            records, size = self._fitting(records, route.most, publishes[0].topic)
        if not records:
            return
        count = len(records)
        batch = reading.add(route, place, records, size)
        batch.publishes.append(publishes)
        if route.forward.condition is not None:
            end = len(batch.records)
            batch.doubts.append(Doubt(end - count, end, route.forward))
        if message is not None:
            batch.open = [*(batch.open or ()), message]

    def _fitting(self, records: list[Record], most: int, topic: str) -> tuple[list[Record], int]:
        sizes = [len(record.key or b"") + len(record.value or b"") for record in records]
        reasons = [f"a record of {size} bytes; its topic takes at most {most}" for size in sizes if size > most]
        if reasons:
            self._reject(topic, reasons)
        fitting = [record for record, size in zip(records, sizes, strict=True) if size <= most]
        return fitting, sum(size for size in sizes if size <= most)

    def _readable(self, topic: str, check: Checker, payloads: list[bytes]) -> list[bytes]:
        """The payloads that this target can take (an envelope takes only JSON)."""
        reasons = [check(payload) for payload in payloads]
        return payloads if not any(reasons) else self._without(topic, payloads, reasons)

    def _without(self, topic: str, items: list[T], reasons: list[str | None]) -> list[T]:
        """Those items for which there is no reason against them; the reasons are noted."""
        self._reject(topic, [reason for reason in reasons if reason is not None])
        return [item for item, reason in zip(items, reasons, strict=True) if reason is None]

    def _drop(self, topic: str, forward: Forward, count: int) -> None:
        self._broker.counters.dropped_no_topic += count
        facts = {"rule": forward.rule, "target": forward.topic, "count": count}
        self.warn("Reports dropped: the rule's topic does not exist or takes no records", topic, **facts)

    def _reject(self, topic: str, reasons: Sequence[str]) -> None:
        self._broker.counters.rejected_payloads += len(reasons)
        if self._status is not None:
            for reason in reasons:
                self._status.reject(topic[:_TOPIC_SHOWN], reason)
        self.warn("Reports rejected", topic, count=len(reasons), reason=reasons[0])


def _found(message: OpenMessage, route: Route, number: int, reading: Reading) -> bool:
    """Whether this target has a message, or is about to: then its answer is waited for, and nothing is appended."""
    assert route.topic is not None  # noqa: S101 - the caller asked
    # Where each batch goes elsewhere, it may be in any partition.
    numbers = range(len(route.topic.partitions)) if route.forward.spread else (number,)
    names = {route.topic.name} if route.home is None else {route.topic.name, route.home.name}
    for name in names:
        for one in numbers:
            reply = message.append_of(TopicPartition(name, one))
            if reply is not None:
                reading.replies.append(reply)
                return True
    return False


def _by_partition(topic: TopicTarget, records: list[Record], *, spread: bool) -> dict[int, list[Record]]:
    if spread and records and all(record.key is records[0].key for record in records):
        return {topic.partition_for(records[0].key): records}
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(topic.partition_for(record.key), []).append(record)
    return found
