"""What retention no longer keeps: pure decisions over whole segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from actors.log.segment import Segment


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept at the least, counted from the newest record: records, bytes, seconds; None bounds nothing."""

    records: float | None = None
    bytes: float | None = None
    seconds: float | None = None


def expired(
    segments: Sequence[Segment], now: float, hours: int, max_bytes: int | None, protected: float = math.inf
) -> int:
    """How many of the oldest segments go.

    A segment goes once its newest record is older than `hours`, or while all of them together are over `max_bytes`;
    none that holds an offset from `protected` on. `now` is in seconds since the epoch. The last segment is the one
    being written, and stays.
    """
    horizon = (now - hours * 3600) * 1000
    total = sum(segment.size for segment in segments)
    count = 0
    for segment, following in pairwise(segments):
        # A segment so damaged that nobody knows its age is not deleted for it.
        too_old = not segment.size if segment.max_timestamp is None else segment.max_timestamp < horizon
        too_much = max_bytes is not None and total > max_bytes
        if not (too_old or too_much) or following.base_offset > protected:
            break
        total -= segment.size
        count += 1
    return count


def wholly_expired(segment: Segment, now: float, hours: int) -> bool:
    """Whether a segment holds something, and none of it is kept any more."""
    return segment.max_timestamp is not None and segment.max_timestamp < (now - hours * 3600) * 1000


def surplus(segments: Sequence[Segment], end_offset: int, now: float, keep: Keep) -> int:
    """How many of the oldest segments hold nothing of what is to be kept, by one of its bounds.

    `end_offset` is the next offset to be written, `now` in seconds since the epoch. The last segment stays.
    """
    newer = sum(segment.size for segment in segments)
    count = 0
    for segment, following in pairwise(segments):
        newer -= segment.size
        oldest = None if keep.seconds is None else (now - keep.seconds) * 1000
        if not (
            (keep.records is not None and end_offset - following.base_offset >= keep.records)
            or (keep.bytes is not None and newer >= keep.bytes)
            or (oldest is not None and segment.max_timestamp is not None and segment.max_timestamp < oldest)
        ):
            break
        count += 1
    return count
