"""What the daemon's SQLite files have in common: transactions, their errors, copies."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise what SQLite and the system say of a file as StorageError that names it."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{path}: {error}") from error


def create_private(path: Path) -> None:
    """Make the file where it is missing: by us, so that nobody else may read it even for a moment."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], object]) -> None:
    """Do it all, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as of one moment, while it is written; the copy is on disk when this returns.

    Raises:
        sqlite3.Error, OSError: as they say; FileExistsError: a backup never overwrites one that is there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    reader = sqlite3.connect(source, isolation_level=None, timeout=10.0)
    try:
        writer = sqlite3.connect(target, isolation_level=None)
        try:
            reader.backup(writer)
        finally:
            writer.close()
    finally:
        reader.close()
    _sync(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
