"""What people do with consumer groups: look at them, set them to another position, forget them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, assert_never

import structlog

from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import GroupStatistics
from actors.errors import OffsetOutOfRangeError, PenstockError
from actors.ports import AuditEntry, AuditTrail, ConnectionLookup
from actors.records import TopicPartition
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import Topics
from config.moments import format_moment
from config.resources import Task
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.errors import NotFoundError
from daemon.stages.groups import GroupStage

log = structlog.get_logger()


class Since(NamedTuple):
    """The first record that is not older than this, in milliseconds since the epoch."""

    timestamp: int


Target = Literal["earliest", "latest"] | int | Since
"""Where to: all that is kept of the topic, what comes from now on, an offset, or a moment."""

# Setting a position in a sink may wait for the transaction that moves it now.
_HOLD_SECONDS = 120.0


class Moved(NamedTuple):
    """A partition whose position was set; `before` is None where there was none."""

    partition: int
    before: int | None
    after: int


@dataclass(frozen=True, slots=True)
class GroupControl:
    """The groups as the control plane sees them (see `daemon.control.groups.GroupEngine`)."""

    stage: GroupStage
    topics: Topics
    catalog: Catalog
    connections: ConnectionLookup
    audit: AuditTrail

    def groups(self) -> Sequence[GroupStatistics]:
        """Every group as it stands, by name."""
        return self.stage.statistics()

    def group(self, name: str) -> GroupStatistics:
        """One group as it stands; NotFoundError where there is none."""
        return self.stage.require(name).statistics()

    async def delete_group(self, name: str) -> None:
        """Forget a group of HTTP consumers (see `GroupStage.delete`)."""
        await self.stage.delete(name)

    async def reset_group(
        self, name: str, to: Target, *, partition: int | None = None, force: bool = False
    ) -> Sequence[Moved]:
        """Have a group read on from somewhere else, in one partition or all: all of it is done, or nothing.

        For a task its sink has the truth: it is set there, under a new epoch, and then here.

        Raises:
            NotFoundError: there is no such group, topic or partition.
            OffsetOutOfRangeError: a partition does not have the offset.
            GroupBusyError: the group has members, and it is not forced.
            ConnectorError: the sink did not do it.
        """
        group = self.stage.require(name)
        before = {one.partition: one.committed for one in group.statistics().partitions}
        offsets = {
            number: await _offset(reference, to) for number, reference in self._partitions(group, partition).items()
        }
        await group.hold(force=force, seconds=_HOLD_SECONDS)
        done: Mapping[int, int] = {}
        try:
            if group.kind == "task":
                await self._set_in_sink(group, offsets)
            done = offsets
        finally:
            stored = group.release(done)
        await stored.wait()
        moved = [Moved(number, before.get(number), offset) for number, offset in offsets.items()]
        log.warning("group reset", group=name, topic=group.topic, to=_word(to), forced=force, moved=_worded(moved))
        await self._record(name, to, moved, force=force)
        return moved

    async def _record(self, name: str, to: Target, moved: Sequence[Moved], *, force: bool) -> None:
        await self.audit.record(
            AuditEntry(
                at=round(time.time() * 1000),
                by="operator",
                subject=f"group {name}",
                action="reset by force" if force else "reset",
                before=_places((one.partition, one.before) for one in moved),
                after=_places((one.partition, one.after) for one in moved),
                reason=f"to {_word(to)}",
            )
        )

    def _partitions(self, group: GroupReference, partition: int | None) -> dict[int, PartitionReference]:
        topic = self.topics.get(group.topic)
        if topic is None:
            raise NotFoundError(f"group {group.name} reads topic {group.topic}, which is not there")
        if partition is None:
            return dict(enumerate(topic.partitions))
        if not 0 <= partition < len(topic.partitions):
            raise NotFoundError(f"topic {topic.name} has partitions 0 to {len(topic.partitions) - 1}, not {partition}")
        return {partition: topic.partitions[partition]}

    async def _set_in_sink(self, group: GroupReference, offsets: Mapping[int, int]) -> None:
        stored = self.catalog.get(Identity("task", group.name))
        if stored is None or not isinstance(stored.resource, Task):
            raise NotFoundError(f"there is no task {group.name}")
        connection = stored.resource.target.connection
        sink = self.connections.get(connection)
        if sink is None:
            raise PenstockError(f"there is no connection {connection}, or it is disabled; apply or enable it")
        await sink.reset(group.name, {TopicPartition(group.topic, number): at for number, at in offsets.items()})


async def _offset(partition: PartitionReference, to: Target) -> int:
    match to:
        case "earliest":
            return partition.start_offset
        case "latest":
            return partition.high_watermark
        case Since(timestamp):
            return await partition.offset_of(timestamp)
        case int():
            if not partition.start_offset <= to <= partition.high_watermark:
                raise OffsetOutOfRangeError(
                    f"{partition.partition} has offsets {partition.start_offset} to {partition.high_watermark}, not "
                    f"{to}; say for which partition it is meant, or use earliest or latest",
                    start=partition.start_offset,
                )
            return to
        case _:
            assert_never(to)


def _word(to: Target) -> str:
    return format_moment(to.timestamp) if isinstance(to, Since) else str(to)


def _places(places: Iterable[tuple[int, int | None]]) -> str:
    return ", ".join(f"{partition}: {'-' if offset is None else offset}" for partition, offset in places)


def _worded(moved: Sequence[Moved]) -> str:
    return ", ".join(f"{one.partition}: {one.before} -> {one.after}" for one in moved)
