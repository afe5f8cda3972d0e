"""Names of tables and columns as the database has them.

People write `ParkingData` and mean what their SQL means by it: PostgreSQL folds it to `parkingdata`, unless it was
created in quotes. So a name is looked for as written first, then folded; what is made is made folded.
"""

from __future__ import annotations

import re

from plugins.api import ConnectorError, TargetTable
from plugins.sql.postgres_session import Session
from plugins.sql.statements import quoted

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIND = "SELECT COALESCE(to_regclass($1), to_regclass($2))::text"
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
           COALESCE(a.attnum = ANY (i.indkey::int2[]), false)
    FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""

ColumnRow = tuple[str, str, bool, bool]


def folded(name: str) -> str:
    """A name as PostgreSQL understands it without quotes; one that needs quotes stays."""
    return name.lower() if _PLAIN.fullmatch(name) else name


def folded_table(table: TargetTable) -> TargetTable:
    """The columns and the key as they are made; the name, too, but for its schema's dot."""
    return TargetTable(
        table.name,
        tuple((folded(name), field_type) for name, field_type in table.columns),
        tuple(map(folded, table.key)),
    )


def qualified(table: str, *, fold: bool) -> str:
    """A table's name quoted; a dot parts schema and table."""
    schema, dot, name = table.partition(".")
    parts = [schema, name] if dot and schema and name else [table]
    return ".".join(quoted(folded(part) if fold else part) for part in parts)


async def find_table(session: Session, table: str) -> str | None:
    """The table as SQL writes it; None where there is none."""
    statement = await session.prepare(_FIND)
    found: str | None = await statement.fetchval(qualified(table, fold=False), qualified(table, fold=True))
    return found


async def columns_of(session: Session, found: str) -> list[ColumnRow]:
    """Name, type, nullable and of the primary key, for each column of a table that `find_table` found."""
    return [tuple(row) for row in await (await session.prepare(_COLUMNS)).fetch(found)]


async def as_stored(session: Session, table: TargetTable) -> tuple[str, TargetTable]:
    """The table as SQL writes it, and its columns by the names they have there.

    Raises:
        ConnectorError: there is no such table.
    """
    found = await find_table(session, table.name)
    if found is None:
        raise ConnectorError(f"no such table: {table.name}; create it, or let the task do so (create: true)")
    there = {name for name, *_ in await columns_of(session, found)}

    def stored(name: str) -> str:
        return folded(name) if name not in there and folded(name) in there else name

    columns = tuple((stored(name), field_type) for name, field_type in table.columns)
    return found, TargetTable(table.name, columns, tuple(map(stored, table.key)))
