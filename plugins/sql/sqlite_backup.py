"""A consistent copy of a SQLite database while it is being written to."""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from pathlib import Path

import trio

from plugins.api import ConnectorError
from plugins.sql.sqlite_database import Database, Seat
from plugins.sql.sqlite_errors import system_error
from plugins.sql.threads import run_interruptible


async def back_up(database: Database, target: Path) -> Path | None:
    """Copy the database to `target`, as one transaction saw it, synced; writers go on meanwhile.

    Returns None where there is no database file yet. A cancelled copy leaves no file behind.

    Raises:
        ConnectorError: it cannot be read or written, or `target` is there already.
    """
    if not await trio.Path(database.path).exists():
        return None
    seat = Seat(database.connect, database.path)
    try:
        await seat.run(partial(_copy, target))
    except sqlite3.Error as error:
        raise system_error(error, database.path, f"back up into {target} of") from error
    except OSError as error:
        raise ConnectorError(f"back up of {database.path} into {target} failed: {error}") from error
    finally:
        with trio.CancelScope(shield=True):
            await run_interruptible(seat.close, seat.interrupt)
    return target


def _copy(target: Path, connection: sqlite3.Connection) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise FileExistsError(f"{target} is there already; name an empty folder")
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
        _sync(target)
        _sync(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
