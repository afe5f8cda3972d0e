"""Numbered migrations: a database is brought to the version this program knows, or refused when it is newer."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from actors.errors import ConfigurationError


class Migration(NamedTuple):
    """One step; its number is the version of the schema after it."""

    number: int
    name: str
    sql: str


def shipped(folder: str = "migrations") -> list[Migration]:
    """The migrations of one database that come with this program (`<folder>/NNNN_name.sql`), in order."""
    return sorted(
        Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8"))
        for entry in resources.files("daemon.store").joinpath(folder).iterdir()
        if (match := re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name))
    )


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration], *, where: str, now: int) -> int:
    """Run the migrations that a database lacks, each in its own transaction; returns the version it then has.

    Args:
        connection: in autocommit mode (`isolation_level=None`).
        migrations: in order of their numbers.
        where: names the database in errors.
        now: milliseconds since the epoch.

    Raises:
        ConfigurationError: the database was written by a newer program.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT"
    )
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()[0]
    known = migrations[-1].number if migrations else 0
    if version > known:
        raise ConfigurationError(
            f"{where} has schema version {version}, and this program knows versions up to {known}: "
            "it was written by a newer penstock; run that one, or restore a backup made before the update"
        )
    for migration in migrations:
        if migration.number > version:
            _run(connection, migration, now)
    return max(version, known)


def _run(connection: sqlite3.Connection, migration: Migration, now: int) -> None:
    # executescript() commits what is open before it starts, so the transaction is part of the script.
    mark = f"INSERT INTO schema_version VALUES ({migration.number:d}, {now:d})"  # noqa: S608 - two numbers of our own
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.sql}\n;{mark};\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
