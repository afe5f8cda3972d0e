"""What one session publishes: from the PUBLISH packets of one read to the appends and deliveries they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.outbox import OVERHEAD, Delivery
from actors.device_session.statuses import DeviceStatus, milliseconds
from actors.device_session.subscriptions import Subscriber
from actors.device_session.targets import PartitionTarget, TopicTarget
from actors.directory.identities import Identity
from actors.directory.thing_model import Checker
from actors.records import Record
from actors.rules.plan import Plan, compile_plan, records_for
from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import Publish

if TYPE_CHECKING:
    from actors.device_session.broker import Broker

# A device publishes to one topic, an app to some more; past this the paths are found anew.
_PATHS: Final = 64
_TOPIC_SHOWN: Final = 200


class PartitionBatch:
    """Records for one partition, in the order in which they were published; `size` in bytes."""

    __slots__ = ("partition", "records", "size")

    def __init__(self, partition: PartitionTarget) -> None:
        self.partition = partition
        self.records: list[Record] = []
        self.size = 0


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
    """The topic of a forward; `partition` is known once where all its records have the same key."""

    topic: TopicTarget | None
    partition: int | None


class _Path:
    """All that is known of one MQTT topic for one client."""

    __slots__ = ("plan", "routes", "subscribers", "subscribers_version")

    def __init__(self, plan: Plan, routes: tuple[_Route, ...]) -> None:
        self.plan = plan
        self.routes = routes
        self.subscribers: tuple[tuple[Subscriber, int], ...] = ()
        self.subscribers_version = -1


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
            topic, _, qos, packet_id, retain, _ = publish
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
        if path.subscribers_version != broker.subscriptions.version:
            path.subscribers_version = broker.subscriptions.version
            path.subscribers = broker.subscriptions.match(topic)
        if path.subscribers:
            _fan_out(topic, publishes, path.subscribers)
        if not path.routes:
            broker.counters.dropped_no_rule += len(publishes)
        elif publishes:
            self._forward(topic, path, [publish[1] for publish in publishes], now, batches)

    def _checked(self, topic: str, check: Checker, publishes: list[Publish]) -> list[Publish]:
        """The reports that keep their product's thing model; the others are noted with their reasons."""
        reasons = [check(publish[1]) for publish in publishes]
        if not any(reasons):
            return publishes
        self._reject(topic, [reason for reason in reasons if reason is not None])
        return [publish for publish, reason in zip(publishes, reasons, strict=True) if reason is None]

    def _forward(self, topic: str, path: _Path, payloads: list[bytes], now: int, batches: Batches) -> None:
        for route, made in zip(path.routes, records_for(path.plan, payloads, now), strict=True):
            if made.refused:
                self._reject(topic, made.refused)
            if route.topic is None:
                self._broker.counters.dropped_no_topic += len(made.records)
                self._warn(
                    "Reports dropped: the rule's topic does not exist or takes no records",
                    topic,
                    rule=made.forward.rule,
                    target=made.forward.topic,
                    count=len(made.records),
                )
                continue
            name = made.forward.topic
            for number, records in self._partitioned(route.topic, route.partition, made.records):
                batch = batches.get((name, number))
                if batch is None:
                    batch = batches[name, number] = PartitionBatch(route.topic.partitions[number])
                self._add(batch, records, topic, route.topic.max_message_bytes)

    def _partitioned(
        self, target: TopicTarget, fixed: int | None, records: list[Record]
    ) -> Sequence[tuple[int, list[Record]]]:
        if fixed is not None:
            return ((fixed, records),)
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            by_partition.setdefault(target.partition_for(record.key), []).append(record)
        return tuple(by_partition.items())

    def _add(self, batch: PartitionBatch, records: list[Record], topic: str, most: int) -> None:
        """Put records into a batch; one that is larger than its topic takes is rejected, not the whole read."""
        sizes = [len(record[0] or b"") + len(record[1] or b"") for record in records]
        if max(sizes, default=0) > most:
            reasons = [f"a record of {size} bytes; its topic takes at most {most}" for size in sizes if size > most]
            self._reject(topic, reasons)
            records = [record for record, size in zip(records, sizes, strict=True) if size <= most]
            sizes = [size for size in sizes if size <= most]
        batch.records += records
        batch.size += sum(sizes)

    def _find(self, topic: str) -> _Path:
        broker = self._broker
        plan = compile_plan(self._identity, topic, broker.directory)
        routes = []
        for forward in plan.forwards:
            target = broker.topics.get(forward.topic)
            known = target is not None and forward.extract_key is None and forward.key is not None
            routes.append(_Route(target, target.partition_for(forward.key) if target is not None and known else None))
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


def _not_allowed(qos: int) -> str:
    if qos > 1:
        return "PUBLISH with QoS 2 is not supported yet: use QoS 0 or 1"
    return "PUBLISH with the retain flag is not supported yet: publish without it"


def _fan_out(topic: str, publishes: list[Publish], subscribers: tuple[tuple[Subscriber, int], ...]) -> None:
    """Offer to each subscriber at the lower of both QoS; never waits."""
    for publish in publishes:
        payload = publish[1]
        delivery = Delivery(topic, payload, encode.publish(topic, payload))
        for subscriber, granted in subscribers:
            subscriber.deliver(delivery, min(publish[2], granted))
