"""The decisions of a task runner: how much at once, how long to rest, when bad records are too many. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from actors.errors import PenstockError

FIRST_ROWS = 500
LEAST_ROWS = 16
LEAST_FETCH_BYTES = 16 * 1024
# A transaction quicker than this has its fixed cost as the larger part; one slower keeps the sink's locks too long.
QUICK_SECONDS = 0.1
SLOW_SECONDS = 1.0
# While records trickle in, a runner works at most half of the time, so that they gather into larger transactions.
LONGEST_REST_SECONDS = 0.02


class HeldError(PenstockError):
    """A task's partition cannot go on and nothing was skipped; the text says why and what to do."""


@dataclass(slots=True)
class BatchLimits:
    """The most rows of a transaction, and bytes of a fetch; they may be changed while runners work."""

    rows: int
    bytes: int


class BatchSize:
    """How many rows the next transaction takes: doubled while full ones are quick, halved when one was slow.

    `bytes_wanted` is what a fetch for one transaction asks for, after the sizes of the records seen last.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._rows = min(FIRST_ROWS, limits.rows)
        self._record_bytes = 0.0

    @property
    def rows(self) -> int:
        """Rows of the next transaction."""
        return min(self._rows, self._limits.rows)

    @property
    def bytes_wanted(self) -> int:
        """Bytes to fetch for one transaction; before any record was seen, as many as are allowed."""
        if not self._record_bytes:
            return self._limits.bytes
        return min(self._limits.bytes, max(LEAST_FETCH_BYTES, int(self.rows * self._record_bytes)))

    def fetched(self, records: int, size: int) -> None:
        """A fetch brought so many records in so many bytes."""
        if records:
            self._record_bytes = size / records

    def is_full(self, records: int, *, more: bool) -> bool:
        """Whether a batch tells something about all records: it filled its place, or more waited behind it."""
        return (more or records >= self.rows) and records >= LEAST_ROWS

    def wrote(self, rows: int, seconds: float, *, full: bool) -> None:
        """A transaction of so many rows took so long; it was (part of) a full batch or all that there was."""
        if seconds > SLOW_SECONDS:
            self._rows = max(min(LEAST_ROWS, self._limits.rows), self.rows // 2)
        elif full and 2 * rows >= self.rows and seconds < QUICK_SECONDS:
            self._rows = min(self._limits.rows, self.rows * 2)


def rest_seconds(worked: float) -> float:
    """How long to let records gather after a round that brought less than a full batch."""
    return min(worked, LONGEST_REST_SECONDS)


@dataclass(frozen=True, slots=True)
class Majority:
    """More than half of a full batch is bad for one reason: that is no bad record but a wrong task or table."""

    reason: str
    count: int
    of: int


def majority(reasons: Iterable[str], of: int) -> Majority | None:
    """The reason that more than half of `of` records share, if there is one."""
    for reason, count in Counter(reasons).most_common(1):
        if 2 * count > of:
            return Majority(reason, count, of)
    return None
