"""Sets of offsets, kept as ranges. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class OffsetRanges:
    """Offsets at or above a floor: everything below the floor belongs to the set, and of the rest ranges.

    The floor rises by itself over the ranges that touch it, so that a set without gaps is one number.
    """

    __slots__ = ("_ends", "_starts", "floor")

    def __init__(self, floor: int = 0, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.floor = floor
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __contains__(self, offset: int) -> bool:
        if offset < self.floor:
            return True
        at = bisect_right(self._starts, offset) - 1
        return at >= 0 and offset < self._ends[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges above the floor, `[start, end)`, in order."""
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        """How many ranges there are above the floor."""
        return len(self._starts)

    def add(self, start: int, end: int | None = None) -> None:
        """Put in one offset, or those from `start` up to, not including, `end`."""
        end = start + 1 if end is None else end
        start = max(start, self.floor)
        if end <= start:
            return
        starts, ends = self._starts, self._ends
        # Ranges that overlap or touch become one.
        first = bisect_left(ends, start)
        last = bisect_right(starts, end)
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]
        if starts[0] == self.floor:
            self.floor = ends[0]
            del starts[0], ends[0]

    def raise_floor(self, floor: int) -> None:
        """Everything below belongs to the set from now on."""
        self.add(self.floor, floor)
