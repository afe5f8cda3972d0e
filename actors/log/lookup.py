"""Finding offsets by time, and telling times and bytes by offset, through the indexes."""

from __future__ import annotations

from collections.abc import Iterable

from actors.errors import DamagedLogError, StorageError
from actors.log.batch import BadBatchError, read_records
from actors.log.disk import Disk
from actors.log.reader import LogView
from actors.log.scan import Placed
from actors.log.segment import Segment
from actors.log.segment_reader import SegmentReader


class LogLookup:
    """Looks things up in a log's view. It blocks, and may be used by several threads at once.

    A damaged batch counts as though it were not there. Its methods raise StorageError where the disk does not give
    what is asked.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def offset_of(self, view: LogView, timestamp: int) -> int:
        """The first offset whose record has this timestamp (milliseconds since the epoch) or a later one.

        Where there is none: the next offset to be written. Records need not be in the order of their timestamps.
        """
        for number, segment in enumerate(view.segments):
            # Of the segment that is written only its indexes say more than the view does.
            last = number == len(view.segments) - 1
            if not last and segment.max_timestamp is not None and segment.max_timestamp < timestamp:
                continue
            try:
                found = _first_since(view.open(self._disk, number), self._disk, timestamp)
            except FileNotFoundError:
                continue  # retention was faster
            except OSError as error:
                raise StorageError(f"{segment.path}: cannot be read: {error.strerror}") from error
            if found is not None:
                return found
        return view.end_offset

    def timestamp_at(self, view: LogView, offset: int) -> int | None:
        """The timestamp of the first record at an offset or after it, in milliseconds; None where there is none."""
        offset = max(offset, view.start_offset)
        while offset < view.end_offset:
            number = view.number_of(offset)
            try:
                return _timestamp_at(view.open(self._disk, number), offset)
            except DamagedLogError as damage:
                offset = damage.resume
            except FileNotFoundError:
                offset = view.end_of(number)
            except OSError as error:
                raise StorageError(f"{view.segments[number].path}: cannot be read: {error.strerror}") from error
        return None

    def bytes_between(self, view: LogView, start: int, end: int) -> int:
        """About how many bytes the records from `start` to before `end` take on disk, as the index tells it."""
        start, end = max(start, view.start_offset), min(end, view.end_offset)
        if start >= end:
            return 0
        first, last = view.number_of(start), view.number_of(end)
        between = sum(view.size_of(number) for number in range(first, last))
        try:
            return max(between + self._position(view, last, end) - self._position(view, first, start), 1)
        except OSError as error:
            raise StorageError(f"{view.segments[first].folder}: cannot be read: {error.strerror}") from error

    def _position(self, view: LogView, number: int, offset: int) -> int:
        """About where an offset lies in its segment: between the nearest index entries, in proportion."""
        segment, size, end = view.segments[number], view.size_of(number), view.end_of(number)
        below, after = segment.entries_around(self._disk, offset)
        low_offset, low = below or (segment.base_offset, 0)
        high_offset, high = after or (end, size)
        if not (low_offset <= offset <= high_offset and 0 <= low <= high <= size and low_offset < high_offset):
            # No index, or none that can be believed.
            low_offset, low, high_offset, high = segment.base_offset, 0, max(end, segment.base_offset + 1), size
        return low + (high - low) * (offset - low_offset) // (high_offset - low_offset)


def _first_since(reader: SegmentReader, disk: Disk, timestamp: int) -> int | None:
    """The first offset in a segment with a record at or after a timestamp."""
    position, expected = _begin(reader, reader.segment, disk, timestamp)
    try:
        return _first_among(reader, reader.hop(position, expected), timestamp)
    except BadBatchError:
        return _first_among(reader, reader.walk(position, expected), timestamp)


def _begin(reader: SegmentReader, segment: Segment, disk: Disk, timestamp: int) -> tuple[int, int]:
    """Where to begin looking: behind the last batch of which the time index knows that all is earlier up to it."""
    entry = segment.entry_before_time(disk, timestamp)
    if entry is not None and reader.holds_time(entry):
        placed = reader.locate(entry[1])
        return placed.end, placed.header.next_offset
    return 0, segment.base_offset


def _first_among(reader: SegmentReader, batches: Iterable[Placed], timestamp: int) -> int | None:
    for placed in batches:
        if placed.header.max_timestamp >= timestamp:
            (batch,), _, _ = reader.read(placed.position, placed.header.base_offset, placed.header.size)
            for record in read_records(batch):
                if record.timestamp >= timestamp:
                    return record.offset
    return None


def _timestamp_at(reader: SegmentReader, offset: int) -> int:
    placed = reader.locate(offset)
    if placed.header.base_offset >= offset:
        return placed.header.base_timestamp
    try:
        (batch,), _, _ = reader.read(placed.position, placed.header.base_offset, placed.header.size)
        return read_records(batch, offset)[0].timestamp
    except BadBatchError as bad:
        raise reader.damaged(placed.position, placed.header.base_offset, bad) from bad
