"""Migrations, on real databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.errors import ConfigurationError, StorageError
from daemon.store.migrate import Migration, migrate, shipped
from daemon.store.sqlite import SqliteStore

ONE = Migration(1, "one", "CREATE TABLE a (x); INSERT INTO a VALUES (1);")
TWO = Migration(2, "two", "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1;")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "any.db", isolation_level=None)
    yield connection
    connection.close()


def test_each_step_runs_once_and_in_order(database: sqlite3.Connection) -> None:
    """A database is brought forward from wherever it stands, and each step leaves its mark."""
    assert migrate(database, [ONE], where="x", now=10) == 1
    assert migrate(database, [ONE, TWO], where="x", now=20) == 2
    assert migrate(database, [ONE, TWO], where="x", now=30) == 2
    assert database.execute("SELECT * FROM a").fetchall() == [(1, 2)]
    assert database.execute("SELECT * FROM schema_version").fetchall() == [(1, 10), (2, 20)]


def test_a_step_that_fails_leaves_the_version_before_it(database: sqlite3.Connection) -> None:
    """A migration is a transaction: half of one is never there."""
    broken = Migration(2, "broken", "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(database, [ONE, broken], where="x", now=10)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"a", "schema_version"}
    assert migrate(database, [ONE, TWO], where="x", now=20) == 2


def test_a_newer_database_is_refused(database: sqlite3.Connection) -> None:
    """An older program never touches what a newer one wrote, and says what to do."""
    migrate(database, [ONE, TWO], where="x", now=10)
    with pytest.raises(ConfigurationError, match=r"DIR/penstock\.db has schema version 2.*versions up to 1.*newer"):
        migrate(database, [ONE], where="DIR/penstock.db", now=20)


def test_shipped_migrations_are_numbered_without_gaps() -> None:
    """The files that come with the program make one unbroken sequence."""
    assert [step.number for step in shipped()] == list(range(1, len(shipped()) + 1))


async def test_the_store_refuses_a_newer_database(tmp_path: Path) -> None:
    """The refusal reaches whoever starts the daemon, and the file can be opened by the right program afterwards."""
    latest = shipped()
    future = Migration(latest[-1].number + 1, "future", "CREATE TABLE hologram (x)")
    await (await SqliteStore.open(tmp_path, [*latest, future])).close()
    with pytest.raises(ConfigurationError, match="newer penstock"):
        await SqliteStore.open(tmp_path)
    await (await SqliteStore.open(tmp_path, [*latest, future])).close()


async def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    """A folder that is not there names the file that could not be made."""
    with pytest.raises(StorageError, match=r"nowhere/penstock\.db: "):
        await SqliteStore.open(tmp_path / "nowhere")
