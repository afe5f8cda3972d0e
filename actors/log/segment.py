"""A segment: one file of batches back to back, with its two indexes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from actors.log.batch import BadBatchError, Batch, BatchHeader
from actors.log.disk import Disk, OpenFile
from actors.log.index import SAVE_EVERY, OffsetIndex, TimeIndex
from actors.log.index_file import Entry
from actors.log.names import LOG, OFFSET_INDEX, TIME_INDEX, segment_path
from actors.log.scan import Placed, SegmentScanner


class Mark(NamedTuple):
    """How far a segment had come; `newest` is the relative offset that ends the batch with the largest timestamp."""

    size: int
    next_offset: int
    max_timestamp: int | None = None
    newest: int = -1


class Segment:
    """A segment that is written no more.

    Files: `<base offset, 20 digits>.log` (RecordBatch v2, back to back), `.index`, `.timeindex`.
    """

    def __init__(self, folder: Path, base_offset: int, size: int, max_timestamp: int | None) -> None:
        self.folder = folder
        self.base_offset = base_offset
        self.size = size
        self.max_timestamp = max_timestamp
        self.path = segment_path(folder, base_offset)

    def open(self) -> OpenFile:
        """Open the log file to be read; FileNotFoundError once retention has deleted it."""
        return OpenFile.reading(self.path)

    def entry_at_or_before(self, disk: Disk, offset: int) -> Entry | None:
        """What the index says: the last offset of a batch, not above `offset`, and the position where it begins."""
        return self.entries_around(disk, offset)[0]

    def entries_around(self, disk: Disk, offset: int) -> tuple[Entry | None, Entry | None]:
        """The index entries (last offset of a batch, its position) at or below an offset, and after it."""
        path = segment_path(self.folder, self.base_offset, OFFSET_INDEX)
        below, after = OffsetIndex.around_in_file(disk, path, offset - self.base_offset)
        return self._absolute(below), self._absolute(after)

    def entry_before_time(self, disk: Disk, timestamp: int) -> Entry | None:
        """The last time index entry below a timestamp: that timestamp, and the last offset of the batch it is from."""
        entry = TimeIndex.below_in_file(disk, segment_path(self.folder, self.base_offset, TIME_INDEX), timestamp)
        return (entry[0], self.base_offset + entry[1]) if entry else None

    def _absolute(self, entry: Entry | None) -> Entry | None:
        return (self.base_offset + entry[0], entry[1]) if entry else None

    def delete(self, disk: Disk) -> None:
        """Delete the files, the log first: an index without its log is swept up by recovery."""
        for suffix in (LOG, OFFSET_INDEX, TIME_INDEX):
            segment_path(self.folder, self.base_offset, suffix).unlink(missing_ok=True)
        disk.sync_folder(self.folder)


class ActiveSegment(Segment):
    """The segment that is written; `began` is when its first batch came, in seconds since the epoch."""

    def __init__(self, folder: Path, base_offset: int, file: OpenFile, index_interval: int) -> None:
        super().__init__(folder, base_offset, 0, None)
        self.next_offset = base_offset
        self.file = file
        self.index = OffsetIndex(segment_path(folder, base_offset, OFFSET_INDEX))
        self.time_index = TimeIndex(segment_path(folder, base_offset, TIME_INDEX))
        self.began: float | None = None
        self._newest = -1
        self._index_interval = index_interval
        self._since_entry = 0

    @classmethod
    def create(cls, folder: Path, base_offset: int, disk: Disk, index_interval: int) -> ActiveSegment:
        """Make the file of a new segment, durably.

        Raises:
            OSError: as the system says; the file is gone again.
        """
        path = segment_path(folder, base_offset)
        file = OpenFile(disk.create(path))
        try:
            disk.sync_folder(folder)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return cls(folder, base_offset, file, index_interval)

    def open(self) -> OpenFile:
        """The file as it is open anyway."""
        return self.file

    def entries_around(self, disk: Disk, offset: int) -> tuple[Entry | None, Entry | None]:  # noqa: ARG002 - as above
        """What the index says, which for the active segment is in memory."""
        below, after = self.index.around(offset - self.base_offset)
        return self._absolute(below), self._absolute(after)

    def entry_before_time(self, disk: Disk, timestamp: int) -> Entry | None:  # noqa: ARG002 - as above
        """What the time index says, which for the active segment is in memory."""
        entry = self.time_index.below(timestamp)
        return (entry[0], self.base_offset + entry[1]) if entry else None

    def mark(self) -> Mark:
        """How far it has come."""
        return Mark(self.size, self.next_offset, self.max_timestamp, self._newest)

    def accept(self, header: BatchHeader) -> None:
        """Count a batch that was written at the end."""
        last = header.next_offset - 1 - self.base_offset
        if self.max_timestamp is None or header.max_timestamp > self.max_timestamp:
            self.max_timestamp, self._newest = header.max_timestamp, last
        if self._since_entry > self._index_interval:
            self.index.add(last, self.size)
            self.time_index.add(self.max_timestamp, self._newest)
            self._since_entry = 0
        self._since_entry += header.size
        self.size += header.size
        self.next_offset = header.next_offset

    def begin_at(self, placed: Placed) -> None:
        """Take it that everything before an indexed batch is known, and that the batch itself comes next."""
        relative = placed.header.next_offset - 1 - self.base_offset
        self.index.cut(placed.position)
        self.time_index.cut(relative + 1)
        self.max_timestamp, self._newest = self.time_index.last() or (None, -1)
        self.size = placed.position
        self.next_offset = placed.header.base_offset
        self._since_entry = self._index_interval + 1

    def resume(self, placed: Placed) -> None:
        """Go on with a batch that may lie behind damage."""
        self.size = placed.position
        self.next_offset = placed.header.base_offset

    def revert(self, mark: Mark) -> None:
        """Forget what came after a mark; the file itself is cut by the caller."""
        self.size, self.next_offset, self.max_timestamp, self._newest = mark
        self._since_entry = self._index_interval + 1 if mark.size else 0
        self.index.cut(mark.size)
        self.time_index.cut(mark.next_offset - self.base_offset)

    def save_indexes(self, disk: Disk) -> None:
        """Write new index entries, once it is worth it."""
        if self.index.unsaved() >= SAVE_EVERY:
            self.index.save(disk)
            self.time_index.save(disk)

    def seal(self, disk: Disk) -> Segment:
        """Complete the indexes on disk; the segment as it is from then on.

        Raises:
            OSError: as the system says; indexes can be rebuilt, so the segment is good all the same.
        """
        if self.max_timestamp is not None:
            self.time_index.add(self.max_timestamp, self._newest)
        self.index.save(disk, sync=True)
        self.time_index.save(disk, sync=True)
        return self.sealed()

    def sealed(self) -> Segment:
        """The segment as it is once written no more."""
        return Segment(self.folder, self.base_offset, self.size, self.max_timestamp)


def written(batches: Iterable[Batch]) -> bytes | bytearray:
    """The bytes of batches, back to back, for one write."""
    data = [batch.data for batch in batches]
    return data[0] if len(data) == 1 else b"".join(data)


def rebuild_indexes(segment: Segment, disk: Disk, index_interval: int) -> Segment:
    """Make the indexes of a closed segment anew from the headers of its batches, leaving damage out."""
    file = segment.open()
    scanner = SegmentScanner(disk, file, segment.size)
    rebuilt = ActiveSegment(segment.folder, segment.base_offset, file, index_interval)
    while rebuilt.size < segment.size:
        placed = _next(scanner, rebuilt)
        if placed is None:
            break
        rebuilt.resume(placed)
        rebuilt.accept(placed.header)
    rebuilt.size = segment.size
    return rebuilt.seal(disk)


def _next(scanner: SegmentScanner, segment: ActiveSegment) -> Placed | None:
    """The next batch by its header, if need be past damage."""
    with suppress(BadBatchError):
        placed = scanner.header(segment.size)
        if placed.header.base_offset == segment.next_offset:
            return placed
    return scanner.next_whole(segment.size, segment.next_offset)
