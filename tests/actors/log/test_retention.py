from pathlib import Path

import pytest

from actors.log.retention import expired, wholly_expired
from actors.log.segment import Segment


def segments(*ages_and_sizes: tuple[float | None, int]) -> list[Segment]:
    """Segments by hours since their newest record (at hour 1000) and bytes."""
    return [
        Segment(Path(), n, size, None if age is None else int((1000 - age) * 3_600_000))
        for n, (age, size) in enumerate(ages_and_sizes)
    ]


@pytest.mark.parametrize(
    ("ages_and_sizes", "hours", "max_bytes", "count"),
    [
        ([(10, 100), (5, 100), (1, 100)], 72, None, 0),
        ([(10, 100), (5, 100), (1, 100)], 6, None, 1),
        ([(10, 100), (5, 100), (1, 100)], 1, None, 2),
        ([(10, 100), (9, 100), (8, 100)], 1, None, 2),
        ([(2, 100), (10, 100), (1, 100)], 6, None, 0),
        ([(3, 100), (2, 100), (1, 100)], 72, 300, 0),
        ([(3, 100), (2, 100), (1, 100)], 72, 299, 1),
        ([(3, 100), (2, 100), (1, 100)], 72, 1, 2),
        ([(None, 0), (1, 100)], 72, None, 1),
        ([(None, 100), (1, 100)], 72, None, 0),
    ],
)
def test_the_oldest_segments_go(
    ages_and_sizes: list[tuple[float | None, int]], hours: int, max_bytes: int | None, count: int
) -> None:
    """From the oldest on, what is too old or too much goes, up to the first that is kept; the last one always stays."""
    assert expired(segments(*ages_and_sizes), 1000 * 3600, hours, max_bytes) == count


def test_an_empty_segment_has_nothing_to_expire() -> None:
    """Only a segment that holds something, all of it too old, is worth a roll."""
    empty, old, young = segments((None, 0), (10, 1), (1, 1))
    assert [wholly_expired(segment, 1000 * 3600, 5) for segment in (empty, old, young)] == [False, True, False]
