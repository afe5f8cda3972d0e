"""How far a group has come in each partition, how fast, and what waits there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from actors.consumer_group.messages import LagSample, PartitionProgress, Watermarks
from actors.records import Confirmed
from actors.runtime.rates import Rate, RateMeter


@dataclass(frozen=True, slots=True)
class _Seen:
    """What lay in a partition from `offset` on when it was looked at: so many records, and what is known of them."""

    offset: int
    records: int
    sample: LagSample


class Positions:
    """Positions, their rates, and lag; times in seconds of a clock that never goes back, unless they say otherwise."""

    def __init__(self, positions: Mapping[int, Confirmed], now: float) -> None:
        self._positions = dict(positions)
        self._changed: set[int] = set()
        self._meters: dict[int, RateMeter] = {}
        self._seen: dict[int, _Seen] = {}
        self._since = now

    def __contains__(self, partition: int) -> bool:
        """Whether the group has a position in a partition."""
        return partition in self._positions

    def get(self, partition: int) -> Confirmed | None:
        """The position in a partition, if there is one yet."""
        return self._positions.get(partition)

    def of(self, partitions: frozenset[int]) -> dict[int, Confirmed]:
        """The positions in those partitions that have one."""
        return {partition: self._positions[partition] for partition in partitions if partition in self._positions}

    def advance(self, partition: int, position: Confirmed, now: float) -> bool:
        """A member has come so far; says whether that is a step. What it has done counts for the rate."""
        known = self._positions.get(partition)
        if known == position:
            return False
        if known is not None:
            self._count(partition, _done(known, position), now)
        self._set(partition, position)
        # That something came back is to be kept, but nobody has come further by it.
        return known is None or known[:2] != position[:2]

    def reset(self, partition: int, offset: int) -> None:
        """Somebody has moved the position: nothing was consumed by that."""
        self._set(partition, Confirmed(offset))
        self._seen.pop(partition, None)

    def take_changed(self) -> dict[int, Confirmed]:
        """The positions that changed since the last call, to be stored."""
        changed = {partition: self._positions[partition] for partition in self._changed}
        self._changed.clear()
        return changed

    def put_back(self, partitions: Mapping[int, Confirmed]) -> None:
        """These could not be stored: they count as changed again, at their present value."""
        self._changed.update(partitions)

    # --- lag -------------------------------------------------------------------------------------------------------

    def waiting(self, watermarks: Sequence[Watermarks]) -> Iterator[tuple[int, int]]:
        """Partition and first offset that waits, where anything does: what is to be looked at for bytes and age."""
        for partition, marks in enumerate(watermarks):
            begin = self._begin(partition, marks)
            if begin < marks.high:
                yield partition, begin

    def looked_at(self, partition: int, offset: int, high: int, sample: LagSample) -> None:
        """What lies between `offset` and `high` is so large and so old."""
        self._seen[partition] = _Seen(offset, high - offset, sample)

    def progress(
        self, watermarks: Sequence[Watermarks], readers: Mapping[int, str], now: float, wall_ms: float
    ) -> Iterator[PartitionProgress]:
        """How far the group has come, for each partition whose watermarks are given; `wall_ms` since the epoch."""
        for partition, marks in enumerate(watermarks):
            position = self._positions.get(partition)
            begin = self._begin(partition, marks)
            above = _above(position, begin, marks.high)
            # A topic whose tail was lost ends before the position: that is no negative lag.
            lag = max(0, marks.high - begin - above)
            lag_bytes, lag_seconds = self._size_and_age(partition, begin, lag, wall_ms)
            meter = self._meters.get(partition)
            consumed = meter.at(now) if meter is not None else Rate()
            yield PartitionProgress(
                partition=partition,
                committed=position.offset if position is not None else None,
                high_watermark=marks.high,
                lag=lag,
                member=readers.get(partition, ""),
                lag_bytes=lag_bytes,
                lag_seconds=lag_seconds,
                produce_rate=marks.rate.short,
                consume_rate=consumed.short,
                produce_rate_minute=marks.rate.long,
                consume_rate_minute=consumed.long,
                confirmed_above=above,
            )

    def _begin(self, partition: int, marks: Watermarks) -> int:
        position = self._positions.get(partition)
        # What retention has deleted waits no longer.
        return marks.start if position is None else max(position.offset, marks.start)

    def _size_and_age(self, partition: int, begin: int, lag: int, wall_ms: float) -> tuple[int | None, float | None]:
        if not lag:
            return 0, 0.0
        seen = self._seen.get(partition)
        if seen is None or seen.offset > begin:
            return None, None
        size = round(seen.sample.size / seen.records * lag) if seen.sample.size is not None and seen.records else None
        # The sample may be of a record that is done by now: then what waits is at most so old.
        age = max(0.0, wall_ms - seen.sample.timestamp) / 1000 if seen.sample.timestamp is not None else None
        return size, age

    def _count(self, partition: int, records: int, now: float) -> None:
        if records > 0:
            meter = self._meters.setdefault(partition, RateMeter(self._since))
            meter.count(records, now)

    def _set(self, partition: int, position: Confirmed) -> None:
        self._positions[partition] = position
        self._changed.add(partition)


def _above(position: Confirmed | None, begin: int, high: int) -> int:
    if position is None:
        return 0
    return sum(max(0, min(end, high) - max(start, begin)) for start, end in position.ranges)


def _done(before: Confirmed, after: Confirmed) -> int:
    """Records that are done now and were not before; less than nothing for a position that was set back."""
    done = after.offset - before.offset
    if not before.ranges and not after.ranges:
        return done
    return done + sum(end - start for start, end in after.ranges) - sum(end - start for start, end in before.ranges)
