"""The reserve of free space, shared by all logs on a file system."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.errors import AppendRefusedError
from actors.log.log import Log, LogLimits
from actors.log.space import SpaceReserves
from tests.actors.log.parts import Clock, FaultyDisk, append, records

RESERVE = 64 * 1024
MEBIBYTE = 1024 * 1024


class FillingDisk(FaultyDisk):
    """A disk of so many bytes, of which each write takes its part; folders under `other` lie on another one."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.written = 0
        self.asked = 0
        self._lock = threading.Lock()

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, position: int) -> int:
        with self._lock:
            self.written += len(data)
        return super().write(descriptor, data, position)

    def sync(self, descriptor: int) -> None:
        pass

    def space(self, folder: Path) -> tuple[int, int]:
        self.asked += 1
        return (1 << 40 if "other" in folder.parts else self.size - self.written), 1 << 40

    def device(self, folder: Path) -> int:
        return 2 if "other" in folder.parts else 1


def reserves(disk: FillingDisk, clock: Clock | None = None) -> SpaceReserves:
    return SpaceReserves(RESERVE, 0.0, disk, clock or Clock())


def logs(folder: Path, count: int, disk: FillingDisk, shared: SpaceReserves) -> list[Log]:
    limits = LogLimits(index_interval=4096)
    return [Log(folder / f"t-{number}", limits, disk, Clock(), reserves=shared) for number in range(count)]


def test_many_busy_logs_together_leave_the_reserve_alone(tmp_path: Path) -> None:
    """Sixty logs append in turn, each less than a mebibyte: together they stop where one alone would."""
    disk = FillingDisk(2 * MEBIBYTE + RESERVE)
    shared = reserves(disk)
    for log in logs(tmp_path, 60, disk, shared):
        with suppress(AppendRefusedError):
            for _ in range(8):
                append(log, records(100, log.next_offset, 1000))
    # Indexes are small, and are what the reserve is for.
    assert RESERVE - 16 * 1024 < disk.size - disk.written < RESERVE + 110 * 1024


def test_what_is_being_written_counts_as_written(tmp_path: Path) -> None:
    """Two logs that write at the same moment do not both get the last room; what was written in vain is free again."""
    disk = FillingDisk(RESERVE + 1000)
    reserve = reserves(disk).of(tmp_path)
    with reserve.room(tmp_path, 600):
        with pytest.raises(AppendRefusedError, match="kept in reserve"), reserve.room(tmp_path, 600):
            pass
        with reserve.room(tmp_path, 400):
            pass
    with reserve.room(tmp_path, 1000):
        pass


def test_threads_together_leave_the_reserve_alone(tmp_path: Path) -> None:
    """However the threads of many logs mix, what is written ends at the reserve."""
    disk = FillingDisk(MEBIBYTE + RESERVE)
    reserve = reserves(disk).of(tmp_path)
    descriptor = os.open(os.devnull, os.O_WRONLY)
    refused = threading.Barrier(8)

    def fill() -> None:
        with suppress(AppendRefusedError):
            while True:
                with reserve.room(tmp_path, 1000):
                    disk.write(descriptor, bytes(1000), 0)
        refused.wait(10)

    threads = [threading.Thread(target=fill) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(descriptor)
    assert RESERVE <= disk.size - disk.written < RESERVE + 8 * 1000


def test_each_file_system_has_a_reserve_of_its_own(tmp_path: Path) -> None:
    """Folders on one disk share theirs; a full one is no matter to logs on another."""
    disk = FillingDisk(RESERVE)
    shared = reserves(disk)
    here, other = tmp_path / "here", tmp_path / "other"
    assert shared.of(here) is shared.of(tmp_path)
    assert shared.of(other) is not shared.of(here)
    with pytest.raises(AppendRefusedError), shared.of(here).room(here, 1):
        pass
    with shared.of(other).room(other, 1):
        pass


def test_space_is_asked_for_once_in_a_mebibyte_or_a_second(tmp_path: Path) -> None:
    """Asking costs a system call: not for each append."""
    disk, clock = FillingDisk(1 << 30), Clock()
    reserve = reserves(disk, clock).of(tmp_path)
    for _ in range(2048):
        with reserve.room(tmp_path, 1024):
            pass
    assert disk.asked == 2
    clock.now += 1.1
    with reserve.room(tmp_path, 1024):
        pass
    assert disk.asked == 3


def test_a_full_disk_is_told_once_for_all_its_logs(tmp_path: Path) -> None:
    """One line when they begin to refuse and one when there is room, however many there are."""
    disk, clock = FillingDisk(1 << 30), Clock()
    shared = reserves(disk, clock)
    with capture_logs() as told:
        for free in (100, 200, 1 << 30, 1 << 30):
            disk.size = free
            for number in range(3):
                clock.now += 1.1
                folder = tmp_path / f"t-{number}"
                with suppress(AppendRefusedError), shared.of(folder).room(folder, 1):
                    pass
    assert [event["log_level"] for event in told] == ["error", "info"]
