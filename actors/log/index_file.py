"""A saved index searched where it lies: a few reads of one entry each, instead of the whole file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from actors.log.disk import Disk, OpenFile

Entry = tuple[int, int]


class IndexFile:
    """Entries of two numbers, ascending. What it finds is as right as the file is: check it against the log."""

    def __init__(self, disk: Disk, path: Path, entry: struct.Struct) -> None:
        self._disk = disk
        self._path = path
        self._entry = entry

    def last_below(self, fits: Callable[[Entry], bool]) -> tuple[Entry | None, Entry | None]:
        """The last entry that fits, where all before it do and none after it does, and the one after that.

        Nothing where the file is missing.

        Raises:
            OSError: the disk does not give it.
        """
        try:
            file = OpenFile.reading(self._path)
        except FileNotFoundError:
            return None, None
        low, high = 0, file.size() // self._entry.size
        found: Entry | None = None
        after: Entry | None = None
        while low < high:
            middle = (low + high) // 2
            entry = self._read(file, middle)
            if entry is None:
                return None, None
            if fits(entry):
                found, low = entry, middle + 1
            else:
                after, high = entry, middle
        return found, after

    def _read(self, file: OpenFile, number: int) -> Entry | None:
        data = self._disk.read(file.descriptor, self._entry.size, number * self._entry.size)
        if len(data) < self._entry.size:
            return None
        first, second = self._entry.unpack(data)
        return first, second
