"""Reading a log while it is being written: any number of threads, up to a published end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from actors.errors import DamagedLogError, OffsetOutOfRangeError, StorageError
from actors.log.batch import (
    HEADER_BYTES,
    BadBatchError,
    BatchHeader,
    CutOffError,
    check_body,
    read_header,
    read_records,
)
from actors.log.disk import Disk, OpenFile
from actors.log.scan import Placed, SegmentScanner
from actors.log.segment import Segment
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
        number = bisect_right(view.segments, offset, key=lambda segment: segment.base_offset) - 1
        segment = view.segments[number]
        try:
            return _SegmentFetch(self._disk, view, number).fetch(offset, max_bytes, self._hints)
        except FileNotFoundError:
            # Retention was faster.
            raise _out_of_range(view, offset, segment) from None
        except OSError as error:
            raise StorageError(f"{segment.path}: offset {offset} cannot be read: {error.strerror}") from error


class _SegmentFetch:
    """One fetch from one segment."""

    def __init__(self, disk: Disk, view: LogView, number: int) -> None:
        self._disk = disk
        self._view = view
        self._number = number
        self._segment = view.segments[number]
        self._file: OpenFile = self._segment.open()
        last = number == len(view.segments) - 1
        self._end_offset = view.end_offset if last else view.segments[number + 1].base_offset
        self._scanner = SegmentScanner(disk, self._file, view.end_position if last else self._segment.size)

    def fetch(self, offset: int, max_bytes: int, hints: dict[int, tuple[int, int]]) -> Fetched:
        hint = hints.pop(offset, None)
        if hint is not None and hint[0] == self._segment.base_offset and hint[1] < self._scanner.size:
            position, expected = hint[1], offset
        else:
            placed = self._locate(offset)
            position, expected = placed.position, placed.header.base_offset
        batches, end, next_offset = self._read(position, expected, max_bytes)
        if len(hints) >= _MAX_HINTS:
            hints.clear()
        hints[next_offset] = (self._segment.base_offset, end)
        return Fetched(batches, offset, next_offset, self._view.end_offset)

    def _locate(self, offset: int) -> Placed:
        """The batch that holds an offset: hop by headers from the nearest index entry."""
        position, expected = self._nearest(offset)
        try:
            return self._hop(position, expected, offset)
        except BadBatchError:
            return self._walk(position, expected, offset)

    def _nearest(self, offset: int) -> tuple[int, int]:
        """Where to begin hopping, and the offset there: what the index says, if the batch agrees, or the beginning.

        No CRC covers a batch's base offset: it is believed only where something else says the same.
        """
        entry = self._segment.entry_at_or_before(offset)
        if entry is not None:
            last, position = entry
            with suppress(BadBatchError):
                header = self._scanner.header(position).header
                if header.next_offset - 1 == last:
                    return position, header.base_offset
        return 0, self._segment.base_offset

    def _hop(self, position: int, expected: int, offset: int) -> Placed:
        """Go from header to header, up to the batch that holds an offset."""
        while True:
            placed = self._scanner.header(position)
            _continue_at(placed.header, expected)
            if offset < placed.header.next_offset:
                return placed
            position, expected = placed.end, placed.header.next_offset

    def _walk(self, position: int, expected: int, offset: int) -> Placed:
        """Go from batch to batch, each checked whole: a header whose length is wrong leads astray."""
        while True:
            try:
                placed = self._scanner.batch(position, expected)
            except BadBatchError as bad:
                behind = self._scanner.next_whole(position, expected)
                if behind is None or behind.header.base_offset > offset:
                    self._damaged(position, expected, bad, behind)
                placed = behind
            if offset < placed.header.next_offset:
                return placed
            position, expected = placed.end, placed.header.next_offset

    def _read(self, position: int, expected: int, max_bytes: int) -> tuple[list[memoryview], int, int]:
        """Whole, checked batches from a position on; where they end, and the offset after them."""
        size = min(max(max_bytes, HEADER_BYTES), self._scanner.size - position)
        data = memoryview(self._disk.read(self._file.descriptor, size, position))
        batches: list[memoryview] = []
        taken = 0
        while not batches or taken < len(data):
            try:
                batch, header = _whole_batch(data[taken:], expected)
            except CutOffError as cut:
                if batches:
                    break
                if len(data) >= cut.size or position + cut.size > self._scanner.size:
                    self._damaged(position, expected, cut)
                data = memoryview(self._disk.read(self._file.descriptor, cut.size, position))
                continue
            except BadBatchError as bad:
                if batches:
                    break
                self._damaged(position, expected, bad)
            batches.append(batch)
            taken += header.size
            expected = header.next_offset
        return batches, position + taken, expected

    def _damaged(self, position: int, expected: int, bad: BadBatchError, behind: Placed | None = None) -> NoReturn:
        behind = behind or self._scanner.next_whole(position, expected)
        resume = max(behind.header.base_offset if behind else self._end_offset, expected + 1)
        raise DamagedLogError(
            f"{self._segment.path} is damaged at position {position}: offsets {expected} to {resume - 1} "
            f"cannot be read: {bad}; it can be read again from offset {resume}",
            resume=resume,
        ) from bad


def _whole_batch(data: memoryview, expected: int) -> tuple[memoryview, BatchHeader]:
    """The checked batch that data begins with."""
    header = read_header(data)
    _continue_at(header, expected)
    batch = data[: header.size]
    check_body(batch, header)
    return batch, header


def _continue_at(header: BatchHeader, expected: int) -> None:
    if header.base_offset != expected:
        raise BadBatchError(f"the batch begins with offset {header.base_offset} instead of {expected}")


def _out_of_range(view: LogView, offset: int, gone: Segment | None = None) -> OffsetOutOfRangeError:
    kept = [segment.base_offset for segment in view.segments if gone is None or segment.base_offset > gone.base_offset]
    start = kept[0] if kept else view.end_offset
    return OffsetOutOfRangeError(
        f"offset {offset} is not here: the log holds {start} up to {view.end_offset}", start=start
    )
