"""What was seen of one group lately: how long records wait, and how its producers usually go. Bounded, pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from actors.consumer_group.messages import PartitionProgress
from actors.doctor.messages import Snapshot

WINDOW_SECONDS = 60.0
LOAD_SECONDS = 30.0
# Nothing can be told of a shorter time.
LEAST_SECONDS = 4.0
_LEAST_SPACING = 1.0
_TREND_SPACING = 5.0
_TREND_POINTS = 120
# Before anything was seen waiting for long, the age that the log tells counts, where it is beyond doubt.
_TOLD_SECONDS = 30.0

_BURST_FACTOR = 2.0
# A trend is known once producers have been seen at work for half a minute.
_TREND_LEAST = 6


class Pace(NamedTuple):
    """Records per second that producers brought over some seconds."""

    seconds: float
    rate: float


@dataclass(frozen=True, slots=True)
class Burst:
    """Producers brought `excess` records more than at their usual rate, at up to `peak` records per second."""

    usual: float
    peak: float
    excess: float
    over: bool


class History:
    """The snapshots of the last minute, and ten minutes of what producers brought."""

    def __init__(self) -> None:
        self._recent: deque[Snapshot] = deque()
        self._trend: deque[Pace] = deque(maxlen=_TREND_POINTS)
        self._mark: tuple[float, dict[int, int]] | None = None

    def add(self, snapshot: Snapshot) -> None:
        """Take a snapshot in; one that comes within a second of the last, or before it, is left out."""
        if self._recent and snapshot.at - self._recent[-1].at < _LEAST_SPACING:
            return
        self._recent.append(snapshot)
        while snapshot.at - self._recent[0].at > WINDOW_SECONDS:
            self._recent.popleft()
        self._follow_trend(snapshot)

    @property
    def latest(self) -> Snapshot:
        """The last snapshot; IndexError where there is none."""
        return self._recent[-1]

    @property
    def earlier(self) -> Snapshot | None:
        """The snapshot to compare the last one with: about half a minute before it; None while there is none."""
        now = self.latest.at
        old_enough = [one for one in self._recent if now - one.at >= LEAST_SECONDS]
        return min(old_enough, key=lambda one: abs(now - one.at - LOAD_SECONDS), default=None)

    def waiting_seconds(self, partition: PartitionProgress) -> float:
        """For how long the oldest record that waits there has been waiting, at least."""
        if not partition.lag:
            return 0.0
        begin, now = begin_of(partition), self.latest.at
        there = (
            now - snapshot.at
            for snapshot in self._recent
            for one in snapshot.group.partitions
            if one.partition == partition.partition and one.high_watermark > begin
        )
        told = partition.lag_seconds or 0.0
        return max(*there, told if told > _TOLD_SECONDS else 0.0, 0.0)

    def burst(self) -> Burst | None:
        """The rise of producers above their own trend that is still to be seen, if there is one."""
        active = [pace.rate for pace in self._trend if pace.rate > 0]
        if len(active) < _TREND_LEAST:
            return None
        usual = median(active)
        high = [pace for pace in self._trend if pace.rate > _BURST_FACTOR * usual]
        if not high:
            return None
        excess = sum((pace.rate - usual) * pace.seconds for pace in high)
        over = self._trend[-1].rate <= _BURST_FACTOR * usual
        return Burst(usual, max(pace.rate for pace in high), excess, over)

    def _follow_trend(self, snapshot: Snapshot) -> None:
        highs = {one.partition: one.high_watermark for one in snapshot.group.partitions}
        if self._mark is None:
            self._mark = snapshot.at, highs
            return
        at, before = self._mark
        elapsed = snapshot.at - at
        if elapsed >= _TREND_SPACING - _LEAST_SPACING / 2:
            brought = sum(max(0, high - before[number]) for number, high in highs.items() if number in before)
            self._trend.append(Pace(elapsed, brought / elapsed))
            self._mark = snapshot.at, highs


def begin_of(partition: PartitionProgress) -> int:
    """The offset of the first record that waits."""
    return partition.high_watermark - partition.lag - partition.confirmed_above
