"""The recovery point: the offset below which everything is known to be on disk."""

from __future__ import annotations

from pathlib import Path

from aiokafka.record.util import calc_crc32c

from actors.log.disk import Disk, OpenFile, write_all
from actors.log.names import RECOVERY_POINT


class RecoveryPoint:
    """A file moved after each sync; recovery starts there, and calls a bad batch below it damage, not a torn tail.

    File format: one line, the offset in 20 digits and the CRC-32C of those digits in 8 hexadecimal ones. It is not
    synced itself: an old one only makes the scan longer. What cannot be read counts as 0.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / RECOVERY_POINT
        self._disk = disk
        self._file: OpenFile | None = None

    def load(self) -> int:
        """The offset, or 0 where the file is missing or unreadable."""
        try:
            digits, crc = self._path.read_bytes().split()
            return int(digits) if int(crc, 16) == calc_crc32c(digits) else 0
        except (FileNotFoundError, ValueError):
            return 0

    def move(self, offset: int, *, sync: bool = False) -> None:
        """Write another offset."""
        if self._file is None:
            exists = self._path.exists()
            self._file = OpenFile.writing(self._path) if exists else OpenFile(self._disk.create(self._path))
        digits = b"%020d" % offset
        write_all(self._disk, self._file.descriptor, b"%s %08x\n" % (digits, calc_crc32c(digits)), 0)
        if sync:
            self._disk.sync(self._file.descriptor)
