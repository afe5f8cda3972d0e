"""A task's transaction in MySQL or MariaDB: claim, position, and rows; runs on the island."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from asyncmy.errors import MySQLError

from plugins.api import ConnectorError, Position, RowRejectedError, TargetTable, WriteBatch
from plugins.sql.mysql_errors import is_row_fault, number
from plugins.sql.mysql_names import check_target, columns_of, qualified, quoted
from plugins.sql.mysql_session import PacketTooLargeError, Session, UnsendableError
from plugins.sql.mysql_values import row_converter
from plugins.sql.positions import Who, fenced
from plugins.sql.statements import POSITIONS, create
from plugins.sql.targets import Target, converted, misfit
from plugins.sql.transactions import transaction

_TYPES = {"string": "LONGTEXT", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "json": "JSON"}
# What an index can hold: 3072 bytes, at four for each character.
_KEY_TYPES = {**_TYPES, "string": "VARCHAR(255)"}
_CREATE_POSITIONS = (
    f"CREATE TABLE IF NOT EXISTS {POSITIONS} (task varchar(255) NOT NULL, topic varchar(255) NOT NULL, "
    "`partition` int NOT NULL, epoch bigint NOT NULL, `offset` bigint, PRIMARY KEY (task, topic, `partition`)) "
)
# Refused for its columns by a server that would let the table be made, and for its user by one that would not.
_TRY_TO_CREATE = f"CREATE TABLE {POSITIONS} (task int, task int)"
_SAME_COLUMN_TWICE = 1060
_NO_TABLE = 1146
_CLAIM = (
    f"INSERT INTO {POSITIONS} (task, topic, `partition`, epoch) VALUES (?, ?, ?, 1) "  # noqa: S608 - a constant
    "ON DUPLICATE KEY UPDATE epoch = epoch + 1"
)
_RESET = (
    f"INSERT INTO {POSITIONS} (task, topic, `partition`, epoch, `offset`) VALUES (?, ?, ?, 1, ?) "  # noqa: S608 - likewise
    "ON DUPLICATE KEY UPDATE epoch = epoch + 1, `offset` = VALUES(`offset`)"
)
_WHERE = "WHERE task = ? AND topic = ? AND `partition` = ?"
# The lock waits for a COMMIT whose answer was lost and which the server has not ended yet.
_POSITION = f"SELECT epoch, `offset` FROM {POSITIONS} {_WHERE} LOCK IN SHARE MODE"  # noqa: S608 - a constant
_ADVANCE = f"UPDATE {POSITIONS} SET `offset` = ? {_WHERE} AND epoch = ? AND `offset` <=> ?"  # noqa: S608 - a constant

# A prepared statement has a 16-bit number of places; and each number of rows is a statement of its own.
_MOST_PLACES = 65_535
_MOST_ROWS = 1_024


async def create_table(session: Session, table: TargetTable) -> None:
    """Make the table where it is missing."""
    if await columns_of(session, table.name) is None:
        sql = create(table, qualified(table.name), _TYPES.__getitem__, key_type_of=_KEY_TYPES.__getitem__, quote=quoted)
        await session.run(f"{sql} {_options(session)}", ())


def _options(session: Session) -> str:
    """Transactions, and keys that are the same only where all of their characters are, blanks at the end included."""
    if session.is_mariadb:
        collation = "utf8mb4_nopad_bin"
    else:
        collation = "utf8mb4_bin" if session.version.startswith("5.") else "utf8mb4_0900_bin"
    return f"ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}"


async def claim(session: Session, where: str, who: Who) -> Position:
    """Raise the epoch; the first claim makes the position table."""
    await _make_positions(session)
    async with transaction(session, where):
        await session.change(_CLAIM, *who)
        ((epoch, offset),) = await session.rows(_POSITION, *who)
    return Position(epoch, offset)


async def reset(session: Session, where: str, rows: Sequence[tuple[str, str, int, int]]) -> None:
    """Set positions (task, topic, partition, offset), all or none, and raise their epochs.

    It waits for the end of a transaction that moves one of them now.
    """
    await _make_positions(session)
    async with transaction(session, where):
        for row in rows:
            await session.change(_RESET, *row)


async def _make_positions(session: Session) -> None:
    # Asked first: IF NOT EXISTS wants the right to create even where nothing is to be created.
    if await columns_of(session, POSITIONS) is None:
        await session.run(_CREATE_POSITIONS + _options(session), ())


async def position(session: Session, who: Who) -> Position:
    """The position as it stands; epoch 0 where nobody has claimed yet."""
    try:
        rows = await session.rows(_POSITION, *who)
    except MySQLError as error:
        if number(error) != _NO_TABLE:
            raise
        rows = ()
    return Position(*rows[0]) if rows else Position(0, None)


async def try_to_write(session: Session) -> None:
    """Do what a first claim does, and roll it back."""
    if await columns_of(session, POSITIONS) is None:
        try:
            await session.run(_TRY_TO_CREATE, ())
        except MySQLError as error:
            if number(error) != _SAME_COLUMN_TWICE:
                raise
        return
    await session.begin()
    try:
        await session.change(_CLAIM, "penstock connection test", "", 0)
    finally:
        await session.roll_back()


async def write(session: Session, where: str, batch: WriteBatch) -> None:
    """One transaction: the position, then the rows."""
    try:
        async with transaction(session, where):
            await _advance(session, batch)
            if batch.rows:
                await _insert(session, batch)
    except MySQLError as error:
        if not is_row_fault(error):
            # The table may have changed since it was looked at; to look again costs less than to guess.
            session.forget_schema()
        raise


async def _advance(session: Session, batch: WriteBatch) -> None:
    who = (batch.task, batch.source.topic, batch.source.partition)
    try:
        moved = await session.change(_ADVANCE, batch.next_offset, *who, batch.epoch, batch.expected)
    except MySQLError as error:
        if number(error) != _NO_TABLE:
            raise
        moved = 0
    if not moved:
        raise fenced(batch)


async def _insert(session: Session, batch: WriteBatch) -> None:
    table = batch.table
    target = await session.targets.get(table, partial(_learn, session, table))
    rows = converted(batch.rows, target.converters, table)
    at = 0
    for size in parts_of(len(rows), len(table.columns)):
        await _insert_rows(session, table, target, rows[at : at + size])
        at += size


async def _insert_rows(session: Session, table: TargetTable, target: Target, rows: Sequence[tuple[Any, ...]]) -> None:
    places = f"({', '.join('?' * len(table.columns))})"
    sql = f"{target.sql}{', '.join([places] * len(rows))}{target.tail}"
    try:
        await session.run(sql, [value for row in rows for value in row])
    except PacketTooLargeError as error:
        if len(rows) == 1:
            raise RowRejectedError(f"table {table.name}: the row is {error}") from error
        half = len(rows) // 2
        await _insert_rows(session, table, target, rows[:half])
        await _insert_rows(session, table, target, rows[half:])
    except UnsendableError as error:
        raise misfit(table, None) from error


def parts_of(rows: int, columns: int) -> Iterator[int]:
    """How many rows each statement takes: powers of two, so that few statements serve batches of any length."""
    most = min(_MOST_ROWS, _MOST_PLACES // columns)
    while rows:
        part = 1 << (min(rows, most).bit_length() - 1)
        yield part
        rows -= part


async def _learn(session: Session, table: TargetTable) -> Target:
    columns = await columns_of(session, table.name)
    if columns is None:
        raise ConnectorError(f"no such table: {table.name}; create it, or let the task do so (create: true)")
    await check_target(session, table, columns)
    types = {column.name.lower(): column.type for column in columns}
    converters = [row_converter(kind, name, types[name.lower()], session.zone) for name, kind in table.columns]
    names = ", ".join(quoted(name) for name, _ in table.columns)
    return Target(
        f"INSERT INTO {qualified(table.name)} ({names}) VALUES ",  # noqa: S608 - quoted identifiers
        tuple(converters),
        _on_duplicate(table),
    )


def _on_duplicate(table: TargetTable) -> str:
    if not table.key:
        return ""
    # VALUES() is what both servers know; a row of nothing but its key is overwritten by itself.
    rest = [quoted(name) for name, _ in table.columns if name not in table.key] or [quoted(table.key[0])]
    return f" ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in rest)}"
