"""What asyncmy does not offer yet: TLS only where the server has it, and a prepared statement's rows as they come.

asyncmy's own `PreparedStatement.execute` holds a whole result before anybody can say that it is too large, and keeps
only the first of a procedure's results. So what asyncmy keeps to itself is asked for here, and nowhere else.

Nor does asyncmy look where a packet ends: lengths that a server makes up had it read, and hand out, what lies behind in
the daemon's memory. Anybody may name a server, so what comes from one is measured here before asyncmy reads it.
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

from plugins.api import ConnectorError, StatementError

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
# The most that a table has; and of a packet that is no row.
_MOST_COLUMNS = 4096
_MOST_BYTES = 1 << 20
# asyncmy reads up to so many bytes of a value before it asks whether they are there.
_UNMEASURED_BYTES = 16
_PREPARED_BYTES = 12
_DESCRIPTION_TEXTS = 6
_DESCRIPTION_REST = 13
_ONE_BYTE = 250
_TWO_BYTES = 252
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
    _encoding: str
    _execute_command: Callable[[int, bytes], Awaitable[None]]
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

    async def connect(self) -> None:  # type: ignore[override]
        """Connect and log in; what answers may be anything."""
        with self._cut_by_anything_unforeseen():
            await super().connect()

    async def command(self, sql: str) -> None:
        """Run a statement that brings no rows."""
        await self._execute_command(COMMAND.COM_QUERY, sql.encode())
        await self._read_ok_packet()

    async def _read_ok_packet(self) -> Any:
        with self._cut_by_anything_unforeseen():
            return await super()._read_ok_packet()  # type: ignore[misc]

    async def read_packet(self, packet_type: type[Any] = MysqlPacket) -> Any:
        """One packet; the description of a column is whole before asyncmy reads it."""
        packet = await super().read_packet()  # type: ignore[no-untyped-call]
        if packet_type is MysqlPacket:
            return packet
        self._row_bytes = 0
        data = packet.get_all_data()
        check_description(data)
        return packet_type(data, self._encoding)

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
            packet = await self.read_packet()
            if not packet.is_ok_packet() or len(packet.get_all_data()) < _PREPARED_BYTES:
                raise OperationalError(_MALFORMED, _OUT_OF_PLACE)
            packet.advance(1)
            statement, columns, parameters = packet.read_uint32(), packet.read_uint16(), packet.read_uint16()
            for definitions in (parameters, columns):
                for _ in range(definitions + (definitions > 0 and not self._deprecate_eof)):
                    await self.read_packet()
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
        elif need > _MOST_BYTES:
            raise OperationalError(_MALFORMED, _OUT_OF_PLACE)
        await super()._fill_buffer(need)  # type: ignore[misc]

    @contextmanager
    def _cut_by_anything_unforeseen(self) -> Iterator[None]:
        try:
            yield
        except MySQLError as error:
            if not error.sqlstate:
                self.close()
            raise
        except (ConnectorError, OSError, EOFError, ValueError):
            self.close()
            raise
        except Exception as error:
            self.close()
            raise OperationalError(_MALFORMED, f"{_OUT_OF_PLACE} ({type(error).__name__})") from error
        except BaseException:
            self.close()
            raise

    async def _read_result(self, collector: Collector) -> bool:
        """One result; returns whether another one follows."""
        # The class's own: it is called for each row.
        read = super().read_packet
        packet = await read()  # type: ignore[no-untyped-call]
        if packet.is_load_local_packet():
            raise OperationalError(_MALFORMED, "the server asks for a file of this machine, and gets none")
        if packet.is_ok_packet():
            collector.end(self._read_ok(packet))
        else:
            columns = await self._read_columns(packet, collector)
            room = bytes(_UNMEASURED_BYTES * (len(columns) + 1))
            packet = await read()  # type: ignore[no-untyped-call]
            # It begins with 0xFE, as no row does.
            while not packet.is_auth_switch_request():
                collector.add(_row(MysqlPacket(packet.get_all_data() + room, self._encoding), columns))
                self._row_bytes = 0
                packet = await read()  # type: ignore[no-untyped-call]
            self._read_end(packet)
            collector.end(0)
        return bool(self.server_status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)

    async def _read_columns(self, first: MysqlPacket, collector: Collector) -> tuple[Any, ...]:
        result: Any = MySQLResult(self)
        result.field_count = first.read_length_encoded_integer()
        if result.field_count > _MOST_COLUMNS:
            raise OperationalError(_MALFORMED, _OUT_OF_PLACE)
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


def check_description(data: bytes) -> None:
    """Whether the description of a column is as long as it says: six texts, and what comes after them.

    https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html

    Raises:
        OperationalError: it is not.
    """
    at = 0
    for _ in range(_DESCRIPTION_TEXTS):
        if at >= len(data):
            break
        length = data[at]
        if length == _TWO_BYTES:
            length = 2 + int.from_bytes(data[at + 1 : at + 3], "little")
        elif length > _ONE_BYTE:
            at = len(data)
        at += 1 + length
    if at + _DESCRIPTION_REST > len(data):
        raise OperationalError(_MALFORMED, _OUT_OF_PLACE)


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
