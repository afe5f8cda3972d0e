"""What the log asks of the operating system: the seam at which tests let a disk fail."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """Blocking file operations by descriptor and position; each raises OSError as the system does."""

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, position: int) -> int:
        """Write at a position; says how many bytes went, which may be fewer than asked."""
        return os.pwrite(descriptor, data, position)

    def sync(self, descriptor: int) -> None:
        """Put a file's data on the disk (fdatasync)."""
        os.fdatasync(descriptor)

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        """Read at a position; fewer bytes at the end of the file."""
        return os.pread(descriptor, size, position)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(descriptor, size)

    def create(self, path: Path) -> int:
        """Make a file that is not there yet, to be read and written."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def sync_folder(self, folder: Path) -> None:
        """Make the creation or deletion of a file in it durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def space(self, folder: Path) -> tuple[int, int]:
        """Bytes that are free for this process, and bytes in all, of the file system that holds a folder."""
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize

    def device(self, folder: Path) -> int:
        """A number of the file system that holds a folder, which no other has."""
        return folder.stat().st_dev


class OpenFile:
    """An open descriptor that closes when nobody holds it any more.

    A reader in its thread may still be reading a segment that retention deletes: it keeps this, and so the descriptor,
    until it is through. Closing by hand would hand its number to another file meanwhile.
    """

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)

    @classmethod
    def reading(cls, path: Path) -> OpenFile:
        """Open a file to be read."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    @classmethod
    def writing(cls, path: Path) -> OpenFile:
        """Open a file that exists to be read and written."""
        return cls(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def size(self) -> int:
        """The size of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def modified(self) -> float:
        """When the file was last written, in seconds since the epoch."""
        return os.fstat(self.descriptor).st_mtime


def write_all(disk: Disk, descriptor: int, data: bytes | bytearray | memoryview, position: int) -> None:
    """Write everything at a position.

    Raises:
        OSError: as the system says; part of it may have been written.
    """
    written = disk.write(descriptor, data, position)
    if written == len(data):
        return
    rest = memoryview(data)[written:]
    while rest:
        written += disk.write(descriptor, rest, position + written)
        rest = memoryview(data)[written:]
