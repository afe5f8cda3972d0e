"""One connection to MySQL or MariaDB, what is prepared on it and what is known of its tables; it runs on the island."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import tzinfo
from typing import Any

from asyncmy.connection import PreparedStatement
from asyncmy.protocol import FieldDescriptorPacket

from plugins.api import CommitUnknownError, QueryResult, ResultLimits
from plugins.sql.conversions import Convert
from plugins.sql.mysql_errors import ERRORS, commit_error, connect_error, is_no_such_variable, needs_preparing
from plugins.sql.mysql_values import column_converter
from plugins.sql.mysql_wire import MysqlConnection, packed
from plugins.sql.result_rows import ResultRows
from plugins.sql.targets import Targets

# The server counts them over all connections, and allows 16,382 unless it is told otherwise.
_STATEMENTS = 128
_ROLLBACK_SECONDS = 5.0
_CLOSE_SECONDS = 5.0
_KILL_SECONDS = 3.0
# Of a packet's length: the command, and some room for what the server counts with it.
_PACKET_ROOM = 1024
# Text is UTF-8 and nothing else; what does not fit its column is an error and not cut off; quotes are as they are read.
_MODE = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO"
# https://dev.mysql.com/doc/refman/8.4/en/session-state-tracking.html
_TRACKING = "SET session_track_state_change = 1"
_ABOUT = "SELECT CONNECTION_ID(), @@max_allowed_packet, @@version"
_OWN_LIMITS = ResultLimits(rows=1_000_000, bytes=1 << 30)

Connect = Callable[[], Awaitable[MysqlConnection]]


class UnsendableError(Exception):
    """The values cannot even be sent: why. Nothing was asked of the server."""


class PacketTooLargeError(UnsendableError):
    """The values are more than the server takes at once (max_allowed_packet)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than the server takes: raise max_allowed_packet ({limit} bytes) there, or send less")


