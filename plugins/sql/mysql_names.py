"""Names of tables and columns, and what the server tells of them. Runs on the island."""

from __future__ import annotations

from typing import NamedTuple

from asyncmy.errors import MySQLError

from plugins.api import ConnectorError, TargetTable
from plugins.sql.mysql_errors import number
from plugins.sql.mysql_session import Session

_NO_TABLE = frozenset({1146, 1049, 1103})
_ENGINE = """
    SELECT t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t
    JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE t.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND t.TABLE_NAME = ?
"""


class ColumnRow(NamedTuple):
    """A column as the server tells of it."""

    name: str
    type: str
    nullable: bool
    key: bool


class UniqueIndex(NamedTuple):
    """A unique index and its columns; not `whole` where it is on beginnings of them, or on expressions."""

    name: str
    columns: set[str]
    whole: bool


def quoted(identifier: str) -> str:
    """An identifier as MySQL writes it, whatever is in it."""
    return "`" + identifier.replace("`", "``") + "`"


def parts_of(table: str) -> tuple[str | None, str]:
    """Database and table: a dot parts them."""
    database, dot, name = table.partition(".")
    return (database, name) if dot and database and name else (None, table)


def qualified(table: str) -> str:
    """A table's name, quoted."""
    return ".".join(quoted(part) for part in parts_of(table) if part is not None)


async def columns_of(session: Session, table: str) -> list[ColumnRow] | None:
    """The columns of a table; None where there is no such table."""
    try:
        rows = await session.rows(f"SHOW COLUMNS FROM {qualified(table)}")
    except MySQLError as error:
        if number(error) in _NO_TABLE:
            return None
        raise
    return [ColumnRow(row[0], _word(row[1]), row[2] == "YES", row[3] == "PRI") for row in rows]


async def check_target(session: Session, table: TargetTable, columns: list[ColumnRow]) -> None:
    """See that a task's rows can be written exactly once, and each over its own.

    MySQL lets a row overwrite another one wherever any unique index of the table is met, not the key's alone.

    Raises:
        ConnectorError: the table knows no transactions, has no unique index on the key, or another one that the
            task's columns could meet.
    """
    there = {column.name.lower() for column in columns}
    for name, _ in table.columns:
        if name.lower() not in there:
            raise ConnectorError(
                f"table {table.name} has no column {name}: the column is missing; add it, or change the task's columns"
            )
    for engine, transactions in await session.rows(_ENGINE, *parts_of(table.name)):
        if transactions != "YES":
            raise ConnectorError(
                f"table {table.name} is of engine {engine}, which knows no transactions: ALTER TABLE "
                f"{qualified(table.name)} ENGINE=InnoDB"
            )
    if table.key:
        _check_indexes(table, await _unique_indexes(session, table.name))


def _check_indexes(table: TargetTable, indexes: list[UniqueIndex]) -> None:
    key = {name.lower() for name in table.key}
    written = {name.lower() for name, _ in table.columns}
    if not any(index.columns == key and index.whole for index in indexes):
        raise ConnectorError(
            f"table {table.name} has no unique index on the task's key: CREATE UNIQUE INDEX on its columns "
            f"({', '.join(table.key)}), each of them whole"
        )
    for index in indexes:
        # Rows that are the same in the key and more are the same in the key.
        if index.columns <= written and not (index.whole and index.columns >= key):
            raise ConnectorError(
                f"table {table.name} has another unique index besides the task's key, {index.name}: a row could "
                "overwrite one of another key; drop the index, or make its columns the task's key"
            )


async def _unique_indexes(session: Session, table: str) -> list[UniqueIndex]:
    result = (await session.run(f"SHOW INDEX FROM {qualified(table)}", ()))[0]
    names = [name.lower() for name in result.columns]
    indexes: dict[str, UniqueIndex] = {}
    for row in result.rows:
        told = dict(zip(names, row, strict=True))
        if told["non_unique"]:
            continue
        index = indexes.setdefault(told["key_name"], UniqueIndex(told["key_name"], set(), whole=True))
        column = told["column_name"]
        index.columns.update({column.lower()} if column else ())
        if column is None or told["sub_part"] is not None:
            indexes[index.name] = index._replace(whole=False)
    return list(indexes.values())


def _word(value: str | bytes) -> str:
    # MySQL has types as binary text.
    return value.decode() if isinstance(value, bytes) else value
