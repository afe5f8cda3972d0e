"""What asyncmy does not offer yet: TLS only where the server has it, and a prepared statement's rows as they come.

asyncmy's own `PreparedStatement.execute` holds a whole result before anybody can say that it is too large, and keeps
only the first of a procedure's results. So what asyncmy keeps to itself is asked for here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from asyncmy.connection import Connection, MySQLResult, PreparedStatement
from asyncmy.constants import CLIENT, COMMAND, SERVER_STATUS
from asyncmy.errors import MySQLError, OperationalError
from asyncmy.protocol import FieldDescriptorPacket, MysqlPacket, pack_binary_params

from plugins.api import StatementError

_NO_TLS = 2026  # asyncmy's, as libmysqlclient counts
_NO_PLUGIN = 2059
_MALFORMED = 2027
_OUT_OF_PLACE = "the server's answer is none to what it was asked"
# They hand the password itself to whoever asks for it, and the server asks.
_CLEARTEXT_PLUGINS = frozenset({b"mysql_clear_password", b"dialog", b"mysql_old_password"})
_KNOWN_PLUGINS = frozenset({b"mysql_native_password", b"caching_sha2_password", b"sha256_password"})
_EXECUTE = struct.Struct("<IBI")
# https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_reset_connection.html: MySQL 5.7.3, MariaDB 10.2.4
_RESET_CONNECTION = 0x1F
_SESSION_CHANGED = 0x4000
_UNSIGNED = 32

FLAGS = int(CLIENT.FOUND_ROWS | CLIENT.PS_MULTI_RESULTS)
"""An UPDATE tells how many rows it found, not how many it changed; a prepared CALL may have results."""


class Collector(Protocol):
    """Takes what a statement brings; what it raises ends the statement, and the connection with it."""

    def begin(self, fields: Sequence[FieldDescriptorPacket]) -> None:
        """A result with these columns begins."""

    def add(self, row: tuple[Any, ...]) -> None:
        """One row of it."""

    def expect(self, size: int) -> None:
        """A row has at least so many bytes."""

    def end(self, affected: int) -> None:
        """A result has ended; one without columns has changed so many rows."""


class MysqlConnection(Connection):
    """A connection that speaks TLS where the server can, gives its password away to nobody, and reads as rows come."""

    # Of asyncmy's Connection, and not in its types.
    server_capabilities: int
    server_status: int
    _client_flag: int
    _db: bytes
    _deprecate_eof: bool
    _execute_command: Callable[[int, bytes], Awaitable[None]]
    _read_ok_packet: Callable[[], Awaitable[Any]]
    _secure: bool
    _ssl_context: ssl.SSLContext | None
    _transport: asyncio.Transport | None

    def __init__(self, *, tls_required: bool, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        self._tls_required = tls_required
        self._collector: Collector | None = None
        self._row_bytes = 0
        self.session_changed = False
        """Whether the server has said so of a statement, since the session was new (see `tells_changes`)."""

    async def _request_authentication(self) -> Any:
        if self._ssl_context is not None and not self.server_capabilities & CLIENT.SSL:
            if self._tls_required:
                raise OperationalError(_NO_TLS, "the server speaks no TLS; set it up there, or write ssl: disable")
            self._ssl_context = None
            self._client_flag &= ~CLIENT.SSL
        if self.tells_changes:
            self._client_flag |= CLIENT.SESSION_TRACK
        return await super()._request_authentication()  # type: ignore[misc]

    async def _process_auth(self, plugin_name: bytes, auth_packet: MysqlPacket) -> Any:
        name = plugin_name.decode("latin1")
        if plugin_name in _CLEARTEXT_PLUGINS and not self._secure:
            raise OperationalError(_NO_PLUGIN, f"the server asks for the password in clear text ({name})")
        if plugin_name not in _CLEARTEXT_PLUGINS | _KNOWN_PLUGINS:
            raise OperationalError(_NO_PLUGIN, f"there is no authentication plugin {name} here")
        return await super()._process_auth(plugin_name, auth_packet)  # type: ignore[misc]

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as anybody can know without asking."""
        return bool(self.connected) and not self._stream_broken  # type: ignore[attr-defined]

    @property
    def tells_changes(self) -> bool:
        """Whether the server can tell with each statement that it has changed the session."""
        return bool(self.server_capabilities & CLIENT.SESSION_TRACK)

    async def reset(self) -> None:
        """Have a session as a new connection has it: no variables, locks, temporary tables, prepared statements."""
        await self._execute_command(_RESET_CONNECTION, b"")
        await self._read_ok_packet()
        # What it leaves as it is.
        await self._execute_command(COMMAND.COM_INIT_DB, self._db)
        await self._read_ok_packet()
        self.session_changed = False

    def close(self) -> None:
        """Cut the connection: under TLS, to part in order would wait for all that the server still has to say."""
        if self._transport is not None:
            self._transport.abort()
        super().close()

    async def prepare(self, query: str) -> PreparedStatement:
        """Have a statement prepared; asyncmy takes anything for the server's answer.

        https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html
        """
        with self._cut_by_anything_unforeseen():
            await self._execute_command(COMMAND.COM_STMT_PREPARE, query.encode())
            packet = await self.read_packet()  # type: ignore[no-untyped-call]
            if not packet.is_ok_packet():
                raise OperationalError(_MALFORMED, _OUT_OF_PLACE)
            packet.advance(1)
            statement, columns, parameters = packet.read_uint32(), packet.read_uint16(), packet.read_uint16()
            for definitions in (parameters, columns):
                for _ in range(definitions + (definitions > 0 and not self._deprecate_eof)):
                    await self.read_packet()  # type: ignore[no-untyped-call]
        return PreparedStatement(self, statement, parameters)

    async def execute(self, payload: bytes, collector: Collector) -> None:
        """Run a prepared statement (see `packed`); the collector takes each of its results.

        Any error but the server's own leaves the connection in the middle of something: it is closed.
        """
        self._collector = collector
        try:
            with self._cut_by_anything_unforeseen():
                await self._execute_command(COMMAND.COM_STMT_EXECUTE, payload)
                while await self._read_result(collector):
                    pass
        finally:
            self._collector = None

    async def _fill_buffer(self, need: int) -> None:
        """Wait for bytes of a packet: asyncmy asks so for each part of it, and holds a whole row before it shows it."""
        if self._collector is not None:
            self._row_bytes += need
            self._collector.expect(self._row_bytes)
        await super()._fill_buffer(need)  # type: ignore[misc]

    @contextmanager
    def _cut_by_anything_unforeseen(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, IndexError, OverflowError, struct.error) as error:
            self.close()
            raise OperationalError(_MALFORMED, f"{_OUT_OF_PLACE} ({error})") from error
        except BaseException as error:
            if not (isinstance(error, MySQLError) and error.sqlstate):
                self.close()
            raise

    async def _read_result(self, collector: Collector) -> bool:
        """One result; returns whether another one follows."""
        packet = await self.read_packet()  # type: ignore[no-untyped-call]
        if packet.is_load_local_packet():
            raise OperationalError(_MALFORMED, "the server asks for a file of this machine, and gets none")
        if packet.is_ok_packet():
            collector.end(self._read_ok(packet))
        else:
            columns = await self._read_columns(packet, collector)
            packet = await self.read_packet()  # type: ignore[no-untyped-call]
            # It begins with 0xFE, as no row does.
            while not packet.is_auth_switch_request():
                collector.add(_row(packet, columns))
                self._row_bytes = 0
                packet = await self.read_packet()  # type: ignore[no-untyped-call]
            self._read_end(packet)
            collector.end(0)
        return bool(self.server_status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)

    async def _read_columns(self, first: MysqlPacket, collector: Collector) -> tuple[Any, ...]:
        result: Any = MySQLResult(self)
        result.field_count = first.read_length_encoded_integer()
        await result._get_descriptions()  # noqa: SLF001 - see the module
        collector.begin(result.fields)
        return tuple(
            (field.type_code, bool(field.flags & _UNSIGNED), *conversion)
            for field, conversion in zip(result.fields, result.converters, strict=True)
        )

    def _read_ok(self, packet: MysqlPacket) -> int:
        """OK; returns how many rows were changed."""
        packet.advance(1)
        affected: int = packet.read_length_encoded_integer()
        packet.read_length_encoded_integer()  # the last AUTO_INCREMENT
        self.server_status = packet.read_uint16()
        self.session_changed = self.session_changed or bool(self.server_status & _SESSION_CHANGED)
        return affected

    def _read_end(self, packet: MysqlPacket) -> None:
        """The end of rows: OK, or EOF from servers that are older."""
        if self._deprecate_eof:
            self._read_ok(packet)
            return
        packet.advance(1)
        packet.read_uint16()  # warnings
        self.server_status = packet.read_uint16()


def _row(packet: MysqlPacket, columns: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        return packet.read_binary_row(columns)
    except ValueError as error:
        # Servers keep the 31st of February where sql_mode says ALLOW_INVALID_DATES.
        raise StatementError(f"a column has what cannot be read ({error}); ask for CAST(column AS CHAR)") from error


def packed(statement: PreparedStatement, values: Sequence[Any]) -> bytes:
    """What runs a prepared statement with these values, as the server reads it.

    Raises:
        ValueError: an integer beyond 64 bits, or text that UTF-8 does not have.
    """
    head = _EXECUTE.pack(statement._statement_id, 0, 1)  # type: ignore[attr-defined]  # noqa: SLF001 - see the module
    return head + pack_binary_params(tuple(values), "utf8") if values else head
