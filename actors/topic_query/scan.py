"""Going through the offsets of one partition, forwards or backwards, as far as one may."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from actors.errors import DamagedLogError, OffsetOutOfRangeError
from actors.log.reader import Fetched
from actors.records import StoredRecord
from actors.topic_query.selection import Wanted

FETCH_BYTES = 256 * 1024
_FIRST_STEP = 256
_MAX_STEP = 64 * 1024


class Partition(Protocol):
    """What is read from: `actors.topic_partition.reference.PartitionReference`."""

    async def fetch(self, offset: int, max_bytes: int) -> Fetched:
        """Whole batches from an offset on."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be found, and how much may be looked at for it; the last batch may reach beyond."""

    records: int
    bytes: int
    scanned_records: float
    scanned_bytes: float


@dataclass(slots=True)
class Found:
    """What a scan of the offsets from `start` to before `end` brought; both move towards one another as it goes.

    `full` says that it ended because enough was found. `damage` tells of what could not be read.
    """

    start: int
    end: int
    records: list[StoredRecord] = field(default_factory=list)
    full: bool = False
    scanned_records: int = 0
    scanned_bytes: int = 0
    damage: list[str] = field(default_factory=list)

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to look at."""
        return self.start >= self.end


async def forwards(partition: Partition, start: int, end: int, wanted: Wanted, bounds: Bounds) -> Found:
    """The oldest wanted records first."""
    found = Found(start, end)
    room = bounds.bytes
    while not (found.exhausted or found.full or _tired(found, bounds)):
        records, next_offset = await _fetch(partition, found)
        for record in records:
            if not wanted(record):
                continue
            if found.records and (len(found.records) == bounds.records or weight(record) > room):
                found.full, found.start = True, record.offset
                return found
            found.records.append(record)
            room -= weight(record)
        found.start = next_offset
        found.full = len(found.records) >= bounds.records
    return found


async def backwards(partition: Partition, start: int, end: int, wanted: Wanted, bounds: Bounds) -> Found:
    """The newest wanted records first: window by window, each read forwards."""
    found = Found(start, end)
    step = _FIRST_STEP
    room = bounds.bytes
    while not (found.exhausted or found.full or _tired(found, bounds)):
        window = _Window(max(found.start, found.end - step), found.end, bounds.records - len(found.records), room)
        before = found.scanned_bytes
        await _read_window(partition, window, found, wanted)
        room -= window.size
        found.records += reversed(window.kept)
        found.end = window.kept[0].offset if window.overflowed and window.kept else window.low
        found.full = window.overflowed or len(found.records) >= bounds.records
        step = _next_step(step, found.scanned_bytes - before)
    return found


@dataclass(slots=True)
class _Window:
    """Offsets from `low` to before `high`, of which the last wanted ones that fit are kept."""

    low: int
    high: int
    records: int
    bytes: int
    kept: deque[StoredRecord] = field(default_factory=deque)
    size: int = 0
    overflowed: bool = False

    def keep(self, record: StoredRecord) -> None:
        """Keep a newer record, if need be in place of older ones; the newest is kept however large."""
        self.kept.append(record)
        self.size += weight(record)
        while len(self.kept) > 1 and (len(self.kept) > self.records or self.size > self.bytes):
            self.size -= weight(self.kept.popleft())
            self.overflowed = True


async def _read_window(partition: Partition, window: _Window, found: Found, wanted: Wanted) -> None:
    reading = Found(window.low, window.high, damage=found.damage)
    while not reading.exhausted:
        # The first batch may begin before the window: what it holds is at hand.
        least = found.start if reading.start == window.low else reading.start
        records, next_offset = await _fetch(partition, reading, least)
        if records and least == found.start:
            window.low = min(window.low, records[0].offset)
        for record in records:
            if wanted(record):
                window.keep(record)
        reading.start = next_offset
    found.scanned_records += reading.scanned_records
    found.scanned_bytes += reading.scanned_bytes


async def _fetch(partition: Partition, found: Found, least: int | None = None) -> tuple[list[StoredRecord], int]:
    """The next records, from `least` on where their batch begins so early, and the offset to go on at.

    None of them where that leads past what is not there, or cannot be read.
    """
    start, end = found.start, found.end
    try:
        fetched = await partition.fetch(start, FETCH_BYTES)
        if least is not None:
            fetched.offset = max(least, fetched.base_offset)
        records = [record for record in fetched.records() if record.offset < end]
    except DamagedLogError as damage:
        found.damage.append(str(damage))
        return [], max(damage.resume, start + 1)
    except OffsetOutOfRangeError as gone:
        # Retention was faster; or the log ends before what is looked for.
        return [], gone.start if gone.start > start else end
    found.scanned_bytes += fetched.size
    found.scanned_records += len(records)
    return records, fetched.next_offset if fetched.next_offset > start else end


def weight(record: StoredRecord) -> int:
    """About what a record takes in memory and in an answer, in bytes."""
    return len(record.key or b"") + len(record.value or b"") + 64 * (1 + len(record.headers))


def _tired(found: Found, bounds: Bounds) -> bool:
    return found.scanned_records >= bounds.scanned_records or found.scanned_bytes >= bounds.scanned_bytes


def _next_step(step: int, size: int) -> int:
    if size < FETCH_BYTES:
        return min(step * 2, _MAX_STEP)
    return max(step // 2, 1) if size > 4 * FETCH_BYTES else step
