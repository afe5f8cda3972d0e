"""One asyncpg connection, what is prepared on it and what is known of its tables; all of it runs on the island."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from plugins.api import CommitUnknownError
from plugins.sql.conversions import json_text
from plugins.sql.postgres_errors import ERRORS, commit_error, connect_error
from plugins.sql.targets import Targets

_STATEMENTS = 128
_ROLLBACK_SECONDS = 5.0
_CLOSE_SECONDS = 5.0
# DISCARD ALL, but that what is prepared stays, and asyncpg's own reset, but that temporary tables go, too. Any function
# of a plain SELECT may leave something behind, and the server does not tell: it costs one round trip each time.
_RESTORE = (
    "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); "
    "DISCARD TEMP; DISCARD SEQUENCES"
)


class Session:
    """One connection and the statements that are prepared on it, the most recently used ones."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.targets = Targets()
        self._statements: OrderedDict[str, PreparedStatement] = OrderedDict()

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

    def forget_schema(self) -> None:
        """Statements and tables may have changed."""
        self._statements.clear()
        self.targets.forget()

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
        if self.is_clean or self.connection.is_closed():
            return
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await self.connection.execute("ROLLBACK")
        except ERRORS:
            self.connection.terminate()

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and in no transaction."""
        return not self.connection.is_closed() and not self.connection.is_in_transaction()

    async def ping(self) -> None:
        """Ask whether anybody is there."""
        await self.connection.execute("SELECT 1")

    async def restore(self) -> None:
        """Undo what was left behind: settings, roles, locks, cursors, temporary tables, sequences' last numbers."""
        await self.connection.execute(_RESTORE)

    async def interrupt(self) -> None:
        """Nothing is left to do: asyncpg asks the server to cancel what was cancelled here."""

    async def close(self) -> None:
        """Part from the server in order."""
        try:
            await self.connection.close(timeout=_CLOSE_SECONDS)
        except ERRORS:
            self.connection.terminate()

    def terminate(self) -> None:
        """Cut the connection."""
        self.connection.terminate()


async def open_session(connect: Callable[[], Awaitable[asyncpg.Connection]], where: str) -> Session:
    """Connect, and have JSON come and go as values.

    Raises:
        NothingDoneError: no connection could be made.
    """
    try:
        connection = await connect()
    except ERRORS as error:
        raise connect_error(error, where) from error
    try:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=json_text, decoder=msgspec.json.decode, format="text"
            )
    except BaseException:
        connection.terminate()
        raise
    return Session(connection)
