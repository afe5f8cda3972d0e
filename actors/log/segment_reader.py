"""Reading one segment: finding a batch through the index, checked batches from there on, and what to say of damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from actors.errors import DamagedLogError
from actors.log.batch import HEADER_BYTES, BadBatchError, BatchHeader, CutOffError, check_body, read_header
from actors.log.disk import Disk, OpenFile
from actors.log.index_file import Entry
from actors.log.scan import Placed, SegmentScanner
from actors.log.segment import Segment


class SegmentReader:
    """One open segment, up to `size` bytes of it; `end_offset` is where its offsets end.

    Its methods raise OSError where the disk does not give the bytes.
    """

    def __init__(self, disk: Disk, segment: Segment, size: int, end_offset: int) -> None:
        self.segment = segment
        self.size = size
        self._disk = disk
        self._file: OpenFile = segment.open()
        self._end_offset = end_offset
        self._scanner = SegmentScanner(disk, self._file, size)

    def locate(self, offset: int) -> Placed:
        """The batch that holds an offset: hop by headers from the nearest index entry.

        Raises:
            DamagedLogError: it is not what was written.
        """
        position, expected = self._nearest(offset)
        with suppress(BadBatchError):
            for placed in self.hop(position, expected):
                if offset < placed.header.next_offset:
                    return placed
        return self._walk_to(position, expected, offset)

    def holds_time(self, entry: Entry) -> bool:
        """Whether a time index entry says what the batch it points to says."""
        timestamp, last = entry
        if not self.segment.base_offset <= last < self._end_offset:
            return False
        with suppress(DamagedLogError):
            header = self.locate(last).header
            return (header.max_timestamp, header.next_offset) == (timestamp, last + 1)
        return False

    def hop(self, position: int, expected: int) -> Iterator[Placed]:
        """The batches from a position on, by their headers alone.

        Raises:
            BadBatchError: one does not continue the one before it, or is none.
        """
        while position < self.size:
            placed = self._scanner.header(position)
            _continue_at(placed.header, expected)
            yield placed
            position, expected = placed.end, placed.header.next_offset

    def walk(self, position: int, expected: int) -> Iterator[Placed]:
        """The whole batches from a position on, each checked; damage is left out."""
        while position < self.size:
            placed: Placed | None
            try:
                placed = self._scanner.batch(position, expected)
            except BadBatchError:
                placed = self._scanner.next_whole(position, expected)
            if placed is None:
                return
            yield placed
            position, expected = placed.end, placed.header.next_offset

    def read(self, position: int, expected: int, max_bytes: int) -> tuple[list[memoryview], int, int]:
        """Whole, checked batches from a position on; where they end, and the offset after them.

        Up to `max_bytes` together; one that is larger comes alone.

        Raises:
            BadBatchError: the first one is not what was written.
        """
        size = min(max(max_bytes, HEADER_BYTES), self.size - position)
        data = memoryview(self._disk.read(self._file.descriptor, size, position))
        batches: list[memoryview] = []
        taken = 0
        while not batches or taken < len(data):
            try:
                batch, header = _whole_batch(data[taken:], expected)
            except CutOffError as cut:
                if batches:
                    break
                if len(data) >= cut.size or position + cut.size > self.size:
                    raise
                data = memoryview(self._disk.read(self._file.descriptor, cut.size, position))
                continue
            except BadBatchError:
                if batches:
                    break
                raise
            batches.append(batch)
            taken += header.size
            expected = header.next_offset
        return batches, position + taken, expected

    def next_whole(self, position: int, expected: int) -> Placed | None:
        """The first whole batch behind a bad one at `position`, which should have begun with the offset `expected`."""
        return self._scanner.next_whole(position, expected)

    def damaged(
        self, position: int, expected: int, bad: BadBatchError, behind: Placed | None = None
    ) -> DamagedLogError:
        """What to raise over a bad batch."""
        behind = behind or self.next_whole(position, expected)
        resume = max(behind.header.base_offset if behind else self._end_offset, expected + 1)
        return DamagedLogError(
            f"{self.segment.path} is damaged at position {position}: offsets {expected} to {resume - 1} "
            f"cannot be read: {bad}; it can be read again from offset {resume}",
            resume=resume,
        )

    def _nearest(self, offset: int) -> tuple[int, int]:
        """Where to begin hopping, and the offset there: what the index says, if the batch agrees, or the beginning.

        No CRC covers a batch's base offset: it is believed only where something else says the same.
        """
        entry = self.segment.entry_at_or_before(self._disk, offset)
        if entry is not None and 0 <= entry[1] < self.size:
            last, position = entry
            with suppress(BadBatchError):
                header = self._scanner.header(position).header
                if header.next_offset - 1 == last:
                    return position, header.base_offset
        return 0, self.segment.base_offset

    def _walk_to(self, position: int, expected: int, offset: int) -> Placed:
        """Go from batch to batch, each checked whole: a header whose length is wrong leads astray."""
        while True:
            try:
                placed = self._scanner.batch(position, expected)
            except BadBatchError as bad:
                behind = self._scanner.next_whole(position, expected)
                if behind is None or behind.header.base_offset > offset:
                    raise self.damaged(position, expected, bad, behind) from bad
                placed = behind
            if offset < placed.header.next_offset:
                return placed
            position, expected = placed.end, placed.header.next_offset


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
