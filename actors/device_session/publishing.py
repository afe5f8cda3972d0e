"""What one session publishes: from the PUBLISH packets of one read to the appends and deliveries they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from actors.device_session.audience import Audience
from actors.device_session.fan_out import FanOut
from actors.device_session.message import OVERHEAD, Message
from actors.device_session.statuses import DeviceStatus, milliseconds
from actors.device_session.targets import PartitionTarget, TopicLookup, TopicTarget
from actors.directory.identities import Identity
from actors.directory.thing_model import Checker
from actors.records import Record
from actors.rules.forward import Forward
from actors.rules.plan import Plan, compile_plan
from actors.topic_partition.gate import ORIGIN_HEADER, Gate
from actors.wire.mqtt.packets import Publish

if TYPE_CHECKING:
    from actors.device_session.broker import Broker

T = TypeVar("T")

# A device publishes to one topic, an app to some more; past this the paths are found anew.
_PATHS: Final = 64
_TOPIC_SHOWN: Final = 200


class PartitionBatch:
    """Records for one partition, in the order in which they were published; `size` in bytes."""

    __slots__ = ("partition", "records", "size")

    def __init__(self, partition: PartitionTarget, records: list[Record], size: int) -> None:
        self.partition = partition
        self.records = records
        self.size = size


Batches = dict[tuple[str, int], PartitionBatch]
"""By topic and partition number."""


class Intake(NamedTuple):
    """What one read became: ids to acknowledge once everything in `batches` is stored.

    `size` is what it weighs until then, in bytes. `violation` is why the connection must be closed after it, if so.
    """

    packet_ids: list[int]
    batches: Sequence[PartitionBatch]
    size: int
    violation: str | None


class _Route(NamedTuple):
    """A forward with the topic that takes its records now; `partition` is known where they all have the same key.

    `most` is the largest record that may be sent. `diverted` is the gate that leads them elsewhere, where one does.
    """

    forward: Forward
    topic: TopicTarget | None
    partition: int | None
    most: int
    diverted: Gate | None


class _Path:
    """All that is known of one MQTT topic for one client."""

    __slots__ = ("audience", "plan", "routes")

    def __init__(self, plan: Plan, routes: tuple[_Route, ...]) -> None:
        self.plan = plan
        self.routes = routes
        self.audience: Audience | None = None


class Publisher:
    """The publishing side of one session; keeps what it found out for each topic until something changes."""

    __slots__ = ("_broker", "_directory_version", "_identity", "_paths", "_status", "_topics_version")

    def __init__(self, broker: Broker, identity: Identity, status: DeviceStatus | None) -> None:
        self._broker = broker
        self._identity = identity
        self._status = status
        self._paths: dict[str, _Path] = {}
        self._directory_version = -1
        self._topics_version = -1

    def take(self, publishes: Sequence[Publish]) -> Intake:
        """Decide what becomes of the PUBLISH packets of one read, deliver them to subscribers, count what is dropped.

        Stops at the first packet that this server does not allow.
        """
        packet_ids: list[int] = []
        by_topic: dict[str, list[Publish]] = {}
        violation = None
        for publish in publishes:
            topic, _, qos, packet_id, retain, _, _ = publish
            if qos > 1 or retain:
                violation = _not_allowed(qos)
                break
            if qos:
                packet_ids.append(packet_id)
            group = by_topic.get(topic)
            if group is None:
                by_topic[topic] = [publish]
            else:
                group.append(publish)
        batches: Batches = {}
        self._forget_stale()
        for topic, group in by_topic.items():
            self._take_topic(topic, group, batches)
        size = OVERHEAD * len(publishes)
        for batch in batches.values():
            size += batch.size
        return Intake(packet_ids, list(batches.values()), size, violation)

    def _take_topic(self, topic: str, publishes: list[Publish], batches: Batches) -> None:
        broker, count = self._broker, len(publishes)
        path = self._paths.get(topic) or self._find(topic)
        broker.counters.published += count
        if not path.plan.allowed:
            broker.counters.dropped_no_right += count
            self._warn("Reports dropped: no right to publish there", topic, count=count)
            return
        now = milliseconds()
        if self._status is not None:
            self._status.last_report = now
            self._status.reports += count
        if path.plan.check is not None:
            publishes = self._checked(topic, path.plan.check, publishes)
        audience = path.audience
        if audience is None or not broker.subscriptions.is_current(audience):
            audience = path.audience = broker.subscriptions.match(topic)
        if audience:
            messages = [Message(topic, publish[1], publish[2], now) for publish in publishes]
            FanOut().give(messages, audience)
        if not path.routes:
            broker.counters.dropped_no_rule += len(publishes)
        elif publishes:
            self._forward(topic, path, [publish[1] for publish in publishes], now, batches)

    def _checked(self, topic: str, check: Checker, publishes: list[Publish]) -> list[Publish]:
        """The reports that keep their product's thing model; the others are noted with their reasons."""
        reasons = [check(publish[1]) for publish in publishes]
        return publishes if not any(reasons) else self._without(topic, publishes, reasons)

    def _forward(self, topic: str, path: _Path, payloads: list[bytes], now: int, batches: Batches) -> None:
        for route in path.routes:
            good = payloads if route.forward.check is None else self._readable(topic, route.forward.check, payloads)
            if route.topic is None:
                self._drop(topic, route.forward, len(good))
                continue
            records = route.forward.records(good, now)
            if route.partition is not None:
                self._add(batches, route, route.partition, records, topic)
                continue
            for number, some in _by_partition(route.topic, records, spread=route.forward.spread).items():
                self._add(batches, route, number, some, topic)

    def _add(self, batches: Batches, route: _Route, number: int, records: list[Record], topic: str) -> None:
        """Put records into the batch of their partition; one that its topic does not take is rejected, not the read."""
        target = route.topic
        assert target is not None  # noqa: S101 - the caller asked
        size = 0
        for key, value, _, _ in records:
            size += len(value or b"") + len(key or b"")
        if size > route.most:
            records, size = self._fitting(records, route.most, topic)
        if not records:
            return
        if route.diverted is not None:
            route.diverted.diverted += len(records)
        batch = batches.get((target.name, number))
        if batch is None:
            batches[target.name, number] = PartitionBatch(target.partitions[number], records, size)
        else:
            batch.records += records  # the batch's own list: `records` of a forward are always made anew
            batch.size += size

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
        self._warn("Reports dropped: the rule's topic does not exist or takes no records", topic, **facts)

    def _find(self, topic: str) -> _Path:
        broker = self._broker
        plan = compile_plan(self._identity, topic, broker.directory)
        routes = [_route(broker.topics, forward) for forward in plan.forwards]
        if len(self._paths) >= _PATHS:
            self._paths.clear()
        path = self._paths[topic] = _Path(plan, tuple(routes))
        return path

    def _forget_stale(self) -> None:
        directory, topics = self._broker.directory.version, self._broker.topics.version
        if directory != self._directory_version or topics != self._topics_version:
            self._paths.clear()
            self._directory_version, self._topics_version = directory, topics

    def _reject(self, topic: str, reasons: Sequence[str]) -> None:
        self._broker.counters.rejected_payloads += len(reasons)
        if self._status is not None:
            for reason in reasons:
                self._status.reject(topic[:_TOPIC_SHOWN], reason)
        self._warn("Reports rejected", topic, count=len(reasons), reason=reasons[0])

    def _warn(self, event: str, topic: str, **facts: object) -> None:
        self._broker.log.warning(event, client=str(self._identity), topic=topic[:_TOPIC_SHOWN], **facts)


def _route(topics: TopicLookup, forward: Forward) -> _Route:
    home, target = topics.get(forward.topic), topics.route(forward.topic)
    if home is None or target is None:
        return _Route(forward, None, None, 0, None)
    number = target.partition_for(forward.key) if forward.fixed else None
    if target is home:
        return _Route(forward, target, number, target.max_message_bytes, None)
    # They are to come home again, so both must take them.
    most = min(home.max_message_bytes, target.max_message_bytes)
    return _Route(forward.with_headers((ORIGIN_HEADER, home.name.encode())), target, number, most, home.gate)


def _by_partition(topic: TopicTarget, records: list[Record], *, spread: bool) -> dict[int, list[Record]]:
    if spread and records and all(record.key is records[0].key for record in records):
        return {topic.partition_for(records[0].key): records}
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(topic.partition_for(record.key), []).append(record)
    return found


def _not_allowed(qos: int) -> str:
    if qos > 1:
        return "PUBLISH with QoS 2 is not supported yet: use QoS 0 or 1"
    return "PUBLISH with the retain flag is not supported yet: publish without it"
