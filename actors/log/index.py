"""Sparse indexes of a segment, in the formats of Kafka's `.index` and `.timeindex`."""

from __future__ import annotations

import os
import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

from actors.log.disk import Disk, OpenFile, write_all
from actors.log.index_file import Entry, IndexFile

# Unsaved entries are written once so many wait; what a crash loses of them is found again by recovery.
SAVE_EVERY = 256

_OFFSET_ENTRY = struct.Struct(">ii")
_TIME_ENTRY = struct.Struct(">qi")


class OffsetIndex:
    """Where batches lie: from an offset to a position, one entry in every few kilobytes.

    File format: entries of 8 bytes, ascending; int32 last offset of a batch relative to the segment's base offset,
    int32 position of that batch. In memory the same numbers in one array.
    """

    ENTRY_BYTES = 8

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = array("i")
        self._saved = 0

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def add(self, relative: int, position: int) -> None:
        """Note that the batch at `position` ends with the offset `relative`."""
        self._numbers.extend((relative, position))

    def floor(self, relative: int) -> Entry | None:
        """The last entry (relative offset, position) at or below an offset, or None."""
        return self.around(relative)[0]

    def around(self, relative: int) -> tuple[Entry | None, Entry | None]:
        """The last entry (relative offset, position) at or below an offset, and the one after it."""
        # Readers ask from threads of their own: this array only grows, and is replaced where entries are cut.
        numbers = self._numbers
        count = len(numbers) // 2
        found = bisect_right(range(count), relative, key=lambda entry: numbers[2 * entry])
        below = (numbers[2 * found - 2], numbers[2 * found - 1]) if found else None
        return below, ((numbers[2 * found], numbers[2 * found + 1]) if found < count else None)

    def below_offset(self, relative: int) -> Iterator[Entry]:
        """The entries (relative offset, position) below an offset, in order."""
        numbers = self._numbers
        count = bisect_left(range(len(numbers) // 2), relative, key=lambda entry: numbers[2 * entry])
        return zip(numbers[0 : 2 * count : 2], numbers[1 : 2 * count : 2], strict=True)

    @staticmethod
    def around_in_file(disk: Disk, path: Path, relative: int) -> tuple[Entry | None, Entry | None]:
        """What `around` says of a file, without loading it; nothing where it is missing."""
        return IndexFile(disk, path, _OFFSET_ENTRY).last_below(lambda entry: entry[0] <= relative)

    def cut(self, position: int) -> None:
        """Forget the entries at or past a position."""
        keep = len(self)
        while keep and self._numbers[2 * keep - 1] >= position:
            keep -= 1
        self._numbers = self._numbers[: 2 * keep]
        self._saved = min(self._saved, keep)

    def unsaved(self) -> int:
        """How many entries are not in the file yet."""
        return len(self) - self._saved

    def save(self, disk: Disk, *, sync: bool = False) -> None:
        """Write what is not in the file yet, and cut off what was there beyond."""
        numbers = self._numbers[2 * self._saved :]
        _save(disk, self.path, _big_endian(numbers).tobytes(), self._saved * self.ENTRY_BYTES, sync=sync)
        self._saved = len(self)

    @classmethod
    def looks_right(cls, path: Path, log_size: int) -> bool:
        """Whether a file is there and its last entry could be one: all that is worth checking of every old segment."""
        try:
            file = OpenFile.reading(path)
        except FileNotFoundError:
            return False
        size = file.size()
        if size == 0:
            return True
        if size % cls.ENTRY_BYTES:
            return False
        _, position = _OFFSET_ENTRY.unpack(os.pread(file.descriptor, cls.ENTRY_BYTES, size - cls.ENTRY_BYTES))
        return bool(0 < position < log_size)

    def load(self, log_size: int) -> bool:
        """Read the file; False (and nothing loaded) where it is missing or cannot be this segment's index."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return False
        numbers = array("i")
        numbers.frombytes(data[: len(data) - len(data) % self.ENTRY_BYTES])
        numbers = _big_endian(numbers)
        relatives, positions = numbers[0::2], numbers[1::2]
        if len(data) % self.ENTRY_BYTES or not (_ascending(relatives) and _ascending(positions)):
            return False
        if positions and not (relatives[0] >= 0 and positions[0] > 0 and positions[-1] < log_size):
            return False
        self._numbers = numbers
        self._saved = len(self)
        return True


class TimeIndex:
    """When records were written: the largest timestamp so far, and the last offset of the batch it came with.

    File format: entries of 12 bytes, ascending; int64 timestamp in milliseconds, int32 relative offset. No record up
    to that offset has a larger timestamp.
    """

    ENTRY_BYTES = 12

    def __init__(self, path: Path) -> None:
        self.path = path
        self._timestamps = array("q")
        self._relatives = array("i")
        self._saved = 0

    def __len__(self) -> int:
        return len(self._relatives)

    @classmethod
    def last_in_file(cls, path: Path) -> Entry | None:
        """The last entry (timestamp, relative offset) of a file; None where it is missing, empty or cannot be one."""
        try:
            file = OpenFile.reading(path)
        except FileNotFoundError:
            return None
        size = file.size()
        if not size or size % cls.ENTRY_BYTES:
            return None
        data = os.pread(file.descriptor, cls.ENTRY_BYTES, size - cls.ENTRY_BYTES)
        timestamp, relative = _TIME_ENTRY.unpack(data)
        return int(timestamp), int(relative)

    def last(self) -> Entry | None:
        """The last entry (timestamp, relative offset): the largest timestamp that the index knows of."""
        return (self._timestamps[-1], self._relatives[-1]) if self._timestamps else None

    def floor(self, relative: int) -> Entry | None:
        """The last entry (timestamp, relative offset) at or below an offset, or None."""
        found = bisect_right(self._relatives, relative)
        return (self._timestamps[found - 1], self._relatives[found - 1]) if found else None

    def below_offset(self, relative: int) -> Iterator[Entry]:
        """The entries (timestamp, relative offset) below an offset, in order."""
        count = bisect_left(self._relatives, relative)
        return zip(self._timestamps[:count], self._relatives[:count], strict=True)

    def below(self, timestamp: int) -> Entry | None:
        """The last entry with a smaller timestamp, or None."""
        # As for the offset index; an entry's relative offset is added last.
        timestamps, relatives = self._timestamps, self._relatives
        found = bisect_left(timestamps, timestamp, 0, min(len(timestamps), len(relatives)))
        return (timestamps[found - 1], relatives[found - 1]) if found else None

    @staticmethod
    def below_in_file(disk: Disk, path: Path, timestamp: int) -> Entry | None:
        """What `below` says of a file, without loading it; None where it is missing."""
        return IndexFile(disk, path, _TIME_ENTRY).last_below(lambda entry: entry[0] < timestamp)[0]

    def add(self, timestamp: int, relative: int) -> None:
        """Note the largest timestamp so far; one that is not larger is no news."""
        if not self._timestamps or timestamp > self._timestamps[-1]:
            self._timestamps.append(timestamp)
            self._relatives.append(relative)

    def cut(self, relative: int) -> None:
        """Forget the entries at or past an offset."""
        keep = len(self)
        while keep and self._relatives[keep - 1] >= relative:
            keep -= 1
        self._timestamps, self._relatives = self._timestamps[:keep], self._relatives[:keep]
        self._saved = min(self._saved, keep)

    def save(self, disk: Disk, *, sync: bool = False) -> None:
        """Write what is not in the file yet, and cut off what was there beyond."""
        entries = zip(self._timestamps[self._saved :], self._relatives[self._saved :], strict=True)
        data = b"".join(_TIME_ENTRY.pack(*entry) for entry in entries)
        _save(disk, self.path, data, self._saved * self.ENTRY_BYTES, sync=sync)
        self._saved = len(self)

    def load(self) -> bool:
        """Read the file; False (and nothing loaded) where it is missing or cannot be an index."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return False
        if len(data) % self.ENTRY_BYTES:
            return False
        entries = list(_TIME_ENTRY.iter_unpack(data))
        timestamps, relatives = array("q", (t for t, _ in entries)), array("i", (r for _, r in entries))
        if not (_ascending(timestamps) and _ascending(relatives)):
            return False
        self._timestamps, self._relatives = timestamps, relatives
        self._saved = len(self)
        return True


def _big_endian(numbers: array[int]) -> array[int]:
    swapped = array(numbers.typecode, numbers)
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped


def _ascending(numbers: array[int]) -> bool:
    return all(map(int.__lt__, numbers, numbers[1:]))


def _save(disk: Disk, path: Path, data: bytes, position: int, *, sync: bool) -> None:
    file = OpenFile.writing(path) if path.exists() else OpenFile(disk.create(path))
    if data:
        write_all(disk, file.descriptor, data, position)
    disk.truncate(file.descriptor, position + len(data))
    if sync:
        disk.sync(file.descriptor)
