"""Living connections to MySQL and MariaDB by asyncmy, on the island."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import trio

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
from plugins.sql import mysql_errors, mysql_writes
from plugins.sql.mysql_names import columns_of
from plugins.sql.mysql_session import Session, UnsendableError, open_session
from plugins.sql.mysql_settings import MysqlSettings
from plugins.sql.mysql_statements import Translated, translate
from plugins.sql.mysql_values import bindable
from plugins.sql.mysql_wire import FLAGS, MysqlConnection
from plugins.sql.mysql_zones import zone_of
from plugins.sql.pool import Pool
from plugins.sql.reports import tried
from plugins.sql.transactions import transaction

T = TypeVar("T")

_STATEMENTS_REMEMBERED = 1_000
_PROCEDURE = "CALL"
_CHANGING = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE"})
_DEADLOCK_RETRIES = 5
_DEADLOCK_PAUSE = 0.05
# The server ends a statement by itself only where nobody does so here.
_SERVER_GRACE = 1.0
_TABLES = """
    SELECT IF(TABLE_SCHEMA = DATABASE(), TABLE_NAME, CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)) AS name
    FROM information_schema.TABLES
    WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
    ORDER BY name
"""


class Mysql:
    """A living connection to one database of MySQL or MariaDB (see `actors.ports.Connector`)."""

    def __init__(self, settings: MysqlSettings, host: Host) -> None:
        self._where = _label(settings)
        self._zone = zone_of(settings.time_zone)
        self._pool: Pool[Session] = Pool(
            host.bridge,
            partial(
                open_session,
                partial(_connect, settings),
                self._where,
                settings.time_zone,
                self._zone,
                settings.command_timeout + _SERVER_GRACE,
            ),
            server=f"MySQL {self._where}",
            size=settings.pool_size,
            line=settings.max_waiting,
            timeout=settings.command_timeout,
        )
        self._translate = lru_cache(_STATEMENTS_REMEMBERED)(translate)

    async def test(self) -> ConnectionReport:
        """Connect, read the version, and do what a first claim does, without a trace."""
        return await tried(
            lambda: self._system("connect to", _version),
            lambda: self._system("write to", mysql_writes.try_to_write),
        )

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        """Run one statement in a transaction of its own; MySQL makes of parameters what the statement asks for.

        A CALL that has several results hands out the others in `more`.
        """
        translated = self._translate(sql)
        values = bindable(translated.names, parameters, self._zone)
        try:
            query = partial(_query, self._where, translated, values, limits)
            return await self._pool.run(query, who=translated.sql)
        except UnsendableError as error:
            raise ParameterError(f"the parameters are {error}") from error
        except mysql_errors.ERRORS as error:
            whole = translated.verb != _PROCEDURE
            raise mysql_errors.query_error(error, self._where, whole=whole) from error

    async def tables(self) -> Sequence[str]:
        """Tables and views; those of other databases with its name (`database.table`)."""
        return await self._system("list the tables of", _tables)

    async def columns(self, table: str) -> Sequence[Column]:
        """The columns of a table; StatementError where there is none of that name."""
        columns = await self._system("list the columns of", partial(_columns, table))
        if columns is None:
            raise StatementError(f"no such table: {table} in {self._where}")
        return columns

    async def create_table(self, table: TargetTable) -> None:
        """Make the table where it is missing."""
        await self._system(f"create table {table.name} in", lambda session: mysql_writes.create_table(session, table))

    async def claim(self, task: str, source: TopicPartition) -> Position:
        """Raise the epoch of a task's partition; the first claim makes the position table."""
        return await self._system(
            "claim a position in", lambda session: mysql_writes.claim(session, self._where, (task, *source))
        )

    async def position(self, task: str, source: TopicPartition) -> Position:
        """The position as it stands; epoch 0 where nobody has claimed yet."""
        return await self._system(
            "read a position from", lambda session: mysql_writes.position(session, (task, *source))
        )

    async def write(self, batch: WriteBatch) -> None:
        """One transaction: the position, then the rows. One that met a deadlock is done again, a few times."""
        try:
            await self._in_spite_of_deadlocks(lambda session: mysql_writes.write(session, self._where, batch))
        except mysql_errors.ERRORS as error:
            raise mysql_errors.write_error(error, self._where, batch.table.name) from error

    async def reset(self, task: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set positions and raise their epochs in one transaction; the first one makes the position table."""
        rows = [(task, *source, offset) for source, offset in offsets.items()]
        await self._system("set a position in", lambda session: mysql_writes.reset(session, self._where, rows))

    async def close(self) -> None:
        """Close idle connections now, those in use once they come back."""
        await self._pool.close()

    async def _system(self, doing: str, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run what the project itself asks of the server, where any failure is the server's."""
        try:
            return await self._in_spite_of_deadlocks(work)
        except mysql_errors.ERRORS as error:
            raise mysql_errors.system_error(error, self._where, doing) from error

    async def _in_spite_of_deadlocks(self, work: Callable[[Session], Awaitable[T]]) -> T:
        for attempt in range(_DEADLOCK_RETRIES):
            try:
                return await self._pool.run(work)
            except mysql_errors.ERRORS as error:
                if not mysql_errors.is_deadlock(error):
                    raise
            await trio.sleep(random.random() * _DEADLOCK_PAUSE * (attempt + 1))
        return await self._pool.run(work)


def _label(settings: MysqlSettings) -> str:
    """Where the database is, for messages: no user and no password."""
    place = settings.host if settings.host.startswith("/") else f"{settings.host}:{settings.port}"
    return f"{place}/{settings.database}"


async def _connect(settings: MysqlSettings) -> MysqlConnection:
    socket = settings.host if settings.host.startswith("/") else None
    password = settings.password if isinstance(settings.password, str) else ""
    async with asyncio.timeout(settings.connect_timeout):
        connection = MysqlConnection(
            host=settings.host,
            port=settings.port,
            unix_socket=socket,
            user=settings.user,
            password=password.encode(),
            database=settings.database,
            charset="utf8mb4",
            ssl=None if socket else await asyncio.to_thread(_tls, settings),
            tls_required=settings.ssl != "prefer",
            autocommit=None,
            client_flag=FLAGS,
            program_name="penstock",
            connect_timeout=settings.connect_timeout,
        )
        await connection.connect()
    return connection


def _tls(settings: MysqlSettings) -> ssl.SSLContext | None:
    if settings.ssl == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = settings.ssl == "verify-full"
    try:
        if not settings.ssl.startswith("verify"):
            context.verify_mode = ssl.CERT_NONE
        elif settings.ssl_ca is not None:
            context.load_verify_locations(settings.ssl_ca)
        else:
            context.load_default_certs()
        if settings.ssl_cert is not None:
            context.load_cert_chain(settings.ssl_cert, settings.ssl_key)
    except OSError as error:
        raise ValueError(f"ssl_ca, ssl_cert or ssl_key cannot be used: {error}") from error
    return context


async def _query(
    where: str, translated: Translated, values: Sequence[Any], limits: ResultLimits, session: Session
) -> QueryResult:
    await _prepare(where, translated, session)
    if translated.verb == _PROCEDURE:
        results = await _call(translated, values, limits, session)
    elif translated.verb in _CHANGING and translated.returning:
        results = await _returning(where, translated, values, limits, session)
    else:
        results = await session.run(translated.sql, values, limits)
    return _joined(results)


async def _prepare(where: str, translated: Translated, session: Session) -> None:
    """A step before which nothing was asked of the server: what is idle may have been lost long since."""
    try:
        if translated.of_session:
            await session.renew()
        statement = await session.prepare(translated.sql)
    except mysql_errors.ERRORS as error:
        if mysql_errors.is_lost(error):
            raise NothingDoneError(str(mysql_errors.system_error(error, where, "query on"))) from error
        raise
    if statement.parameter_count != len(translated.names):
        raise StatementError("the server reads the statement otherwise: write quotes and comments plainly")


async def _call(
    translated: Translated, values: Sequence[Any], limits: ResultLimits, session: Session
) -> list[QueryResult]:
    """Run a procedure; a transaction that it leaves open meets nobody (nor what else it leaves: see `renew`)."""
    try:
        return await session.run(translated.sql, values, limits)
    except mysql_errors.ERRORS:
        # An error does not tell whether a transaction was left open.
        session.terminate()
        raise


async def _returning(
    where: str, translated: Translated, values: Sequence[Any], limits: ResultLimits, session: Session
) -> list[QueryResult]:
    """Rows that are changed and handed out: what is too much to hand out is not changed."""
    async with transaction(session, where):
        results = await session.run(translated.sql, values, limits)
    return [result._replace(affected=len(result.rows)) for result in results if result.columns]


def _joined(results: Sequence[QueryResult]) -> QueryResult:
    """The first result; those that follow it and have columns stand in its `more`."""
    first, *others = results
    return first._replace(more=tuple(other for other in others if other.columns)) if others else first


async def _version(session: Session) -> str:
    return session.version if session.is_mariadb else f"MySQL {session.version}"


async def _tables(session: Session) -> list[str]:
    return [row[0] for row in await session.rows(_TABLES)]


async def _columns(table: str, session: Session) -> list[Column] | None:
    columns = await columns_of(session, table)
    if columns is None:
        return None
    return [Column(name=name, type=kind, nullable=nullable, key=key) for name, kind, nullable, key in columns]
