"""Connector `sqlite`: a database file, by default in the daemon's data folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from plugins.api import (
    Column,
    ConnectionReport,
    ConnectorType,
    Host,
    Position,
    QueryResult,
    ResultLimits,
    ResultTooLargeError,
    StatementError,
    TargetTable,
    TopicPartition,
    WriteBatch,
)
from plugins.sql import sqlite_errors
from plugins.sql.positions import fenced
from plugins.sql.reports import tried
from plugins.sql.sqlite_backup import back_up
from plugins.sql.sqlite_database import CommitFailed, Database, transaction
from plugins.sql.sqlite_statements import parse, read_statement
from plugins.sql.statements import POSITIONS, create, insert, quoted

T = TypeVar("T")

_TYPES = {"string": "TEXT", "integer": "INTEGER", "number": "REAL", "boolean": "BOOLEAN", "json": "TEXT"}
_CREATE_POSITIONS = (
    f"CREATE TABLE IF NOT EXISTS {POSITIONS} (task TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, "
    'epoch INTEGER NOT NULL, "offset" INTEGER, PRIMARY KEY (task, topic, partition))'
)
_CLAIM = (
    f"INSERT INTO {POSITIONS} (task, topic, partition, epoch) VALUES (?, ?, ?, 1) "  # noqa: S608 - a constant
    "ON CONFLICT (task, topic, partition) DO UPDATE SET epoch = epoch + 1"
)
_RESET = (
    f'INSERT INTO {POSITIONS} (task, topic, partition, epoch, "offset") VALUES (?, ?, ?, 1, ?) '  # noqa: S608 - constant
    'ON CONFLICT (task, topic, partition) DO UPDATE SET epoch = epoch + 1, "offset" = excluded."offset"'
)
_WHERE = "WHERE task = ? AND topic = ? AND partition = ?"
_POSITION = f'SELECT epoch, "offset" FROM {POSITIONS} {_WHERE}'  # noqa: S608 - a constant
_ADVANCE = f'UPDATE {POSITIONS} SET "offset" = ? {_WHERE} AND epoch = ? AND "offset" IS ?'  # noqa: S608 - a constant
# One statement for many rows: sqlite3 gives up the interpreter's lock at each step, and beside a busy main thread a
# statement per row waits for it a thousand times a batch.
_ROWS_A_STATEMENT = 1024
_VARIABLES_A_STATEMENT = 32_766
_STATEMENTS_REMEMBERED = 1_000


class SqliteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a connection to SQLite.

    `path` is relative to the daemon's data folder. `busy_timeout_ms` is how long to wait for another process's lock,
    `max_waiting` how many queries may wait for a connection.
    """

    path: Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[^\x00]*$")]
    read_only: bool = False
    busy_timeout_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 2_000
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 256


