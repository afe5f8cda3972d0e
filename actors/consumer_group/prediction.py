"""When a backlog will be gone, if everything goes on as it does now. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from actors.consumer_group.messages import PartitionProgress


def drain_seconds(partitions: Iterable[PartitionProgress]) -> float | None:
    """Seconds until nothing waits in any partition; None where that is never, or cannot be told.

    Whoever reads several partitions moves them in turns: their lag is gone when the sum of it is. Members work side by
    side, so that the slowest of them decides. A partition that nobody reads, and in which something waits, is never
    empty. Rates are those over 10 seconds.
    """
    by_member: defaultdict[str, list[PartitionProgress]] = defaultdict(list)
    for partition in partitions:
        by_member[partition.member].append(partition)
    longest = 0.0
    for own in by_member.values():
        seconds = _member_seconds(own)
        if seconds is None:
            return None
        longest = max(longest, seconds)
    return longest


def _member_seconds(own: list[PartitionProgress]) -> float | None:
    lag = sum(partition.lag for partition in own)
    if not lag:
        return 0.0
    gain = sum(partition.consume_rate - partition.produce_rate for partition in own)
    if not own[0].member or gain <= 0.0:
        return None
    return lag / gain
