"""Living connections to PostgreSQL by asyncpg, on the island."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from plugins.api import (
    Column,
    ConnectionReport,
    Host,
    NothingDoneError,
    ParameterError,
    Position,
    QueryResult,
    ResultLimits,
    StatementError,
    TargetTable,
    TopicPartition,
    WriteBatch,
)
from plugins.sql import postgres_errors, postgres_writes
from plugins.sql.named_parameters import Translated, translate
from plugins.sql.pool import Pool
from plugins.sql.postgres_names import columns_of, find_table
from plugins.sql.postgres_session import Session, open_session
from plugins.sql.postgres_settings import PostgresSettings
from plugins.sql.postgres_values import convert_parameter
from plugins.sql.reports import tried
from plugins.sql.result_rows import ResultRows

T = TypeVar("T")

_ROWS_A_FETCH = 256
_STATEMENTS_REMEMBERED = 1_000
_PROCEDURE = "CALL"
_BLOCK = "DO"
_FORGOTTEN = (
    asyncpg.InvalidCachedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.OutdatedSchemaCacheError,
)
_CHANGING = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_TABLES = """
    SELECT CASE WHEN n.nspname = ANY (current_schemas(false)) THEN c.relname ELSE n.nspname || '.' || c.relname END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
    ORDER BY 1
