"""When a backlog will be gone, if everything goes on as it does now. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from actors.consumer_group.messages import PartitionProgress

# A member that needs so much longer than all of them together would is behind for a reason of its own.
_FAR_BEHIND = 1.5


def drain_seconds(partitions: Iterable[PartitionProgress]) -> float | None:
    """Seconds until nothing waits in any partition; None where that is never, or cannot be told.

    Whoever reads several partitions moves them in turns: their lag is gone when the sum of it is. Members that share
    one sink get faster when others are done, members that do not, do not: the first makes it the time of the whole,
    the second that of the slowest, and in between the two lies the answer, unless one is far behind and so decides
    alone. A partition that nobody reads, and in which something waits, is never empty. Rates are the present ones.
    """
    by_member: defaultdict[str, list[PartitionProgress]] = defaultdict(list)
    for partition in partitions:
        if partition.lag or partition.member:
            by_member[partition.member].append(partition)
    slowest = 0.0
    for member, own in by_member.items():
        seconds = _seconds(own) if member else None
        if seconds is None:
            return None
        slowest = max(slowest, seconds)
    together = _seconds([partition for own in by_member.values() for partition in own])
    if together is None or slowest > _FAR_BEHIND * together:
        return slowest
    return (slowest + together) / 2


def _seconds(partitions: Sequence[PartitionProgress]) -> float | None:
    lag = sum(partition.lag for partition in partitions)
    if not lag:
        return 0.0
    gain = sum(partition.consume_rate - partition.produce_rate for partition in partitions)
    return lag / gain if gain > 0.0 else None
