"""A bounded pool of asyncpg connections; everything here but Pool's own methods runs on the island."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from plugins.api import Bridge, CommitUnknownError, ConnectorError, TargetTable
from plugins.sql.postgres_errors import ERRORS, commit_error, connect_error
from plugins.sql.postgres_values import Convert
from plugins.sql.turns import SYSTEM, Turns

T = TypeVar("T")

_STATEMENTS = 128
# A connection that nobody used for so long may have been forgotten by a firewall on the way.
_IDLE_SECONDS = 300.0
_ROLLBACK_SECONDS = 5.0
_CLOSE_SECONDS = 5.0


class Target(NamedTuple):
    """The statement that writes one row into a table, and what its values must pass first (None: as they are)."""

    sql: str
    converters: tuple[Convert | None, ...]


class Session:
    """One connection and the statements that are prepared on it, the most recently used ones."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.used = 0.0
        self._statements: OrderedDict[str, PreparedStatement] = OrderedDict()
        self._targets: dict[TargetTable, Target] = {}

    async def prepare(self, sql: str) -> PreparedStatement:
        """The prepared statement; asyncpg keeps those of `fetch`, not those that know their parameters' types."""
        statement = self._statements.get(sql)
        if statement is None:
            statement = await self.connection.prepare(sql)
            self._statements[sql] = statement
            if len(self._statements) > _STATEMENTS:
                self._statements.popitem(last=False)
        else:
            self._statements.move_to_end(sql)
        return statement

    async def target(self, table: TargetTable, learn: Callable[[], Awaitable[Target]]) -> Target:
        """What was learnt about a table that is written to."""
        target = self._targets.get(table)
        if target is None:
            target = await learn()
            if len(self._targets) >= _STATEMENTS:
                self._targets.clear()
            self._targets[table] = target
        return target

    def forget_schema(self) -> None:
        """Statements and tables may have changed."""
        self._statements.clear()
        self._targets.clear()

    async def begin(self) -> None:
        """Begin a transaction."""
        await self.connection.execute("BEGIN")

    async def commit(self, where: str) -> None:
        """Commit the transaction.

        Raises:
            CommitUnknownError: the answer was lost, or did not come before the time was over.
        """
        try:
            await self.connection.execute("COMMIT")
        except asyncio.CancelledError as error:
            # A cancelled caller never sees this; one whose time is over must not take it for a COMMIT that failed.
            self.connection.terminate()
            raise CommitUnknownError(f"PostgreSQL {where} did not answer COMMIT in time") from error
        except ERRORS as error:
            raise commit_error(error, where) from error

    async def roll_back(self) -> None:
        """Leave the transaction, if there is one; a connection that cannot is closed, which does the same."""
        if self.connection.is_closed() or not self.connection.is_in_transaction():
            return
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await self.connection.execute("ROLLBACK")
        except ERRORS:
            self.connection.terminate()

    def is_fit(self, now: float) -> bool:
        """Whether it may be used again."""
        return not self.connection.is_closed() and now - self.used < _IDLE_SECONDS


class Pool:
    """At most `size` connections for one statement and one more for others, each opened when there is no idle one.

    Whoever finds all in use waits in trio, at most `line` of those who query (see `Turns`). Each piece of work gets
    `timeout` seconds.
    """

    def __init__(
        self,
        bridge: Bridge,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        where: str,
        size: int,
        line: int,
        timeout: float,
    ) -> None:
        self._bridge = bridge
        self._connect = connect
        self._timeout = timeout
        self._turns = Turns(size + 1, line, f"PostgreSQL {where}")
        self._where = where
        self._idle: list[Session] = []
        self._closed = False

    async def run(self, work: Callable[[Session], Awaitable[T]], who: str = SYSTEM) -> T:
        """Run `work` with a connection on the island, when it is the turn of `who`.

        Cancellation cancels the command at the server.

        Raises:
            NothingDoneError: no connection could be had.
        """
        async with self._turns.turn(who):
            return await self._bridge.call(partial(self._use, work))

    async def close(self) -> None:
        """Close idle connections now, those in use once they come back."""
        self._closed = True
        with suppress(ConnectorError):  # the island has stopped, and its connections with it
            await self._bridge.call(self._close_idle)

    async def _use(self, work: Callable[[Session], Awaitable[T]]) -> T:
        if self._closed:
            raise ConnectorError("the connection has been closed")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            session = self._take(loop.time()) or await self._opened()
            try:
                return await work(session)
            finally:
                session.used = loop.time()
                self._give_back(session)

    def _take(self, now: float) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.is_fit(now):
                return session
            session.connection.terminate()
        return None

    async def _opened(self) -> Session:
        try:
            connection = await self._connect()
        except ERRORS as error:
            raise connect_error(error, self._where) from error
        try:
            for name in ("json", "jsonb"):
                await connection.set_type_codec(
                    name, schema="pg_catalog", encoder=_encoded, decoder=msgspec.json.decode, format="text"
                )
        except BaseException:
            connection.terminate()
            raise
        return Session(connection)

    def _give_back(self, session: Session) -> None:
        if self._closed or session.connection.is_closed() or session.connection.is_in_transaction():
            session.connection.terminate()
        else:
            self._idle.append(session)

    async def _close_idle(self) -> None:
        while self._idle:
            connection = self._idle.pop().connection
            try:
                await connection.close(timeout=_CLOSE_SECONDS)
            except ERRORS:
                connection.terminate()


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()
