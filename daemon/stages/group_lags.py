"""What waits for the groups of a topic, as its backlog policy counts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.backlog.lag import GroupLag, PartitionLag
from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import GroupStatistics, PartitionProgress


class GroupLags:
    """Turns what groups tell into lag.

    A group that has never begun, and has no member, waits for nothing. One that has members and committed nothing yet
    has what is in its partitions to read, unless it `starts_at_end`: then what comes from the first look on.
    """

    def __init__(self, groups: Iterable[GroupReference], starts_at_end: Callable[[str], bool]) -> None:
        self._groups = groups
        self._starts_at_end = starts_at_end
        self._ends: dict[str, dict[int, int]] = {}

    def of(self, topic: str) -> list[GroupLag]:
        """The lag of each group of a topic that counts."""
        lags = [self._lag(group.statistics()) for group in self._groups if group.topic == topic]
        return [lag for lag in lags if lag is not None]

    def _lag(self, group: GroupStatistics) -> GroupLag | None:
        begun = any(one.committed is not None for one in group.partitions)
        if begun or not group.members or not self._starts_at_end(group.group):
            self._ends.pop(group.group, None)
            if not begun and not group.members:
                return None
            return GroupLag(group.group, {one.partition: _partition_lag(one) for one in group.partitions})
        ends = self._ends.setdefault(group.group, {})
        for one in group.partitions:
            ends.setdefault(one.partition, one.high_watermark)
        since = {
            one.partition: PartitionLag(ends[one.partition], max(0, one.high_watermark - ends[one.partition]))
            for one in group.partitions
        }
        return GroupLag(group.group, since)


def _partition_lag(one: PartitionProgress) -> PartitionLag:
    consumed = one.high_watermark - one.lag if one.committed is None else one.committed
    return PartitionLag(consumed, one.lag, one.lag_bytes, one.lag_seconds)