class Session:
    """One connection and the statements that are prepared on it, the most recently used ones.

    Every statement with values is a prepared one: the server gets its text once and its values apart.
    """

    def __init__(self, connection: MysqlConnection, zone: tzinfo, settings: str, connect: Connect) -> None:
        self.connection = connection
        self.zone = zone
        self.targets = Targets()
        self.version = ""
        self._settings = settings
        self._connect = connect
        self._statements: OrderedDict[str, PreparedStatement] = OrderedDict()
        self._id = 0
        self._packet_bytes = 1 << 20
        self._is_tracked = connection.tells_changes
        self._is_new = True
        self._is_suspect = False

    async def begin_session(self) -> None:
        """Set what every statement may rely on, and learn who is there."""
        await self._set_up()
        ((self._id, packet_bytes, self.version),) = await self.rows(_ABOUT)
        self._packet_bytes = packet_bytes - _PACKET_ROOM
        self._is_new = True

    async def _set_up(self) -> None:
        await self.connection.command(self._settings)
        if self._is_tracked:
            try:
                await self.connection.command(_TRACKING)
            except ERRORS as error:
                if not is_no_such_variable(error):
                    raise
                self._is_tracked = False

    async def renew(self) -> None:
        """Have a session in which nobody has done anything, for a statement that might see it or leave something."""
        self._is_suspect = True
        if not self._is_new:
            await self._reset()

    async def restore(self) -> None:
        """Undo what was left behind, if the statement or the server says that something may have been.

        It costs four round trips, and what is prepared here.
        """
        if self._is_suspect or self.connection.session_changed or not (self._is_tracked or self._is_new):
            await self._reset()
            self._is_suspect = False

    async def _reset(self) -> None:
        self._statements.clear()
        await self.connection.reset()
        await self._set_up()
        self._is_new = True

    async def ping(self) -> None:
        """Ask whether anybody is there."""
        await self.connection.ping(reconnect=False)

    @property
    def is_mariadb(self) -> bool:
        """MariaDB, or MySQL."""
        return "mariadb" in self.version.lower()

    async def prepare(self, sql: str) -> PreparedStatement:
        """The prepared statement."""
        statement = self._statements.get(sql)
        if statement is None:
            statement = await self.connection.prepare(sql)
            self._statements[sql] = statement
            if len(self._statements) > _STATEMENTS:
                _, oldest = self._statements.popitem(last=False)
                await oldest.close()
        else:
            self._statements.move_to_end(sql)
        return statement

    async def run(self, sql: str, values: Sequence[Any], limits: ResultLimits = _OWN_LIMITS) -> list[QueryResult]:
        """Run a statement with its values; returns its results in order, those without columns in one at the end.

        Raises:
            ResultTooLargeError: more than `limits`; the connection is closed then.
            UnsendableError: the values are larger than the server takes, or text that UTF-8 does not have.
        """
        try:
            return await self._run(sql, values, limits)
        except ERRORS as error:
            if not needs_preparing(error):
                raise
            forgotten = self._statements.pop(sql, None)
            if forgotten is not None:
                await forgotten.close()
            return await self._run(sql, values, limits)

    async def _run(self, sql: str, values: Sequence[Any], limits: ResultLimits) -> list[QueryResult]:
        statement = await self.prepare(sql)
        self._is_new = False
        try:
            payload = packed(statement, values)
        except ValueError as error:
            raise UnsendableError("no text of Unicode, or no number of 64 bits") from error
        if len(payload) > self._packet_bytes:
            raise PacketTooLargeError(self._packet_bytes + _PACKET_ROOM)
        results = _Results(limits, self.zone)
        await self.connection.execute(payload, results)
        return results.all()

    async def rows(self, sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """The rows of a statement that yields some."""
        return (await self.run(sql, values))[0].rows

    async def change(self, sql: str, *values: Any) -> int:
        """How many rows a statement found to change."""
        return (await self.run(sql, values))[0].affected

    def forget_schema(self) -> None:
        """Tables may have changed."""
        self.targets.forget()

    async def begin(self) -> None:
        """Begin a transaction."""
        await self.connection.begin()

    async def commit(self, where: str) -> None:
        """Commit the transaction.

        Raises:
            CommitUnknownError: the answer was lost, or did not come before the time was over.
        """
        try:
            await self.connection.commit()
        except asyncio.CancelledError as error:
            # A cancelled caller never sees this; one whose time is over must not take it for a COMMIT that failed.
            self.terminate()
            raise CommitUnknownError(f"MySQL {where} did not answer COMMIT in time") from error
        except ERRORS as error:
            self.terminate()
            raise commit_error(error, where) from error

    async def roll_back(self) -> None:
        """Leave the transaction, if there is one; a connection that cannot is closed, which does the same."""
        if self.is_clean or not self.connection.is_open:
            return
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await self.connection.rollback()
        except ERRORS:
            self.terminate()

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and in no transaction."""
        return self.connection.is_open and not self.connection.get_transaction_status()

    async def interrupt(self) -> None:
        """End what the server still does here: by itself it would notice only when it has something to say."""
        self.terminate()
        with suppress(*ERRORS):
            async with asyncio.timeout(_KILL_SECONDS):
                other = await self._connect()
                try:
                    await other.command(f"KILL CONNECTION {self._id:d}")
                finally:
                    other.close()

    async def close(self) -> None:
        """Part from the server in order."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.connection.ensure_closed()
        except ERRORS:
            self.terminate()

    def terminate(self) -> None:
        """Cut the connection."""
        self.connection.close()


async def open_session(connect: Connect, where: str, zone_name: str, zone: tzinfo, statement_seconds: float) -> Session:
    """Connect, and have text in UTF-8, strict columns, one time zone and an end to each statement.

    Raises:
        NothingDoneError: no connection could be made.
    """
    try:
        connection = await connect()
    except ERRORS as error:
        raise connect_error(error, where) from error
    settings = session_settings(zone_name, statement_seconds, mariadb="MariaDB" in connection.get_server_info())
    session = Session(connection, zone, settings, connect)
    try:
        await session.begin_session()
    except ERRORS as error:
        session.terminate()
        raise connect_error(error, where) from error
    except BaseException:
        session.terminate()
        raise
    return session


def session_settings(zone_name: str, statement_seconds: float, *, mariadb: bool) -> str:
    """The statement that sets a session; `zone_name` has no quotes.

    MySQL bounds only what reads; MariaDB everything.
    """
    bound = (
        f"max_statement_time = {statement_seconds:.3f}"
        if mariadb
        else f"max_execution_time = {round(statement_seconds * 1000)}"
    )
    return f"SET NAMES utf8mb4, autocommit = 1, sql_mode = '{_MODE}', time_zone = '{zone_name}', {bound}"


class _Results:
    """The results of one statement, bounded together."""

    def __init__(self, limits: ResultLimits, zone: tzinfo) -> None:
        self._rows = ResultRows(limits)
        self._zone = zone
        self._results: list[QueryResult] = []
        self._columns: tuple[str, ...] = ()
        self._steps: list[tuple[int, Convert]] = []
        self._begun = 0
        self._affected = 0

    def begin(self, fields: Sequence[FieldDescriptorPacket]) -> None:
        self._columns = tuple(field.name for field in fields)
        self._steps = [
            (index, convert)
            for index, field in enumerate(fields)
            if (convert := column_converter(field, self._zone)) is not None
        ]
        self._begun = len(self._rows.rows)

    def add(self, row: tuple[Any, ...]) -> None:
        if self._steps:
            values = list(row)
            for index, convert in self._steps:
                values[index] = convert(values[index])
            row = tuple(values)
        self._rows.add(row)

    def expect(self, size: int) -> None:
        self._rows.expect(size)

    def end(self, affected: int) -> None:
        if self._columns:
            self._results.append(QueryResult(self._columns, self._rows.rows[self._begun :]))
            self._columns = ()
        self._affected += affected

    def all(self) -> list[QueryResult]:
        if not self._results or self._affected:
            self._results.append(QueryResult((), (), self._affected))
        return self._results
