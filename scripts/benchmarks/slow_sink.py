"""A connector `slow`: SQLite that takes no more rows per second than a file says, as a plugin of an installed package.

The pace is for all who write together, and is read anew at each write, so that it can be changed while it runs.
"""

from __future__ import annotations

from pathlib import Path

import trio

from plugins.api import ConnectorType, Host, WriteBatch
from plugins.connectors.sqlite import Sqlite, SqliteSettings

PACE_FILE = "pace"
_PACKAGE = "penstock_slow_sink-1.0.dist-info"
_METADATA = "Metadata-Version: 2.1\nName: penstock-slow-sink\nVersion: 1.0\n"
_ENTRY_POINTS = "[penstock.plugins]\nslow = scripts.benchmarks.slow_sink\n"


class SlowSqlite(Sqlite):
    """Lets time pass before each transaction; costs no processor."""

    def __init__(self, settings: SqliteSettings, host: Host) -> None:
        super().__init__(settings, host)
        self._pace = host.data / PACE_FILE
        self._turn = trio.Lock()

    async def write(self, batch: WriteBatch) -> None:
        """One transaction, once its rows have had their time."""
        async with self._turn:
            await trio.sleep(len(batch.rows) / float(self._pace.read_text()))
            await super().write(batch)


def install(folder: Path) -> None:
    """Make a package of it in a folder that is on the path of Python."""
    package = folder / _PACKAGE
    package.mkdir()
    (package / "METADATA").write_text(_METADATA)
    (package / "entry_points.txt").write_text(_ENTRY_POINTS)


CONNECTOR = ConnectorType(name="slow", settings=SqliteSettings, build=SlowSqlite)
