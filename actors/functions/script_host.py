"""What scripts in JavaScript ask of their host, on top of the context of their run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from actors.errors import ParameterError, PenstockError
from actors.functions.context import RunContext
from actors.functions.declaration import Rows
from actors.functions.reach import ScriptDatabase


class _Query(msgspec.Struct, frozen=True):
    connection: str
    sql: str
    parameters: list[Any] | dict[str, Any] = []


class _Database(msgspec.Struct, frozen=True):
    url: str
    sql: str
    type: str | None = None
    user: str | None = None
    password: str | None = None
    parameters: list[Any] = []


class _Http(msgspec.Struct, frozen=True):
    method: str
    url: str
    headers: dict[str, str | int | float | bool] = {}
    body: str | None = None
    json: Any = msgspec.UNSET


class _Publish(msgspec.Struct, frozen=True):
    topic: str
    data: Any
    key: str | None = None


class ScriptHost:
    """The host of one call of a script (`actors.functions.javascript.messages.Host`)."""

    __slots__ = ("_context",)

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def begun(self, waited: float) -> None:
        """What it waited for a process is no time of the run."""
        self._context.begin(waited)

    def log(self, message: str) -> None:
        """Write a line into the log of the run."""
        self._context.log(message)

    def left_out(self, count: int) -> None:
        """Count lines that were too many to be sent."""
        self._context.leave_out(count)

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Do what a script asks for.

        Raises:
            PenstockError: it was refused or failed; says why.
        """
        match operation:
            case "query":
                return await self._query(_read(_Query, operation, arguments))
            case "database":
                asked = _read(_Database, operation, arguments)
                database = ScriptDatabase(asked.type or "", asked.url, asked.user or "", asked.password or "")
                return _plain_rows(await self._context.query_database(database, asked.sql, asked.parameters))
            case "http":
                return await self._http(_read(_Http, operation, arguments))
            case "publish":
                one = _read(_Publish, operation, arguments)
                return (await self._context.publish(one.topic, one.data, key=one.key))._asdict()
            case _:
                raise PenstockError(f"there is no operation {operation}; there are query, database, http and publish")

    async def _query(self, asked: _Query) -> Any:
        given = asked.parameters
        if isinstance(given, dict):
            return _plain_rows(await self._context.query(asked.connection, asked.sql, **given))
        return _plain_rows(await self._context.query_positional(asked.connection, asked.sql, given))

    async def _http(self, asked: _Http) -> dict[str, Any]:
        json = None if asked.json is msgspec.UNSET else asked.json
        body = asked.body or ""
        headers = {name: _header(value) for name, value in asked.headers.items()}
        answer = await self._context.http(asked.method, asked.url, headers=headers, body=body, json=json)
        return {"status": answer.status, "headers": dict(answer.headers), "body": answer.text}


def _read(wanted: type[Any], operation: str, arguments: Mapping[str, Any]) -> Any:
    try:
        return msgspec.convert(dict(arguments), wanted)
    except msgspec.ValidationError as error:
        raise ParameterError(f"{operation}: {error}") from None


def _header(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain_rows(rows: Rows) -> Any:
    """Rows of values that JSON knows, or how many a statement changed that brings none."""
    if not rows and rows.affected:
        return {"affected": rows.affected}
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """Decimals as numbers, what JSON does not know (NaN) as null; bytes as base64, times in ISO 8601."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value) if value.is_finite() else None
        case _:
            return msgspec.to_builtins(value, enc_hook=str)
