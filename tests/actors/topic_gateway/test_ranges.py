"""Sets of offsets as ranges."""

from __future__ import annotations

import pytest

from actors.topic_gateway.ranges import OffsetRanges


@pytest.mark.parametrize(
    ("adds", "floor", "ranges"),
    [
        ([(0, 1)], 1, []),
        ([(1, 2)], 0, [(1, 2)]),
        ([(1, 2), (2, 3)], 0, [(1, 3)]),
        ([(2, 3), (1, 2)], 0, [(1, 3)]),
        ([(1, 2), (3, 4), (2, 3)], 0, [(1, 4)]),
        ([(1, 2), (5, 6), (0, 1)], 2, [(5, 6)]),
        ([(3, 4), (1, 9)], 0, [(1, 9)]),
        ([(1, 9), (3, 4)], 0, [(1, 9)]),
        ([(4, 4), (5, 3)], 0, []),
        ([(0, 5), (2, 7)], 7, []),
    ],
)
def test_ranges_that_touch_become_one(adds: list[tuple[int, int]], floor: int, ranges: list[tuple[int, int]]) -> None:
    """The floor takes up what touches it; of the rest no two ranges touch."""
    found = OffsetRanges()
    for start, end in adds:
        found.add(start, end)
    assert (found.floor, list(found)) == (floor, ranges)
    assert len(found) == len(ranges)


def test_raising_the_floor_swallows_what_lies_below() -> None:
    """Everything below a raised floor is in the set; what lies above stays as it was."""
    found = OffsetRanges(0, [(2, 4), (6, 9), (12, 13)])
    found.raise_floor(7)
    assert (found.floor, list(found)) == (9, [(12, 13)])
    assert 8 in found
    assert 9 not in found
    assert 12 in found
