"""A small world for functions: what lies in their reach, without a disk, a database or a socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from actors.errors import ConfigurationError, ConnectorError, PenstockError
from actors.functions.declaration import FunctionType, HttpAnswer
from actors.functions.library import Functions
from actors.functions.program import Program
from actors.functions.python_runtime import PythonProgram
from actors.functions.reach import Reach, ScriptDatabase
from actors.ports import QueryResult, ResultLimits
from actors.records import Record
from config.resources import Function


class StoredAt(NamedTuple):
    partition: int
    offset: int


class FakeConnector:
    """Answers each query with what it was told to, and remembers what it was asked."""

    def __init__(self, answer: QueryResult) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any], ResultLimits]] = []

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        self.asked.append((sql, dict(parameters), limits))
        return self.answer


class World:
    """Rights, connections, records and HTTP of one world; app `a` may use connection `db` and topic `t`."""

    def __init__(self) -> None:
        self.modules: dict[str, FunctionType] = {}
        self.db = FakeConnector(QueryResult(("id", "id"), [(1, 2)]))
        self.stored: list[tuple[str, Record]] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.functions = Functions(self, self.reach(), 3, lambda: 1000.0)

    def reach(self, **more: Any) -> Reach:
        parts: dict[str, Any] = {
            "rights": self,
            "connections": self,
            "records": self,
            "outgoing": self,
            "scripts": self,
            "positional": self.positional,
            "query_limits": ResultLimits(10, 1000),
            "max_log_bytes": 71,
            "max_publish_bytes": 20,
        }
        return Reach(**(parts | more))

    def module(self, name: str, declared: FunctionType) -> None:
        self.modules[name] = declared

    def put(self, name: str, version: int = 1, **more: Any) -> Function:
        function = function_of(name, **more)
        self.functions.put(function, version)
        return function

    # --- what is handed in ----------------------------------------------------------------------------------------

    def make(self, function: Function, version: int) -> Program:
        return PythonProgram(function, version, self._find)

    def _find(self, module: str) -> FunctionType:
        if module not in self.modules:
            raise ConfigurationError(f"there is no plugin module {module}")
        return self.modules[module]

    def connection_problem(self, app: str, connection: str) -> str:
        return "" if app == "a" and connection in {"db", "closed"} else f"app {app} may not use {connection}"

    def publish_problem(self, app: str, topic: str) -> str:
        return "" if (app, topic) == ("a", "t") else f"app {app} may not publish to {topic}"

    def get(self, name: str) -> Any:
        return self.db if name == "db" else None

    async def store(self, topic: str, record: Record) -> StoredAt:
        self.stored.append((topic, record))
        return StoredAt(0, len(self.stored) - 1)

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        self.requests.append((method, url, dict(headers), body))
        return HttpAnswer(201, {"x-a": "b"}, b'{"a": 1}')

    async def execute(self, app: str, database: ScriptDatabase, sql: str, values: Sequence[object]) -> QueryResult:
        if (app, database.url) != ("a", "jdbc:mysql://here/db") or not sql:
            raise ConnectorError("functions.script_connections does not list it")
        return QueryResult((), [], affected=len(values))

    @staticmethod
    def positional(connection: str, sql: str, values: Sequence[object]) -> tuple[str, Mapping[str, object]]:
        if connection != "db" or sql.count("?") != len(values):
            raise PenstockError("as many values as places")
        named = sql
        for number in range(len(values)):
            named = named.replace("?", f":p{number}", 1)
        return named, {f"p{number}": value for number, value in enumerate(values)}


def function_of(name: str, **more: Any) -> Function:
    return Function(**({"name": name, "app": "a", "language": "python", "module": name} | more))


def declared(call: Callable[..., Any], batch: Callable[..., Any] | None = None) -> FunctionType:
    return FunctionType(call, batch)
