"""What lies within the reach of functions, as it is handed in: rights, connections, topics, other systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from actors.functions.declaration import HttpAnswer
from actors.ports import ConnectionLookup, QueryResult, ResultLimits
from actors.records import Record


class Rights(Protocol):
    """What an app may reach, as it is applied now."""

    def connection_problem(self, app: str, connection: str) -> str:
        """Why an app may not use a connection; empty where it may."""

    def publish_problem(self, app: str, topic: str) -> str:
        """Why an app may not publish to a topic; empty where it may."""


class Place(Protocol):
    """Where a record lies."""

    @property
    def partition(self) -> int:
        """Which partition."""

    @property
    def offset(self) -> int:
        """Where in it."""


class Records(Protocol):
    """The way into topics."""

    async def store(self, topic: str, record: Record) -> Place:
        """Store a record; it is committed when the call returns.

        Raises:
            PenstockError: it was not stored; says why.
        """


class Outgoing(Protocol):
    """The way to other systems by HTTP."""

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Make a call.

        Raises:
            OutgoingCallError: it did not come about; says why.
        """


class ScriptDatabase(NamedTuple):
    """A database as a script names it: `type` mysql, `url` jdbc:mysql://127.0.0.1:3306/db, user and password."""

    type: str
    url: str
    user: str
    password: str


class ScriptDatabases(Protocol):
    """Databases that scripts name by URL, where the setting `functions.script_connections` lists them."""

    async def execute(self, app: str, database: ScriptDatabase, sql: str, values: Sequence[object]) -> QueryResult:
        """Run one statement, with a value for each `?`.

        Raises:
            ConnectorError: it is not listed, or not to be called (says what to do), or did not do what it was asked.
        """


class Positional(Protocol):
    """Makes named parameters of positional ones."""

    def __call__(self, connection: str, sql: str, values: Sequence[object]) -> tuple[str, Mapping[str, object]]:
        """A connection's statement with a name for each `?` outside of quotes and comments, and the values by name.

        Raises:
            ParameterError: there are more or fewer values than places.
        """


@dataclass(frozen=True, slots=True)
class Reach:
    """All of it. `max_log_bytes` are those of one run, `max_publish_bytes` those of one record."""

    rights: Rights
    connections: ConnectionLookup
    records: Records
    outgoing: Outgoing
    scripts: ScriptDatabases
    positional: Positional
    query_limits: ResultLimits
    max_log_bytes: int
    max_publish_bytes: int
