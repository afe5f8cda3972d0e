"""Going through the batches of a segment file: hop by headers, check whole, and find where it is good again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.log.batch import (
    HEADER_BYTES,
    MARK,
    MARK_POSITION,
    MAX_RELATIVE,
    BadBatchError,
    BatchHeader,
    CutOffError,
    check_body,
    read_header,
)
from actors.log.disk import Disk, OpenFile

_CHUNK = 1024 * 1024


class Placed(NamedTuple):
    """A batch and where it lies in its file."""

    header: BatchHeader
    position: int

    @property
    def end(self) -> int:
        """The position after it."""
        return self.position + self.header.size


class SegmentScanner:
    """Reads batches of one file up to a size, which may be less than the file's."""

    def __init__(self, disk: Disk, file: OpenFile, size: int) -> None:
        self._disk = disk
        self._file = file
        self.size = size

    def header(self, position: int) -> Placed:
        """The batch at a position, by its header alone.

        Raises:
            BadBatchError: there is none, or it does not end within the file.
            OSError: the disk does not give it.
        """
        data = self._disk.read(self._file.descriptor, min(HEADER_BYTES, self.size - position), position)
        placed = Placed(read_header(data), position)
        if placed.end > self.size:
            raise CutOffError(placed.header.size, self.size - position)
        return placed

    def batch(self, position: int, expected: int) -> Placed:
        """The batch at a position, checked whole: header, base offset, length, CRC.

        Raises:
            BadBatchError: it is not a whole batch, or not the one with the base offset `expected`.
            OSError: the disk does not give it.
        """
        placed = self.header(position)
        if placed.header.base_offset != expected:
            raise BadBatchError(f"the batch begins with offset {placed.header.base_offset} instead of {expected}")
        check_body(memoryview(self._disk.read(self._file.descriptor, placed.header.size, position)), placed.header)
        return placed

    def next_whole(self, position: int, least: int) -> Placed | None:
        """The first whole batch after a bad one at `position` whose offsets are at `least` or above.

        What lies inside the bad batch, by the bad batch's own length, counts only where whole batches lead from it to
        the end of the file: a device may send a batch as its payload.
        """
        claimed = self._claimed_end(position)
        for found in self._candidates(position + 1):
            placed = self._whole(found, least)
            if placed is not None and (found >= claimed or self._leads_to_end(placed)):
                return placed
        return None

    def _claimed_end(self, position: int) -> int:
        try:
            data = self._disk.read(self._file.descriptor, HEADER_BYTES, position)
            return position + read_header(data).size
        except BadBatchError:
            return position

    def _candidates(self, start: int) -> Iterator[int]:
        """The positions from `start` on at which the mark of a batch would be right."""
        position = start + MARK_POSITION
        while position < self.size:
            data = self._disk.read(self._file.descriptor, min(_CHUNK, self.size - position), position)
            found = data.find(MARK)
            while found >= 0:
                yield position + found - MARK_POSITION
                found = data.find(MARK, found + 1)
            if len(data) < len(MARK):
                return
            # The mark may lie across two chunks.
            position += len(data) - len(MARK) + 1

    def _whole(self, position: int, least: int) -> Placed | None:
        try:
            placed = self.header(position)
            if not least <= placed.header.base_offset <= least + MAX_RELATIVE:
                return None
            return self.batch(position, placed.header.base_offset)
        except BadBatchError:
            return None

    def _leads_to_end(self, placed: Placed) -> bool:
        while placed.end < self.size:
            try:
                placed = self.batch(placed.end, placed.header.next_offset)
            except BadBatchError:
                return False
        return True
