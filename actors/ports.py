"""What actors need from outside, as Protocols: whoever hosts them hands these in.

A connector is one module under `plugins/connectors`; stores and bridge live in `daemon`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from actors.records import Confirmed, TopicPartition

T = TypeVar("T")


class Bridge(Protocol):
    """The way to the asyncio island: libraries that need an asyncio loop are called through it."""

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await `function()` on the island; cancelling cancels it there once, and waits for its end."""


class QueryResult(NamedTuple):
    """Rows of a query; a statement that yields none has no columns, and `affected` tells how many rows it changed.

    A procedure may have several results: `more` has those that follow the first one.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    affected: int = 0
    more: tuple[QueryResult, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Names for the columns, no two alike: of two `id`, the second becomes `id_2`."""
        if len(set(self.columns)) == len(self.columns):
            return self.columns
        names: list[str] = []
        taken = set(self.columns)
        seen: set[str] = set()
        for column in self.columns:
            name, number = column, 2
            while name in seen or (name != column and name in taken):
                name, number = f"{column}_{number}", number + 1
            seen.add(name)
            names.append(name)
        return tuple(names)


@dataclass(frozen=True, slots=True)
class ResultLimits:
    """How much a query may bring back."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `type` is the database's own word for it."""

    name: str
    type: str
    nullable: bool = True
    key: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """What a connection test found; on failure `problem` says what failed, where, why and what to do."""

    connected: bool
    version: str = ""
    milliseconds: float = 0.0
    may_read: bool = False
    may_write: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table to write to: columns with the field types of their values (string, integer, number, boolean, json).

    Values of json columns are decoded JSON (dict, list, str, ...); the connector writes them as its database does.
    With `key` rows are upserted by those columns; without, inserted.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...] = ()


class Position(NamedTuple):
    """How far a task has come in one partition, as its sink knows it; `offset` is the next one to write.

    `epoch` rises at each claim, so that only the last claimant can write. `offset` is None before anything was written.
    """

    epoch: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """One transaction into a sink: move the task's position from `expected` to `next_offset`, and write the rows."""

    task: str
    source: TopicPartition
    epoch: int
    expected: int | None
    next_offset: int
    table: TargetTable
    rows: Sequence[tuple[Any, ...]]


class Connector(Protocol):
    """A connection to another system, alive for as long as its resource is.

    It connects when first needed and again after a loss, so that an unreachable system never stops a start. Each of
    these raises ConnectorError (or a subclass of it) and nothing else.
    """

    async def test(self) -> ConnectionReport:
        """Try the connection for real; never raises for a system that does not answer."""

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        """Run one statement with named parameters (`:name`), always bound.

        Raises:
            StatementError: more than one statement, or one that the database refuses.
            ParameterError: a parameter is missing or of the wrong type.
            ResultTooLargeError: more than `limits`.
        """

    async def tables(self) -> Sequence[str]:
        """The names of the tables and views."""

    async def columns(self, table: str) -> Sequence[Column]:
        """The columns of a table; StatementError where there is no such table."""

    async def create_table(self, table: TargetTable) -> None:
        """Make the table where it is missing."""

    async def claim(self, task: str, source: TopicPartition) -> Position:
        """Raise the epoch of a task's partition, which fences earlier claimants, and say how far it came."""

    async def position(self, task: str, source: TopicPartition) -> Position:
        """The position as it stands in the sink: for after a lost answer to COMMIT, and for display."""

    async def write(self, batch: WriteBatch) -> None:
        """One transaction: first the position `WHERE epoch = mine AND offset = expected`, then the rows.

        Raises:
            FencedError: the position was not as expected; nothing was written.
            RowRejectedError: a row was refused; nothing was written.
            CommitUnknownError: the answer to COMMIT was lost.
        """

    async def reset(self, task: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set a task's positions, all of them or none, and raise their epochs, which fences whoever writes there."""

    async def close(self) -> None:
        """End every connection."""


@runtime_checkable
class EmbeddedStore(Protocol):
    """A connector that keeps its data in the daemon's data folder, and so belongs into a backup of it."""

    async def backup_into(self, folder: Path) -> Path | None:
        """Copy the data, as of one moment, into `folder` at the path it has in the data folder; writers go on.

        Returns the copy; None where the data lies outside the data folder, or nothing is there yet. Raises
        ConnectorError, also where the copy would overwrite something.
        """


class OffsetStore(Protocol):
    """How far each group has come: for a task a copy of what its sink has, for HTTP consumers the only truth."""

    async def load_confirmed(self, group: str) -> Mapping[TopicPartition, Confirmed]:
        """The positions of a group."""

    async def save_confirmed(self, group: str, positions: Mapping[TopicPartition, Confirmed]) -> None:
        """Store positions in one transaction; on disk when the call returns."""


class ConnectionLookup(Protocol):
    """Finds the living connector of a connection by its resource's name."""

    def get(self, name: str) -> Connector | None:
        """The connector, or None where no such connection exists or it is disabled."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something was done to a resource: when (milliseconds since the epoch), by whom, what, and why.

    `outcome` is `done`, or why it failed.
    """

    at: int
    by: str
    subject: str
    action: str
    before: str
    after: str
    reason: str
    outcome: str = "done"


class AuditTrail(Protocol):
    """Keeps what was done."""

    async def record(self, entry: AuditEntry) -> None:
        """Keep it; never raises, what cannot be stored is in the log all the same."""
