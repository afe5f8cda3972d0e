"""A segment: one file of batches back to back, with its two indexes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from actors.log.batch import BadBatchError, Batch, BatchHeader
from actors.log.disk import Disk, OpenFile
from actors.log.index import SAVE_EVERY, OffsetIndex, TimeIndex
from actors.log.names import LOG, OFFSET_INDEX, TIME_INDEX, segment_path
from actors.log.scan import Placed, SegmentScanner


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

    def entry_at_or_before(self, offset: int) -> tuple[int, int] | None:
        """What the index says: the last offset of a batch, not above `offset`, and the position where it begins."""
        index = OffsetIndex(segment_path(self.folder, self.base_offset, OFFSET_INDEX))
        entry = index.floor(offset - self.base_offset) if index.load(self.size) else None
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

    def entry_at_or_before(self, offset: int) -> tuple[int, int] | None:
        """What the index says, which for the active segment is in memory."""
        entry = self.index.floor(offset - self.base_offset)
        return (self.base_offset + entry[0], entry[1]) if entry else None

    def accept(self, header: BatchHeader) -> None:
        """Count a batch that was written at the end."""
        last = header.next_offset - 1 - self.base_offset
        if self.max_timestamp is None or header.max_timestamp > self.max_timestamp:
            self.max_timestamp = header.max_timestamp
        if self._since_entry > self._index_interval:
            self.index.add(last, self.size)
            self.time_index.add(self.max_timestamp, last)
            self._since_entry = 0
        self._since_entry += header.size
        self.size += header.size
        self.next_offset = header.next_offset

    def begin_at(self, placed: Placed) -> None:
        """Take it that everything before an indexed batch is known, and that the batch itself comes next."""
        relative = placed.header.next_offset - 1 - self.base_offset
        self.index.cut(placed.position)
        self.time_index.cut(relative + 1)
        self.max_timestamp = self.time_index.last_timestamp()
        self.size = placed.position
        self.next_offset = placed.header.base_offset
        self._since_entry = self._index_interval + 1

    def resume(self, placed: Placed) -> None:
        """Go on with a batch that may lie behind damage."""
        self.size = placed.position
        self.next_offset = placed.header.base_offset

    def revert(self, size: int, next_offset: int) -> None:
        """Forget what came after a position; the file itself is cut by the caller."""
        self.size = size
        self.next_offset = next_offset
        self._since_entry = self._index_interval + 1 if size else 0
        self.index.cut(size)
        self.time_index.cut(next_offset - self.base_offset)

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
            self.time_index.add(self.max_timestamp, self.next_offset - 1 - self.base_offset)
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
    """Make the indexes of a closed segment anew from the headers of its batches; stops at damage."""
    file = segment.open()
    scanner = SegmentScanner(disk, file, segment.size)
    rebuilt = ActiveSegment(segment.folder, segment.base_offset, file, index_interval)
    # What lies behind damage is found by going on from the last entry before it.
    with suppress(BadBatchError):
        while rebuilt.size < segment.size:
            header = scanner.header(rebuilt.size).header
            if header.base_offset != rebuilt.next_offset:
                break
            rebuilt.accept(header)
    rebuilt.size = segment.size
    return rebuilt.seal(disk)
