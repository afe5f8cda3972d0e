"""A task's transaction in PostgreSQL: claim, position, and rows; runs on the island."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import asyncpg

from plugins.api import Position, TargetTable, WriteBatch
from plugins.sql.conversions import REFUSED_VALUES
from plugins.sql.positions import Who, fenced
from plugins.sql.postgres_errors import is_row_fault
from plugins.sql.postgres_names import as_stored, find_table, folded_table, qualified
from plugins.sql.postgres_session import Session
from plugins.sql.postgres_values import row_converter
from plugins.sql.statements import POSITIONS, create, insert
from plugins.sql.targets import Target, converted, misfit
from plugins.sql.transactions import transaction

_TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "json": "jsonb",
}
_EXISTS = "SELECT to_regclass($1) IS NOT NULL"
# Two runners of one task begin at the same time, and PostgreSQL's IF NOT EXISTS lets one of them fail.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('penstock'), hashtext($1))"
_CREATE_POSITIONS = (
    f"CREATE TABLE IF NOT EXISTS {POSITIONS} (task text NOT NULL, topic text NOT NULL, partition integer NOT NULL, "
    'epoch bigint NOT NULL, "offset" bigint, PRIMARY KEY (task, topic, partition))'
)
_CLAIM = (
    f"INSERT INTO {POSITIONS} AS p (task, topic, partition, epoch) VALUES ($1, $2, $3, 1) "  # noqa: S608 - a constant
    'ON CONFLICT (task, topic, partition) DO UPDATE SET epoch = p.epoch + 1 RETURNING epoch, "offset"'
)
_RESET = (
    f'INSERT INTO {POSITIONS} AS p (task, topic, partition, epoch, "offset") '  # noqa: S608 - a constant
    "VALUES ($1, $2, $3, 1, $4) ON CONFLICT (task, topic, partition) "
    'DO UPDATE SET epoch = p.epoch + 1, "offset" = excluded."offset"'
)
_WHERE = "WHERE task = $1 AND topic = $2 AND partition = $3"
# The lock waits for a COMMIT whose answer was lost and which the server has not ended yet.
_POSITION = f'SELECT epoch, "offset" FROM {POSITIONS} {_WHERE} FOR SHARE'  # noqa: S608 - a constant
_ADVANCE = (
    f'UPDATE {POSITIONS} SET "offset" = $4 {_WHERE} AND epoch = $5 '  # noqa: S608 - a constant
    'AND "offset" IS NOT DISTINCT FROM $6 RETURNING epoch'
)

_ARGUMENT = re.compile(r"query argument \$([0-9]+)")


async def create_table(session: Session, where: str, table: TargetTable) -> None:
    """Make the table where it is missing."""
    if await find_table(session, table.name) is None:
        name = qualified(table.name, fold=True)
        await _create(session, where, name, create(folded_table(table), name, _TYPES.__getitem__))


async def _create(session: Session, where: str, name: str, sql: str) -> None:
    async with transaction(session, where):
        await session.connection.execute(_LOCK, name)
        await session.connection.execute(sql)


async def claim(session: Session, where: str, who: Who) -> Position:
    """Raise the epoch; the first claim makes the position table."""
    await _make_positions(session, where)
    row = await (await session.prepare(_CLAIM)).fetchrow(*who)
    assert row is not None, "INSERT ... RETURNING brings its row"  # noqa: S101 - what the statement says
    return Position(row[0], row[1])


async def reset(session: Session, where: str, rows: Sequence[tuple[str, str, int, int]]) -> None:
    """Set positions (task, topic, partition, offset), all or none, and raise their epochs.

    It waits for the end of a transaction that moves one of them now.
    """
    await _make_positions(session, where)
    statement = await session.prepare(_RESET)
    async with transaction(session, where):
        await statement.executemany(rows)


async def _make_positions(session: Session, where: str) -> None:
    # Asked first: IF NOT EXISTS wants the right to create even where nothing is to be created.
    if not await (await session.prepare(_EXISTS)).fetchval(POSITIONS):
        await _create(session, where, POSITIONS, _CREATE_POSITIONS)


async def position(session: Session, who: Who) -> Position:
    """The position as it stands; epoch 0 where nobody has claimed yet."""
    if not await (await session.prepare(_EXISTS)).fetchval(POSITIONS):
        return Position(0, None)
    row = await (await session.prepare(_POSITION)).fetchrow(*who)
    return Position(row[0], row[1]) if row is not None else Position(0, None)


async def try_to_write(session: Session) -> None:
    """Do what a first claim does, and roll it back."""
    await session.begin()
    try:
        if not await session.connection.fetchval(_EXISTS, POSITIONS):
            await session.connection.execute(_CREATE_POSITIONS)
        await session.connection.execute(_CLAIM, "penstock connection test", "", 0)
    finally:
        await session.roll_back()


async def write(session: Session, where: str, batch: WriteBatch) -> None:
    """One transaction: the position, then the rows."""
    try:
        async with transaction(session, where):
            await _advance(session, batch)
            if batch.rows:
                await _insert(session, batch)
    except asyncpg.PostgresError as error:
        if not is_row_fault(error):
            # The table may have changed since its statement was made; to look again costs less than to guess.
            session.forget_schema()
        raise


async def _advance(session: Session, batch: WriteBatch) -> None:
    try:
        statement = await session.prepare(_ADVANCE)
        moved = await statement.fetch(
            batch.task, batch.source.topic, batch.source.partition, batch.next_offset, batch.epoch, batch.expected
        )
    except asyncpg.UndefinedTableError:
        moved = []
    if not moved:
        raise fenced(batch)


async def _insert(session: Session, batch: WriteBatch) -> None:
    target = await session.targets.get(batch.table, partial(_learn, session, batch.table))
    rows = converted(batch.rows, target.converters, batch.table)
    statement = await session.prepare(target.sql)
    try:
        await statement.executemany(rows)
    except (*REFUSED_VALUES, asyncpg.DataError) as error:
        argument = _argument(error)
        if argument is None and isinstance(error, asyncpg.DataError):
            raise  # the server's
        raise misfit(batch.table, argument) from error


async def _learn(session: Session, table: TargetTable) -> Target:
    name, stored = await as_stored(session, table)
    places = ", ".join(f"${number}" for number in range(1, len(stored.columns) + 1))
    sql = insert(stored, name, f"({places})")
    types = (await session.prepare(sql)).get_parameters()
    converters = [
        row_converter(field_type, kind.name) for (_, field_type), kind in zip(stored.columns, types, strict=True)
    ]
    return Target(sql, tuple(converters))


def _argument(error: Exception) -> int | None:
    """Which of a statement's arguments asyncpg does not take; it quotes the value too, which is nobody's to read."""
    found = _ARGUMENT.search(str(error))
    return int(found[1]) - 1 if found is not None else None