class Sqlite:
    """A living connection to one SQLite file (see `actors.ports.Connector`)."""

    def __init__(self, settings: SqliteSettings, host: Host) -> None:
        self._data = host.data.resolve()
        path = (self._data / settings.path).resolve()
        self._inside = path.is_relative_to(self._data)
        self._database = Database(
            path,
            read_only=settings.read_only,
            busy_timeout=settings.busy_timeout_ms / 1000,
            make_folder=self._inside,
            line=settings.max_waiting,
        )
        self._read_statement = lru_cache(_STATEMENTS_REMEMBERED)(read_statement)
        self._writes: set[str] = set()
        self._inserts: dict[TargetTable, Inserts] = {}

    async def test(self) -> ConnectionReport:
        """Open the file, read its schema, and make a change that is rolled back."""
        report = await tried(
            lambda: self._system("connect to", self._database.read, _version),
            lambda: self._system("write to", self._database.write, _try_to_write),
        )
        # Where writing is not wanted it is no problem that it cannot be done.
        return replace(report, problem="") if report.connected and self._database.read_only else report

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        """Run one statement; it first goes to a reader, and to the writer once it turns out to write."""
        sql = self._read_statement(sql).sql
        try:
            if sql not in self._writes:
                try:
                    return await self._database.read(partial(_run, sql, parameters, limits), who=sql)
                except sqlite3.OperationalError as error:
                    if self._database.read_only or not sqlite_errors.is_write_refused(error):
                        raise
                self._remember_write(sql)
            return await self._database.write(partial(_run_writing, sql, parameters, limits), who=sql)
        except sqlite_errors.ERRORS as error:
            raise sqlite_errors.query_error(error, self._database.path) from error
        except CommitFailed as failure:
            raise sqlite_errors.commit_error(_cause(failure), self._database.path) from failure

    async def tables(self) -> Sequence[str]:
        """The names of tables and views."""
        return await self._system("list the tables of", self._database.read, _tables)

    async def columns(self, table: str) -> Sequence[Column]:
        """The columns of a table; StatementError where there is none of that name."""
        columns: list[Column] = await self._system("list the columns of", self._database.read, partial(_columns, table))
        if not columns:
            raise StatementError(f"no such table: {table} in {self._database.path}")
        return columns

    async def create_table(self, table: TargetTable) -> None:
        """Make the table where it is missing.

        Keyed tables are made WITHOUT ROWID: there a key is never null nor made up, and an upsert walks one tree only.
        """
        sql = create(table, quoted(table.name), _TYPES.__getitem__) + (" WITHOUT ROWID" if table.key else "")
        await self._system(f"create table {table.name} in", self._database.write, partial(_execute, sql))

    async def claim(self, task: str, source: TopicPartition) -> Position:
        """Raise the epoch of a task's partition; the first claim makes the position table."""
        return await self._system("claim a position in", self._database.write, partial(_claim, (task, *source)))

    async def position(self, task: str, source: TopicPartition) -> Position:
        """The position as it stands; epoch 0 where nobody has claimed yet."""
        return await self._system("read a position from", self._database.read, partial(_position, (task, *source)))

    async def write(self, batch: WriteBatch) -> None:
        """One transaction: the position, then the rows."""
        inserts = self._inserts_for(batch.table)
        try:
            await self._database.write(partial(_write, batch, inserts))
        except sqlite_errors.ERRORS as error:
            raise sqlite_errors.write_error(error, self._database.path, batch.table.name) from error
        except CommitFailed as failure:
            raise sqlite_errors.commit_error(_cause(failure), self._database.path) from failure

    async def reset(self, task: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set positions and raise their epochs in one transaction; the first one makes the position table."""
        rows = [(task, *source, offset) for source, offset in offsets.items()]
        await self._system("set a position in", self._database.write, partial(_reset, rows))

    async def backup_into(self, folder: Path) -> Path | None:
        """Copy the database into `folder`, at the path that it has in the data folder (see EmbeddedStore)."""
        if not self._inside:
            return None
        target = folder / self._database.path.relative_to(self._data)
        return await back_up(self._database, target)

    async def close(self) -> None:
        """Close every connection, once what runs has ended."""
        await self._database.close()

    async def _system(
        self,
        doing: str,
        place: Callable[[Callable[[sqlite3.Connection], T]], Awaitable[T]],
        work: Callable[[sqlite3.Connection], T],
    ) -> T:
        """Run what the project itself asks of the database, where any failure is the database's."""
        try:
            return await place(work)
        except sqlite_errors.ERRORS as error:
            raise sqlite_errors.system_error(error, self._database.path, doing) from error
        except CommitFailed as failure:
            raise sqlite_errors.commit_error(_cause(failure), self._database.path) from failure

    def _remember_write(self, sql: str) -> None:
        if len(self._writes) >= _STATEMENTS_REMEMBERED:
            self._writes.clear()
        self._writes.add(sql)

    def _inserts_for(self, table: TargetTable) -> Inserts:
        inserts = self._inserts.get(table)
        if inserts is None:
            if len(self._inserts) >= _STATEMENTS_REMEMBERED:
                self._inserts.clear()
            inserts = self._inserts[table] = Inserts(table)
        return inserts


class Inserts:
    """The statements that write rows into one table, of 1, 2, 4, ... rows, so that few of them serve every batch."""

    def __init__(self, table: TargetTable) -> None:
        self._table = table
        self._sql: dict[int, str] = {}
        self._json = [index for index, (_, field_type) in enumerate(table.columns) if field_type == "json"]
        room = max(1, min(_ROWS_A_STATEMENT, _VARIABLES_A_STATEMENT // len(table.columns)))
        self._largest = 1 << (room.bit_length() - 1)

    def of(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Statements and their values that together write all the rows, in order."""
        start, left = 0, len(rows)
        while left:
            size = min(self._largest, 1 << (left.bit_length() - 1))
            part = rows[start : start + size]
            if self._json:
                part = [self._with_json_text(row) for row in part]
            yield self._statement(size), tuple(chain.from_iterable(part))
            start += size
            left -= size

    def _statement(self, rows: int) -> str:
        sql = self._sql.get(rows)
        if sql is None:
            one = f"({', '.join('?' * len(self._table.columns))})"
            sql = self._sql[rows] = insert(self._table, quoted(self._table.name), ", ".join([one] * rows))
        return sql

    def _with_json_text(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for index in self._json:
            if values[index] is not None:
                values[index] = msgspec.json.encode(values[index]).decode()
        return tuple(values)


def _cause(failure: CommitFailed) -> BaseException:
    return failure.__cause__ or failure


def _run(sql: str, parameters: Mapping[str, Any], limits: ResultLimits, connection: sqlite3.Connection) -> QueryResult:
    cursor = connection.execute(sql, parameters)
    try:
        if cursor.description is None:
            return QueryResult((), (), max(cursor.rowcount, 0))
        rows = _fetch(cursor, limits)
        columns = tuple(column[0] for column in cursor.description)
        return QueryResult(columns, rows, max(cursor.rowcount, 0))
    finally:
        cursor.close()


def _run_writing(
    sql: str, parameters: Mapping[str, Any], limits: ResultLimits, connection: sqlite3.Connection
) -> QueryResult:
    return transaction(connection, lambda: _run(sql, parameters, limits, connection), durable=True)


def _fetch(cursor: sqlite3.Cursor, limits: ResultLimits) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        for value in row:
            size += len(value) if isinstance(value, (str, bytes)) else 8
        if size > limits.bytes or len(rows) >= limits.rows:
            raise ResultTooLargeError(
                f"the result is larger than {limits.rows} rows or {limits.bytes} bytes; ask for less, with LIMIT"
            )
        rows.append(row)
    return rows


def _version(connection: sqlite3.Connection) -> str:
    # Whether the file is a database shows only once it is read.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return f"SQLite {sqlite3.sqlite_version}"


def _try_to_write(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    try:
        # A read-only file lets a transaction begin, and refuses the first change.
        connection.execute(f"PRAGMA user_version = {int(version)}")
    finally:
        connection.execute("ROLLBACK")


def _tables(connection: sqlite3.Connection) -> list[str]:
    sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return [name for (name,) in connection.execute(sql + " ORDER BY name").fetchall()]


def _columns(table: str, connection: sqlite3.Connection) -> list[Column]:
    found = connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)).fetchall()
    return [
        Column(name=name, type=kind, nullable=not (required or key), key=key > 0) for name, kind, required, key in found
    ]


def _execute(sql: str, connection: sqlite3.Connection) -> None:
    connection.execute(sql)


def _claim(who: tuple[str, str, int], connection: sqlite3.Connection) -> Position:
    def work() -> Position:
        connection.execute(_CREATE_POSITIONS)
        connection.execute(_CLAIM, who)
        return Position(*connection.execute(_POSITION, who).fetchone())

    return transaction(connection, work)


def _reset(rows: Sequence[tuple[str, str, int, int]], connection: sqlite3.Connection) -> None:
    def work() -> None:
        connection.execute(_CREATE_POSITIONS)
        connection.executemany(_RESET, rows)

    transaction(connection, work, durable=True)


def _position(who: tuple[str, str, int], connection: sqlite3.Connection) -> Position:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (POSITIONS,)).fetchone() is None:
        return Position(0, None)
    found = connection.execute(_POSITION, who).fetchone()
    return Position(*found) if found else Position(0, None)


def _write(batch: WriteBatch, inserts: Inserts, connection: sqlite3.Connection) -> None:
    transaction(connection, partial(_move_and_insert, batch, inserts, connection))


def _move_and_insert(batch: WriteBatch, inserts: Inserts, connection: sqlite3.Connection) -> None:
    _advance(batch, connection)
    for sql, values in inserts.of(batch.rows):
        connection.execute(sql, values)


def _advance(batch: WriteBatch, connection: sqlite3.Connection) -> None:
    values = (batch.next_offset, batch.task, *batch.source, batch.epoch, batch.expected)
    try:
        moved = connection.execute(_ADVANCE, values).rowcount
    except sqlite3.OperationalError as error:
        if f"no such table: {POSITIONS}" not in str(error):
            raise
        moved = 0
    if moved != 1:
        raise fenced(batch)


CONNECTOR = ConnectorType(name="sqlite", settings=SqliteSettings, build=Sqlite, parse=parse)
