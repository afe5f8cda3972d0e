"""Checking a partition's files: every CRC, every index entry, and that its offsets follow one another.

Checking changes nothing, and believes nothing of what the files say of one another. What is wrong with an index can be
repaired: it says nothing that the batches do not say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from actors.errors import StorageError
from actors.log.batch import BadBatchError, BatchHeader, read_header
from actors.log.disk import Disk
from actors.log.index_file import Entry
from actors.log.names import OFFSET_INDEX, TIME_INDEX, segment_offsets, segment_path
from actors.log.reader import LogView
from actors.log.recovery_point import RecoveryPoint
from actors.log.segment import Segment, rebuild_indexes
from actors.log.segment_reader import SegmentReader

MAX_FLAWS = 100
"""So many flaws of a partition are described; the others are counted."""

_CHUNK = 1024 * 1024
_OFFSET_ENTRY = struct.Struct(">ii")
_TIME_ENTRY = struct.Struct(">qi")

_Placed: TypeAlias = tuple[int, Entry]
"""An entry of an index, and its position in the file."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong: in which file, at which position in bytes, and from which offset on."""

    file: str
    position: int
    offset: int
    reason: str


@dataclass(slots=True)
class Verified:
    """What was checked, and what is wrong.

    `flaws` counts all of them, `described` has the first; `wrong_indexes` are the base offsets of the segments of which
    an index is wrong. `torn_bytes` lie behind the last whole batch: a crash leaves them, no producer was ever answered
    for them, and the next start cuts them off.
    """

    start_offset: int = 0
    end_offset: int = 0
    segments: int = 0
    batches: int = 0
    records: int = 0
    bytes: int = 0
    torn_bytes: int = 0
    flaws: int = 0
    described: list[Flaw] = field(default_factory=list)
    wrong_indexes: list[int] = field(default_factory=list)

    def add(self, flaw: Flaw) -> None:
        """Note a flaw."""
        self.flaws += 1
        if len(self.described) < MAX_FLAWS:
            self.described.append(flaw)


Pause = Callable[[], None]


def verify_folder(folder: Path, disk: Disk, pause: Pause = lambda: None) -> Verified:
    """Check a partition's folder that nobody has open.

    Raises:
        StorageError: the disk does not give it.
    """
    try:
        bases = segment_offsets(folder)
        segments = [Segment(folder, base, segment_path(folder, base).stat().st_size, None) for base in bases]
        synced = RecoveryPoint(folder, disk).load()
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}") from error
    return _Verification(disk, segments, pause).run(synced, None)


def repair_indexes(folder: Path, disk: Disk, index_interval: int, wrong: Iterable[int]) -> None:
    """Make the indexes of segments anew, of a folder that nobody has open; `wrong` are their base offsets.

    Raises:
        StorageError: as the disk says.
    """
    for base_offset in wrong:
        path = segment_path(folder, base_offset)
        try:
            rebuild_indexes(Segment(folder, base_offset, path.stat().st_size, None), disk, index_interval)
        except OSError as error:
            raise StorageError(f"{path}: its indexes cannot be made anew: {error.strerror}") from error


def verify_view(view: LogView, disk: Disk, pause: Pause = lambda: None) -> Verified:
    """Check what is published of a log that is being written; `pause` is called after each mebibyte.

    Raises:
        StorageError: the disk does not give it.
    """
    return _Verification(disk, view.segments, pause).run(view.end_offset, view.end_position)


class _Verification:
    def __init__(self, disk: Disk, segments: Sequence[Segment], pause: Pause) -> None:
        self._disk = disk
        self._segments = segments
        self._pause = pause
        self._verified = Verified()

    def run(self, synced: int, end_position: int | None) -> Verified:
        """`synced` is the offset below which everything must be there; `end_position` ends the last segment."""
        verified = self._verified
        next_offset: int | None = None
        for number, segment in enumerate(self._segments):
            last = number == len(self._segments) - 1
            size = end_position if last and end_position is not None else segment.size
            try:
                found = self._segment(
                    segment, size, next_offset, synced if last else None, live=end_position is not None
                )
            except FileNotFoundError:
                # Retention was faster, which deletes the oldest ones only: what comes next has none before it.
                next_offset = None
                continue
            except OSError as error:
                raise StorageError(f"{segment.path}: cannot be read: {error.strerror}") from error
            if verified.segments == 0:
                verified.start_offset = segment.base_offset
            verified.segments += 1
            next_offset = found
        verified.end_offset = next_offset or verified.start_offset
        return verified

    def _segment(self, segment: Segment, size: int, expected: int | None, synced: int | None, *, live: bool) -> int:
        """Check one segment, the last one where `synced` says what must be there; the offset at which it ends."""
        if expected is not None and segment.base_offset != expected:
            reason = f"offsets {expected} to {segment.base_offset - 1} are in no segment"
            self._verified.add(Flaw(str(segment.path), 0, expected, reason))
        reader = SegmentReader(self._disk, segment, size, segment.base_offset)
        indexes = _Indexes(self._verified, segment, written=synced is not None, live=live)
        position, next_offset = 0, segment.base_offset
        while position < size:
            try:
                batches, end, after = reader.read(position, next_offset, _CHUNK)
            except BadBatchError as bad:
                behind = reader.next_whole(position, next_offset)
                if behind is None:
                    self._tail(segment, (position, size), next_offset, synced, bad)
                    indexes.skip(size)
                    break
                last = behind.header.base_offset - 1
                lost = f"offsets {next_offset} to {last}" if last >= next_offset else f"offset {next_offset}"
                self._flaw(segment, position, next_offset, f"{lost} cannot be read: {bad}")
                indexes.skip(behind.position)
                position, next_offset = behind.position, behind.header.base_offset
                continue
            self._pass(batches, position, indexes)
            position, next_offset = end, after
            self._pause()
        indexes.finish()
        if synced is not None and next_offset < synced and position >= size:
            reason = f"offsets {next_offset} to {synced - 1} had been synced and are missing"
            self._flaw(segment, size, next_offset, reason)
        return next_offset

    def _pass(self, batches: Sequence[memoryview], position: int, indexes: _Indexes) -> None:
        for batch in batches:
            header = read_header(batch)
            indexes.pass_batch(header, position)
            position += header.size
            self._verified.records += header.next_offset - header.base_offset
            self._verified.bytes += header.size
        self._verified.batches += len(batches)

    def _tail(
        self, segment: Segment, span: tuple[int, int], offset: int, synced: int | None, bad: BadBatchError
    ) -> None:
        position, size = span
        if synced is not None and offset >= synced:
            self._verified.torn_bytes += size - position
        else:
            self._flaw(segment, position, offset, f"everything from offset {offset} on cannot be read: {bad}")

    def _flaw(self, segment: Segment, position: int, offset: int, reason: str) -> None:
        self._verified.add(Flaw(str(segment.path), position, offset, reason))


