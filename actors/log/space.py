"""Whether a disk takes more: the reserve of free space, and a write to try it by."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from actors.errors import AppendRefusedError
from actors.log.disk import Disk, write_all
from actors.log.names import PROBE

log = structlog.get_logger()

# Free space is asked for again after so many bytes or seconds.
_ASK_BYTES = 1024 * 1024
_ASK_SECONDS = 1.0
_PROBE_BYTES = 64 * 1024


class SpaceReserves:
    """A reserve for each file system that logs lie on; any thread may ask for one.

    The reserve is `reserve_bytes` or `reserve_percent` of the file system, whichever is larger.
    """

    def __init__(
        self,
        reserve_bytes: int,
        reserve_percent: float,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes = reserve_bytes
        self._percent = reserve_percent
        self._disk = disk or Disk()
        self._clock = clock
        self._reserves: dict[int, SpaceReserve] = {}
        self._lock = threading.Lock()

    def of(self, folder: Path) -> SpaceReserve:
        """The reserve of the file system that holds a folder.

        Raises:
            OSError: there is no such folder.
        """
        device = self._disk.device(folder)
        with self._lock:
            found = self._reserves.get(device)
            if found is None:
                found = SpaceReserve(self._bytes, self._percent, self._disk, self._clock)
                self._reserves[device] = found
            return found


class SpaceReserve:
    """Free space of one file system that appends leave alone, so that offsets and metadata can still be written.

    All its logs share it, each in a thread of its own: what any of them writes is taken from the same room.
    """

    def __init__(
        self, reserve_bytes: int, reserve_percent: float, disk: Disk, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes = reserve_bytes
        self._percent = reserve_percent
        self._disk = disk
        self._clock = clock
        self._lock = threading.Lock()
        # What may be written before free space is asked for again, and until when.
        self._granted = 0
        self._ask_at = -math.inf
        self._under_way = 0
        self._told = False

    @contextmanager
    def room(self, folder: Path, size: int) -> Iterator[None]:
        """Have room for so many bytes in a folder of this file system, while the block writes them.

        Raises:
            AppendRefusedError: they would go into the reserve; asked again at the next append.
        """
        with self._lock:
            self._admit(folder, size)
            self._under_way += size
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= size

    def _admit(self, folder: Path, size: int) -> None:
        if not self._bytes and not self._percent:
            return  # nothing is kept: the disk itself says no
        now = self._clock()
        if size <= self._granted and now < self._ask_at:
            self._granted -= size
            return
        self._granted = 0
        try:
            free, whole = self._disk.space(folder)
        except OSError as error:
            raise AppendRefusedError(f"{folder}: free space cannot be told: {error.strerror}") from error
        reserve = max(self._bytes, int(whole * self._percent / 100))
        # Others are writing at this moment: the file system may not have counted theirs yet.
        room = free - self._under_way - reserve
        self._tell(folder, free, reserve, refusing=size > room)
        if size > room:
            raise AppendRefusedError(
                f"{folder}: {free} bytes are free, {reserve} are kept in reserve: free some space, or lower "
                f"retention, log.reserve_bytes or log.reserve_percent"
            )
        self._granted = min(room, _ASK_BYTES) - size
        self._ask_at = now + _ASK_SECONDS

    def _tell(self, folder: Path, free: int, reserve: int, *, refusing: bool) -> None:
        """Say once that it begins, and once that it is over: producers are not told about files."""
        if refusing and not self._told:
            self._told = True
            log.error("Logs take no appends: the disk is nearly full", folder=str(folder), free=free, kept=reserve)
        # At the edge small appends go and large ones do not: that is no news each time.
        if self._told and free >= reserve + _ASK_BYTES:
            self._told = False
            log.info("Logs take appends again: there is room", folder=str(folder), free=free, kept=reserve)


def probe(disk: Disk, folder: Path) -> None:
    """Write and sync a file, and delete it.

    Raises:
        OSError: the disk does not take it.
    """
    path = folder / PROBE
    path.unlink(missing_ok=True)
    descriptor = disk.create(path)
    try:
        write_all(disk, descriptor, bytes(_PROBE_BYTES), 0)
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
