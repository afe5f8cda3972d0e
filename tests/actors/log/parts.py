"""Parts that the tests of the log share: records, logs on a small scale, and a disk that fails on demand."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from actors.errors import DamagedLogError
from actors.log.batch import build_batches
from actors.log.disk import Disk
from actors.log.log import Log, LogLimits
from actors.log.reader import LogReader
from actors.records import Record, StoredRecord

LIMITS = LogLimits(index_interval=100, reserve_bytes=0, reserve_percent=0)
NOW = 1_760_000_000.0


class FaultyDisk(Disk):
    """A disk whose operations fail with an errno for as long as it is set; `log_only` spares probes and indexes."""

    def __init__(self) -> None:
        self.write_error = 0
        self.write_limit: int | None = None
        self.sync_error = 0
        self.read_error = 0
        self.truncate_error = 0
        self.syncs = 0
        self.free: int | None = None

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, position: int) -> int:
        if self.write_error:
            if self.write_limit:
                # A disk that fills up takes the beginning.
                os.pwrite(descriptor, memoryview(data)[: self.write_limit], position)
            raise OSError(self.write_error, os.strerror(self.write_error))
        if self.write_limit:
            return os.pwrite(descriptor, memoryview(data)[: self.write_limit], position)
        return super().write(descriptor, data, position)

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.sync_error:
            raise OSError(self.sync_error, os.strerror(self.sync_error))
        super().sync(descriptor)

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        if self.read_error:
            raise OSError(self.read_error, os.strerror(self.read_error))
        return super().read(descriptor, size, position)

    def truncate(self, descriptor: int, size: int) -> None:
        if self.truncate_error:
            raise OSError(self.truncate_error, os.strerror(self.truncate_error))
        super().truncate(descriptor, size)

    def space(self, folder: Path) -> tuple[int, int]:
        return super().space(folder) if self.free is None else (self.free, 1 << 40)


class QuickDisk(Disk):
    """A disk that does not wait: for laws about bytes."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


ENOSPC = errno.ENOSPC
EIO = errno.EIO


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def records(count: int, first: int = 0, size: int = 20) -> list[Record]:
    """Records that tell their own number."""
    return [
        Record(b"key-%d" % n, (b"value-%d;" % n).ljust(size, b"."), int(NOW * 1000) + n)
        for n in range(first, first + count)
    ]


def open_log(folder: Path, disk: Disk | None = None, clock: Clock | None = None, limits: LogLimits = LIMITS) -> Log:
    return Log(folder, limits, disk, clock or Clock())


def append(log: Log, these: Sequence[Record], *, sync: bool = True) -> int:
    """Append records as one commit; the offset of the first."""
    offset = log.next_offset
    log.append(build_batches(these, offset), sync=sync, now=NOW)
    return offset


def plain(stored: Sequence[StoredRecord]) -> list[Record]:
    """Stored records as they were handed in."""
    return [Record(*record[:4]) for record in stored]


def read_all(
    log: Log, offset: int | None = None, max_bytes: int = 1000
) -> tuple[list[StoredRecord], list[DamagedLogError]]:
    """Everything that can be read, going on behind damage, and the damage."""
    reader = LogReader(Disk())
    view = log.view
    offset = view.start_offset if offset is None else offset
    found: list[StoredRecord] = []
    damage: list[DamagedLogError] = []
    while offset < view.end_offset:
        try:
            fetched = reader.fetch(view, offset, max_bytes)
        except DamagedLogError as error:
            damage.append(error)
            offset = max(offset + 1, error.resume)
            continue
        found += fetched.records()
        assert fetched.next_offset > offset
        offset = fetched.next_offset
    return found, damage


def flip(path: Path, position: int, mask: int = 0xFF) -> None:
    """Change one byte of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ mask]))


def log_file(folder: Path, base_offset: int = 0) -> Path:
    return folder / f"{base_offset:020d}.log"