class _Indexes:
    """The entries of a segment's two indexes, each held against the batch that it speaks of, batch by batch."""

    def __init__(self, verified: Verified, segment: Segment, *, written: bool, live: bool) -> None:
        self._verified = verified
        self._segment = segment
        self._live = live and written
        self._max_timestamp: int | None = None
        self._blind_until = 0
        self._offsets = self._entries(OFFSET_INDEX, _OFFSET_ENTRY, written=written)
        self._times = self._entries(TIME_INDEX, _TIME_ENTRY, written=written)
        self._offset = next(self._offsets, None)
        self._time = next(self._times, None)

    def pass_batch(self, header: BatchHeader, position: int) -> None:
        """The next whole batch."""
        last = header.next_offset - 1 - self._segment.base_offset
        if self._max_timestamp is None or header.max_timestamp > self._max_timestamp:
            self._max_timestamp = header.max_timestamp
        self._pass_offset(last, position)
        self._pass_time(last)

    def _pass_offset(self, last: int, position: int) -> None:
        while self._offset is not None and self._offset[1][1] <= position:
            at, (relative, where) = self._offset
            if where < position and not 0 <= where < self._blind_until:
                self._flaw(OFFSET_INDEX, at, relative, f"points to position {where}, where no batch begins")
            elif where == position and relative != last:
                self._flaw(OFFSET_INDEX, at, relative, f"the batch at position {where} ends with another offset")
            self._offset = next(self._offsets, None)

    def _pass_time(self, last: int) -> None:
        while self._time is not None and self._time[1][1] <= last:
            at, (timestamp, relative) = self._time
            if relative != last and not self._blind_until:
                self._flaw(TIME_INDEX, at, relative, "speaks of an offset with which no batch ends")
            elif timestamp != self._max_timestamp and not self._blind_until:
                reason = f"says {timestamp} where the largest timestamp so far is {self._max_timestamp}"
                self._flaw(TIME_INDEX, at, relative, reason)
            self._time = next(self._times, None)

    def skip(self, position: int) -> None:
        """What lies before a position cannot be read, so that entries about it cannot be checked."""
        self._blind_until = position

    def finish(self) -> None:
        """Everything was passed: what is left speaks of what is not there."""
        if self._live:
            return  # it may have been written since
        for at, (relative, where) in _rest(self._offset, self._offsets):
            if not 0 <= where < self._blind_until:
                self._flaw(OFFSET_INDEX, at, relative, f"points to position {where}, where no batch begins")
        for at, (_, relative) in _rest(self._time, self._times):
            if not self._blind_until:
                self._flaw(TIME_INDEX, at, relative, "speaks of an offset that is not in the segment")

    def _entries(self, suffix: str, entry: struct.Struct, *, written: bool) -> Iterator[_Placed]:
        """The entries of a file with their positions, as far as they ascend."""
        path = segment_path(self._segment.folder, self._segment.base_offset, suffix)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            if not written:
                self._flaw(suffix, 0, 0, "the file is missing; the next start makes it anew")
            return
        if len(data) % entry.size and not self._live:
            self._flaw(suffix, len(data) - len(data) % entry.size, 0, "the file ends within an entry")
        before: Entry | None = None
        for at in range(0, len(data) - entry.size + 1, entry.size):
            found: Entry = entry.unpack_from(data, at)
            if before is not None and not (found[0] > before[0] and found[1] > before[1]):
                self._flaw(suffix, at, max(found[suffix == TIME_INDEX], 0), "the entry is not above the one before it")
                return
            before = found
            yield at, found

    def _flaw(self, suffix: str, position: int, relative: int, reason: str) -> None:
        path = segment_path(self._segment.folder, self._segment.base_offset, suffix)
        base_offset, wrong = self._segment.base_offset, self._verified.wrong_indexes
        self._verified.add(Flaw(str(path), position, base_offset + relative, reason))
        if base_offset not in wrong[-1:]:
            wrong.append(base_offset)


def _rest(first: _Placed | None, others: Iterator[_Placed]) -> Iterator[_Placed]:
    if first is not None:
        yield first
        yield from others
