"""What retention no longer keeps: pure decisions over whole segments."""

from __future__ import annotations

from collections.abc import Sequence

from actors.log.segment import Segment


def expired(segments: Sequence[Segment], now: float, hours: int, max_bytes: int | None) -> int:
    """How many of the oldest segments go.

    A segment goes once its newest record is older than `hours`, or while all of them together are over `max_bytes`.
    `now` is in seconds since the epoch. The last segment is the one being written, and stays.
    """
    horizon = (now - hours * 3600) * 1000
    total = sum(segment.size for segment in segments)
    count = 0
    for segment in segments[:-1]:
        # A segment so damaged that nobody knows its age is not deleted for it.
        too_old = not segment.size if segment.max_timestamp is None else segment.max_timestamp < horizon
        too_much = max_bytes is not None and total > max_bytes
        if not (too_old or too_much):
            break
        total -= segment.size
        count += 1
    return count


def wholly_expired(segment: Segment, now: float, hours: int) -> bool:
    """Whether a segment holds something, and none of it is kept any more."""
    return segment.max_timestamp is not None and segment.max_timestamp < (now - hours * 3600) * 1000
