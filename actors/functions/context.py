"""What a function may call while it runs, in either language: checked against the rights of its own app."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actors.errors import ConnectorError, OutgoingCallError, PenstockError
from actors.functions.declaration import HttpAnswer, Published, Rows
from actors.functions.reach import Reach, ScriptDatabase
from actors.functions.runs import RunLines, log_text
from actors.ports import Connector, QueryResult
from actors.records import Record
from actors.sizes import size_words


class RunContext:
    """The context of one run (a `FunctionContext`), and the log of it.

    A function that another app calls still has the rights of the app that owns it, as a view of a database has.
    """

    __slots__ = ("_lines", "_reach", "_since", "app", "caller", "function", "version", "waited")

    def __init__(self, reach: Reach, function: str, version: int, app: str, caller: str) -> None:
        self._reach = reach
        self.function = function
        self.version = version
        self.app = app
        self.caller = caller
        self.waited = 0.0
        self._since = time.perf_counter()
        self._lines: RunLines | None = None

    @property
    def lines(self) -> RunLines | None:
        """What was logged, if anything was."""
        return self._lines

    def begin(self, waited: float) -> None:
        """Whoever runs it has begun only now, after so many seconds."""
        self.waited = waited
        self._since = time.perf_counter()

    def log(self, message: str, **facts: Any) -> None:
        """Write a line into the log of this run."""
        self._log().add(time.perf_counter() - self._since, log_text(message, facts))

    def leave_out(self, count: int) -> None:
        """Count lines of this run that are not kept."""
        self._log().left_out += count

    async def query(self, connection: str, sql: str, /, **parameters: Any) -> Rows:
        """Run one statement with named parameters."""
        connector = self._connector(connection)
        return _rows(await connector.query(sql, parameters, self._reach.query_limits))

    async def query_positional(self, connection: str, sql: str, values: Sequence[Any]) -> Rows:
        """Run one statement with a value for each `?`, as scripts write them."""
        connector = self._connector(connection)
        named, parameters = self._reach.positional(connection, sql, values)
        return _rows(await connector.query(named, parameters, self._reach.query_limits))

    async def query_database(self, database: ScriptDatabase, sql: str, values: Sequence[Any]) -> Rows:
        """Likewise, in a database that a script names by URL."""
        return _rows(await self._reach.scripts.execute(self.app, database, sql, values))

    async def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        json: Any = None,
    ) -> HttpAnswer:
        """Call another system."""
        fields = dict(headers or {})
        data = body.encode() if isinstance(body, str) else body
        if json is not None:
            if data:
                raise OutgoingCallError(f"{method} {url}: give `body` or `json`, not both")
            data = _json(json, "what is to be sent")
            fields = {"Content-Type": "application/json"} | fields
        return await self._reach.outgoing.request(method, url, fields, data)

    async def publish(self, topic: str, data: Any, *, key: str | None = None) -> Published:
        """Store a record in a topic."""
        problem = self._reach.rights.publish_problem(self.app, topic)
        if problem:
            raise PenstockError(problem)
        value = data if isinstance(data, bytes) else _json(data, f"the record for topic {topic}")
        if len(value) > self._reach.max_publish_bytes:
            most = size_words(self._reach.max_publish_bytes)
            raise PenstockError(f"the record for topic {topic} has {len(value)} bytes, and at most {most} go")
        record = Record(None if key is None else key.encode(), value, time.time_ns() // 1_000_000)
        place = await self._reach.records.store(topic, record)
        return Published(topic, place.partition, place.offset)

    def _log(self) -> RunLines:
        if self._lines is None:
            self._lines = RunLines(self._reach.max_log_bytes)
        return self._lines

    def _connector(self, name: str) -> Connector:
        problem = self._reach.rights.connection_problem(self.app, name)
        if problem:
            raise ConnectorError(problem)
        connector = self._reach.connections.get(name)
        if connector is None:
            raise ConnectorError(f"connection {name} is not open now: penstock get connection {name} tells why")
        return connector


def _rows(result: QueryResult) -> Rows:
    names = result.names()
    return Rows([dict(zip(names, row, strict=True)) for row in result.rows], result.affected)


def _json(value: Any, what: str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise PenstockError(f"{what} cannot be written as JSON: {error}") from error
