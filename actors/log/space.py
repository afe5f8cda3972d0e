"""Whether a disk takes more: the reserve of free space, and a write to try it by."""

from __future__ import annotations

import os
from collections.abc import Callable
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


class SpaceReserve:
    """Free space that appends leave alone, so that offsets and metadata can still be written when they are refused."""

    def __init__(
        self, folder: Path, *, reserve_bytes: int, reserve_percent: float, disk: Disk, clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._bytes = reserve_bytes
        self._percent = reserve_percent
        self._disk = disk
        self._clock = clock
        self._asked_at = -_ASK_SECONDS
        self._since = 0
        self._told = False

    def admit(self, size: int) -> None:
        """Let so many bytes be written.

        Raises:
            AppendRefusedError: they would go into the reserve; asked again at the next append.
        """
        now = self._clock()
        self._since += size
        if self._since < _ASK_BYTES and now - self._asked_at < _ASK_SECONDS:
            return
        self._asked_at = -_ASK_SECONDS
        try:
            free, whole = self._disk.space(self._folder)
        except OSError as error:
            raise AppendRefusedError(f"{self._folder}: free space cannot be told: {error.strerror}") from error
        reserve = max(self._bytes, int(whole * self._percent / 100))
        refusing = free - size < reserve
        self._tell(free, reserve, refusing=refusing)
        if refusing:
            raise AppendRefusedError(
                f"{self._folder}: {free} bytes are free, {reserve} are kept in reserve: free some space, or lower "
                f"retention, log.reserve_bytes or log.reserve_percent"
            )
        self._asked_at = now
        self._since = 0

    def _tell(self, free: int, reserve: int, *, refusing: bool) -> None:
        """Say once that it begins, and once that it is over: producers are not told about files."""
        if refusing and not self._told:
            self._told = True
            log.error(
                "A log takes no appends: the disk is nearly full", folder=str(self._folder), free=free, kept=reserve
            )
        # At the edge small appends go and large ones do not: that is no news each time.
        if self._told and free >= reserve + _ASK_BYTES:
            self._told = False
            log.info("A log takes appends again: there is room", folder=str(self._folder), free=free, kept=reserve)


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
