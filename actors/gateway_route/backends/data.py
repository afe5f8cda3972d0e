"""Backend `data`: one SQL statement, whose result is the answer."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import trio

from actors.errors import (
    ConnectorError,
    ParameterError,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
)
from actors.gateway_route.backends.parameters import read_parameters
from actors.gateway_route.call import Call
from actors.http_calls.errors import (
    BACKEND_UNAVAILABLE,
    BAD_REQUEST,
    INTERNAL,
    NO_BACKEND,
    CallRefusedError,
    GatewayError,
)
from actors.ports import ConnectionLookup, Connector, QueryResult, ResultLimits
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.messages import Response
from config.resources import DataBackend

_JSON_HEADERS = (("Content-Type", "application/json"),)
# A body of more bytes is read in a thread, and a result of more rows is encoded in turns with others: either could
# take a tenth of a second, in which no device would be answered.
_BYTES_HERE = 64 * 1024
_ROWS_A_TURN = 200


class Data:
    """Runs the statement with the call's parameters bound by name.

    The answer is `{"default": [{column: value, ...}, ...]}`, and for a statement that yields no rows
    `{"default": [], "affected": rows changed}`. Bytes come as base64, dates and times in ISO 8601, decimals as numbers.
    The connection is looked up for each call: it may come, go and change while the route stays.
    """

    takes_body = True
    waits = True

    def __init__(
        self, route: str, settings: DataBackend, connections: ConnectionLookup, limits: ResultLimits, log: LogLimiter
    ) -> None:
        self._route = route
        (self._statement,) = settings.all_statements
        self._connections = connections
        self._limits = limits
        self._log = log
        self._encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
        self._reading = trio.CapacityLimiter(1)

    async def answer(self, call: Call) -> Response:
        """Query, and answer with the result."""
        connector = self._connections.get(self._statement.connection)
        if connector is None:
            raise self._refused(NO_BACKEND, "the connection does not exist or is disabled")
        result = await self._query(connector, await self._parameters(call))
        return Response(200, _JSON_HEADERS, await self._encode(result))

    async def _parameters(self, call: Call) -> dict[str, Any]:
        if len(call.body) <= _BYTES_HERE:
            return read_parameters(call)
        return await trio.to_thread.run_sync(read_parameters, call, limiter=self._reading, abandon_on_cancel=True)

    async def _query(self, connector: Connector, parameters: dict[str, Any]) -> QueryResult:
        try:
            return await connector.query(self._statement.sql, parameters, self._limits)
        except ParameterError as error:
            raise CallRefusedError(BAD_REQUEST, str(error)) from error
        except RowRejectedError as error:
            raise self._refused(BAD_REQUEST, str(error), "the database does not take these values") from error
        except ResultTooLargeError as error:
            raise self._refused(INTERNAL, str(error), "the result is too large, ask for less") from error
        except StatementError as error:
            raise self._refused(INTERNAL, str(error)) from error
        except ConnectorError as error:
            raise self._refused(BACKEND_UNAVAILABLE, str(error)) from error

    def _refused(self, error: GatewayError, reason: str, detail: str = "") -> CallRefusedError:
        """The caller hears the error, the operator the reason."""
        self._log.warning("Data route failed", route=self._route, connection=self._statement.connection, reason=reason)
        return CallRefusedError(error, detail)

    async def _encode(self, result: QueryResult) -> bytes:
        if not result.columns:
            return self._encoder.encode({"default": [], "affected": result.affected})
        names = distinct(result.columns)
        parts: list[bytes] = []
        for start in range(0, len(result.rows), _ROWS_A_TURN):
            if start:
                await trio.lowlevel.checkpoint()
            rows = result.rows[start : start + _ROWS_A_TURN]
            encoded = self._encoder.encode([dict(zip(names, map(_plain, row), strict=True)) for row in rows])
            parts.append(encoded[1:-1])
        return b'{"default":[' + b",".join(parts) + b"]}"


def distinct(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Names for columns, no two alike: of two `id`, the second becomes `id_2`."""
    names: list[str] = []
    taken = set(columns)
    seen: set[str] = set()
    for column in columns:
        name, number = column, 2
        while name in seen or (name != column and name in taken):
            name, number = f"{column}_{number}", number + 1
        seen.add(name)
        names.append(name)
    return tuple(names)


def _plain(value: object) -> object:
    """JSON knows no NaN and no infinity, also not those of decimals."""
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