"""


class Postgres:
    """A living connection to one PostgreSQL database (see `actors.ports.Connector`)."""

    def __init__(self, settings: PostgresSettings, host: Host) -> None:
        self._where = _label(settings)
        self._pool = Pool(
            host.bridge,
            partial(open_session, partial(_connect, settings), self._where),
            server=f"PostgreSQL {self._where}",
            size=settings.pool_size,
            line=settings.max_waiting,
            timeout=settings.command_timeout,
        )
        self._translate = lru_cache(_STATEMENTS_REMEMBERED)(translate)

    async def test(self) -> ConnectionReport:
        """Connect, read the version, and do what a first claim does, rolled back."""
        return await tried(
            lambda: self._system("connect to", _version),
            lambda: self._system("write to", postgres_writes.try_to_write),
        )

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        """Run one statement in a transaction of its own; parameters become what the statement's types ask for."""
        translated = self._translate(sql)
        try:
            query = partial(_query, self._where, translated, parameters, limits)
            return await self._pool.run(query, who=translated.sql)
        except postgres_errors.ERRORS as error:
            raise postgres_errors.query_error(error, self._where) from error

    async def tables(self) -> Sequence[str]:
        """Tables and views; those outside the search path with their schema (`schema.table`)."""
        return await self._system("list the tables of", _tables)

    async def columns(self, table: str) -> Sequence[Column]:
        """The columns of a table; StatementError where there is none of that name."""
        columns = await self._system("list the columns of", partial(_columns, table))
        if not columns:
            raise StatementError(f"no such table: {table} in {self._where}")
        return columns

    async def create_table(self, table: TargetTable) -> None:
        """Make the table where it is missing."""
        await self._system(
            f"create table {table.name} in",
            lambda session: postgres_writes.create_table(session, self._where, table),
        )

    async def claim(self, task: str, source: TopicPartition) -> Position:
        """Raise the epoch of a task's partition; the first claim makes the position table."""
        return await self._system(
            "claim a position in", lambda session: postgres_writes.claim(session, self._where, (task, *source))
        )

    async def position(self, task: str, source: TopicPartition) -> Position:
        """The position as it stands; epoch 0 where nobody has claimed yet."""
        return await self._system(
            "read a position from", lambda session: postgres_writes.position(session, (task, *source))
        )

    async def write(self, batch: WriteBatch) -> None:
        """One transaction: the position, then the rows."""
        try:
            await self._pool.run(
                partial(_unless_forgotten, lambda session: postgres_writes.write(session, self._where, batch))
            )
        except postgres_errors.ERRORS as error:
            raise postgres_errors.write_error(error, self._where, batch.table.name) from error

    async def reset(self, task: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set positions and raise their epochs in one transaction; the first one makes the position table."""
        rows = [(task, *source, offset) for source, offset in offsets.items()]
        await self._system("set a position in", lambda session: postgres_writes.reset(session, self._where, rows))

    async def close(self) -> None:
        """Close idle connections now, those in use once they come back."""
        await self._pool.close()

    async def _system(self, doing: str, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run what the project itself asks of the server, where any failure is the server's."""
        try:
            return await self._pool.run(partial(_unless_forgotten, work))
        except postgres_errors.ERRORS as error:
            raise postgres_errors.system_error(error, self._where, doing) from error


def _label(settings: PostgresSettings) -> str:
    """Where the database is, for messages: no user and no password."""
    if isinstance(settings.url, str):
        try:
            parts = urlsplit(settings.url)
            place = f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
        except ValueError:
            return "(unreadable url)"
        return place
    return f"{settings.host or 'localhost'}:{settings.port or 5432}/{settings.database}"


async def _connect(settings: PostgresSettings) -> asyncpg.Connection:
    place: dict[str, Any] = (
        {"dsn": settings.url}
        if settings.url is not None
        else {
            "host": settings.host or "localhost",
            "port": settings.port or 5432,
            "database": settings.database,
            "user": settings.user,
            "password": settings.password,
        }
    )
    return await asyncpg.connect(
        **place,
        ssl=settings.ssl,
        timeout=settings.connect_timeout,
        server_settings={"application_name": "penstock"},
    )


async def _query(
    where: str, translated: Translated, parameters: Mapping[str, Any], limits: ResultLimits, session: Session
) -> QueryResult:
    try:
        return await _query_once(where, translated, parameters, limits, session)
    except _FORGOTTEN:
        # A table has changed since the statement was prepared, or somebody has thrown it away; nothing was done yet.
        session.forget_schema()
        await session.connection.reload_schema_state()
        return await _query_once(where, translated, parameters, limits, session)


async def _query_once(
    where: str, translated: Translated, parameters: Mapping[str, Any], limits: ResultLimits, session: Session
) -> QueryResult:
    statement = await _first(where, session.prepare(translated.sql))
    values = _bound(translated.names, statement.get_parameters(), parameters)
    columns = tuple(attribute.name for attribute in statement.get_attributes())
    if not columns:
        await statement.fetch(*values)
        affected = _affected(statement.get_statusmsg())
        if translated.verb == _BLOCK:
            # Code of the caller's own, which may even prepare statements by name, or throw away what is prepared.
            session.terminate()
        return QueryResult((), (), affected)
    if translated.verb == _PROCEDURE:
        # One row of what it hands out; and it may commit, which it may not within a transaction of its caller's.
        return QueryResult(columns, [tuple(record) for record in await statement.fetch(*values)])
    await _first(where, session.begin())
    try:
        rows = await _fetch(await statement.cursor(*values), limits)
        await session.commit(where)
    finally:
        await session.roll_back()
    return QueryResult(columns, rows, len(rows) if translated.verb in _CHANGING else 0)


async def _unless_forgotten(work: Callable[[Session], Awaitable[T]], session: Session) -> T:
    """Work that is done again when it fails; that finds another connection if what is prepared here was thrown away."""
    try:
        return await work(session)
    except asyncpg.InvalidSQLStatementNameError:
        session.terminate()
        raise


async def _first(where: str, step: Awaitable[T]) -> T:
    """A step before which nothing was asked of the server: what is idle may have been lost long since."""
    try:
        return await step
    except postgres_errors.ERRORS as error:
        if postgres_errors.is_lost(error):
            raise NothingDoneError(str(postgres_errors.system_error(error, where, "query on"))) from error
        raise


def _bound(names: Sequence[str], types: Sequence[asyncpg.Type], parameters: Mapping[str, Any]) -> list[Any]:
    values = []
    for name, kind in zip(names, types, strict=True):
        if name not in parameters:
            raise ParameterError(f"parameter {name} is missing")
        values.append(convert_parameter(parameters[name], name, kind.name))
    return values


async def _fetch(cursor: Any, limits: ResultLimits) -> list[tuple[Any, ...]]:
    result = ResultRows(limits)
    while True:
        asked = min(_ROWS_A_FETCH, limits.rows + 1 - len(result.rows))
        part = await cursor.fetch(asked)
        for record in part:
            result.add(tuple(record))
        if len(part) < asked:
            return result.rows


def _affected(status: str | None) -> int:
    """From the server's `INSERT 0 2` or `UPDATE 3`."""
    count = (status or "").rpartition(" ")[2]
    return int(count) if count.isdecimal() else 0


async def _version(session: Session) -> str:
    return f"PostgreSQL {await session.connection.fetchval('SHOW server_version')}"


async def _tables(session: Session) -> list[str]:
    return [row[0] for row in await session.connection.fetch(_TABLES)]


async def _columns(table: str, session: Session) -> list[Column]:
    found = await find_table(session, table)
    if found is None:
        return []
    rows = await columns_of(session, found)
    return [Column(name=name, type=kind, nullable=nullable, key=key) for name, kind, nullable, key in rows]
