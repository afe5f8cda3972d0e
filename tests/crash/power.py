"""Power cuts: SIGKILL leaves the kernel's memory alone, so what was never synced is taken away by hand."""

from __future__ import annotations

import os
import random
from pathlib import Path

# Where a daemon notes what it has synced.
_NOTES = "SYNC_NOTES"


def note_syncs() -> None:
    """In the daemon, before anything else: note how much of each file has been synced, after the sync has returned."""
    real, notes = os.fdatasync, os.open(os.environ[_NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def fdatasync(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        real(descriptor)
        os.write(notes, f"{size} {Path(f'/proc/self/fd/{descriptor}').readlink()}\n".encode())

    os.fdatasync = fdatasync


class PowerSupply:
    """What a daemon that calls `note_syncs` is to be started with, so that its power can be cut."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._notes = folder / "synced"
        self.environment = {_NOTES: str(self._notes)}

    def cut(self, topics: Path) -> int:
        """Take from each segment of a killed daemon some or all of what was not synced; returns how many bytes."""
        synced = self._synced()
        lost = 0
        for path in topics.rglob("*.log"):
            size = path.stat().st_size
            kept = min(size, synced.get(path, 0))
            # The kernel may have written any part of the rest by itself.
            end = random.choice((kept, random.randint(kept, size)))
            os.truncate(path, end)
            lost += size - end
        return lost

    def _synced(self) -> dict[Path, int]:
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        notes = (line.split(" ", 1) for line in lines)
        return {Path(path): int(size) for size, path in notes}
