"""What is learnt once about a table that tasks write to: the statement, and how values are made fit for its columns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from plugins.api import RowRejectedError, TargetTable
from plugins.sql.conversions import REFUSED_VALUES, Convert

_REMEMBERED = 128


class Target(NamedTuple):
    """The statement that writes into a table, and what its values must pass first (None: as they are).

    Where it takes many rows at once, `sql` is what stands before their places and `tail` what follows them.
    """

    sql: str
    converters: tuple[Convert | None, ...]
    tail: str = ""


class Targets:
    """The tables that a connection has written to, as they were found."""

    def __init__(self) -> None:
        self._known: dict[TargetTable, Target] = {}

    async def get(self, table: TargetTable, learn: Callable[[], Awaitable[Target]]) -> Target:
        """What was learnt about a table."""
        target = self._known.get(table)
        if target is None:
            target = await learn()
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[table] = target
        return target

    def forget(self) -> None:
        """Tables may have changed."""
        self._known.clear()


def converted(
    rows: Sequence[tuple[object, ...]], converters: Sequence[Convert | None], table: TargetTable
) -> Sequence[tuple[object, ...]]:
    """The rows as the table's columns want them.

    Raises:
        RowRejectedError: a value cannot be made fit; names the column, never the value.
    """
    steps = [(index, convert) for index, convert in enumerate(converters) if convert is not None]
    if not steps:
        return rows
    return [_row(row, steps, table) for row in rows]


def _row(row: tuple[object, ...], steps: Sequence[tuple[int, Convert]], table: TargetTable) -> tuple[object, ...]:
    values = list(row)
    for index, convert in steps:
        try:
            values[index] = convert(values[index])
        except REFUSED_VALUES as error:
            raise misfit(table, index) from error
    return tuple(values)


def misfit(table: TargetTable, index: int | None) -> RowRejectedError:
    """The error for a value that its column does not take."""
    where = "" if index is None else f", column {table.columns[index][0]}"
    return RowRejectedError(f"table {table.name}{where}: the value does not fit the column's type")
