"""All that a plugin may import.

A connector is one module with `CONNECTOR = ConnectorType(...)`: its name, the Struct of its settings, and a function
that builds it. See `plugins/connectors/sqlite.py`. A function is one module with a coroutine function under
`@function`, which takes the data and a `FunctionContext`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from actors.errors import (
    CommitUnknownError,
    ConnectionBusyError,
    ConnectorError,
    FencedError,
    NothingDoneError,
    ParameterError,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
)
from actors.functions.declaration import FunctionContext, FunctionType, HttpAnswer, Published, Rows, function
from actors.ports import (
    Bridge,
    Column,
    ConnectionReport,
    Connector,
    EmbeddedStore,
    Position,
    QueryResult,
    ResultLimits,
    TargetTable,
    WriteBatch,
)
from actors.records import TopicPartition
from config.resources.base import Secret, SecretReference


@dataclass(frozen=True, slots=True)
class Host:
    """What the daemon hands to a connector: its data folder, and the bridge to asyncio libraries."""

    data: Path
    bridge: Bridge


class ParsedStatement(NamedTuple):
    """What can be told of a statement without its database: its parameters in order, and its first word in capitals."""

    names: tuple[str, ...]
    verb: str


@dataclass(frozen=True, slots=True)
class ConnectorType:
    """What a connector module declares.

    `settings` is a msgspec Struct that forbids unknown fields; the names in `secrets` are fields of it that are
    secrets: they are stored sealed, handed to `build` as plain text, and never shown. `parse` reads a statement before
    it is ever run, where the connector can: it raises StatementError for one that `query` would refuse as written.
    `prepare` is called in a thread before each `build`: what takes long to import is imported there, and only where
    there is a connection for it.
    """

    name: str
    settings: type[msgspec.Struct]
    build: Callable[[Any, Host], Connector]
    secrets: tuple[str, ...] = ()
    parse: Callable[[str], ParsedStatement] | None = None
    prepare: Callable[[], object] | None = None


__all__ = [
    "Bridge",
    "Column",
    "CommitUnknownError",
    "ConnectionBusyError",
    "ConnectionReport",
    "Connector",
    "ConnectorError",
    "ConnectorType",
    "EmbeddedStore",
    "FencedError",
    "FunctionContext",
    "FunctionType",
    "Host",
    "HttpAnswer",
    "NothingDoneError",
    "ParameterError",
    "ParsedStatement",
    "Position",
    "Published",
    "QueryResult",
    "ResultLimits",
    "ResultTooLargeError",
    "RowRejectedError",
    "Rows",
    "Secret",
    "SecretReference",
    "StatementError",
    "TargetTable",
    "TopicPartition",
    "WriteBatch",
    "function",
]
