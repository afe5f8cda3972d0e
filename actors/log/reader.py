"""Reading a log while it is being written: any number of threads, up to a published end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from actors.errors import DamagedLogError, OffsetOutOfRangeError, StorageError
from actors.log.batch import BadBatchError, read_header, read_records
from actors.log.disk import Disk
from actors.log.segment import Segment
from actors.log.segment_reader import SegmentReader
from actors.records import StoredRecord

# Enough for the readers of one partition that go on where they stopped.
_MAX_HINTS = 64


class LogView(NamedTuple):
    """What can be read of a log at one moment; replaced whole at each change, so that readers need no lock.

    Only the last segment ends at `end_position`; `end_offset` is the next offset to be written.
    """

    segments: tuple[Segment, ...]
    end_offset: int
    end_position: int

    @property
    def start_offset(self) -> int:
        """The first offset that is kept."""
        return self.segments[0].base_offset

    def number_of(self, offset: int) -> int:
        """Which segment holds an offset."""
        return max(bisect_right(self.segments, offset, key=lambda segment: segment.base_offset) - 1, 0)

    def size_of(self, number: int) -> int:
        """How many bytes of a segment can be read."""
        return self.end_position if number == len(self.segments) - 1 else self.segments[number].size

    def end_of(self, number: int) -> int:
        """The offset at which a segment ends."""
        return self.end_offset if number == len(self.segments) - 1 else self.segments[number + 1].base_offset

    def open(self, disk: Disk, number: int) -> SegmentReader:
        """Open a segment to be read.

        Raises:
            OSError: as the system says; FileNotFoundError once retention has deleted it.
        """
        return SegmentReader(disk, self.segments[number], self.size_of(number), self.end_of(number))


class Fetched:
    """Checked batches from one fetch, as they lie on disk.

    `offset` is what was asked for, `next_offset` what to ask for next, `high_watermark` the end of the log at that
    time. `batches` may begin before `offset`: Kafka's clients skip such records themselves, and so does `records`.
    """

    __slots__ = ("batches", "high_watermark", "next_offset", "offset")

    def __init__(self, batches: Sequence[memoryview], offset: int, next_offset: int, high_watermark: int) -> None:
        self.batches = batches
        self.offset = offset
        self.next_offset = next_offset
        self.high_watermark = high_watermark

    @property
    def base_offset(self) -> int:
        """The offset with which the first batch begins."""
        return read_header(self.batches[0]).base_offset if self.batches else self.offset

    @property
    def size(self) -> int:
        """Bytes of all batches."""
        return sum(map(len, self.batches))

    def records(self) -> list[StoredRecord]:
        """The records from `offset` on.

        Raises:
            DamagedLogError: a batch whose CRC is right holds something else than records.
        """
        records: list[StoredRecord] = []
        start = self.offset
        for batch in self.batches:
            header = read_header(batch)
            try:
                records += read_records(batch, start if header.base_offset < start else 0)
            except BadBatchError as bad:
                message = f"offsets {header.base_offset} to {header.next_offset - 1}: {bad}"
                raise DamagedLogError(message, resume=header.next_offset) from bad
        return records


class LogReader:
    """Fetches from a log's view. It blocks, and may be used by several threads at once."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        # Where a reader that goes on at an offset finds it: (segment's base offset, position).
        self._hints: dict[int, tuple[int, int]] = {}

    def fetch(self, view: LogView, offset: int, max_bytes: int) -> Fetched:
        """Read whole batches from `offset` on, up to `max_bytes` together; one that is larger comes alone.

        Raises:
            OffsetOutOfRangeError: below the first or above the next offset.
            DamagedLogError: the batch that holds `offset` is not what was written.
            StorageError: the disk does not give it.
        """
        if not view.start_offset <= offset <= view.end_offset:
            raise _out_of_range(view, offset)
        if offset == view.end_offset:
            return Fetched((), offset, offset, view.end_offset)
        number = view.number_of(offset)
        segment = view.segments[number]
        try:
            return self._fetch(view, number, offset, max_bytes)
        except FileNotFoundError:
            # Retention was faster.
            raise _out_of_range(view, offset, segment) from None
        except OSError as error:
            raise StorageError(f"{segment.path}: offset {offset} cannot be read: {error.strerror}") from error

    def _fetch(self, view: LogView, number: int, offset: int, max_bytes: int) -> Fetched:
        reader = view.open(self._disk, number)
        base_offset = view.segments[number].base_offset
        hint = self._hints.pop(offset, None)
        if hint is not None and hint[0] == base_offset and hint[1] < reader.size:
            position, expected = hint[1], offset
        else:
            placed = reader.locate(offset)
            position, expected = placed.position, placed.header.base_offset
        try:
            batches, end, next_offset = reader.read(position, expected, max_bytes)
        except BadBatchError as bad:
            raise reader.damaged(position, expected, bad) from bad
        if len(self._hints) >= _MAX_HINTS:
            self._hints.clear()
        self._hints[next_offset] = (base_offset, end)
        return Fetched(batches, offset, next_offset, view.end_offset)


def _out_of_range(view: LogView, offset: int, gone: Segment | None = None) -> OffsetOutOfRangeError:
    kept = [segment.base_offset for segment in view.segments if gone is None or segment.base_offset > gone.base_offset]
    start = kept[0] if kept else view.end_offset
    return OffsetOutOfRangeError(
        f"offset {offset} is not here: the log holds {start} up to {view.end_offset}", start=start
    )
