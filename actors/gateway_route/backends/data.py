"""Backend `data`: SQL statements, whose results are the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import trio

from actors.errors import (
    ConnectionBusyError,
    ConnectorError,
    ParameterError,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
)
from actors.gateway_route.backends.paging import (
    PAGE_NUMBER,
    PAGE_SIZE,
    TOTAL,
    page_of,
    page_sql,
    total_sql,
)
from actors.gateway_route.backends.results import Answer, format_of
from actors.gateway_route.backends.retries import Retries
from actors.gateway_route.call import Call
from actors.gateway_route.mapping.request import request_mapping
from actors.http_calls.errors import (
    BACKEND_TIMEOUT,
    BACKEND_UNAVAILABLE,
    BAD_REQUEST,
    BUSY,
    INTERNAL,
    NO_BACKEND,
    CallRefusedError,
    GatewayError,
)
from actors.ports import ConnectionLookup, QueryResult, ResultLimits
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.messages import Response
from config.resources import DataBackend, Route, Statement

AFFECTED = "affected"


class Data:
    """Runs the statements with the call's parameters bound by name.

    The answer has the rows of each statement under its result's name: `{"default": [{column: value, ...}, ...]}`. A
    statement that yields no rows has an empty list there, and `affected` tells how many rows it changed: a number for a
    backend of one statement, else by result. A procedure's second result is named `default_2`. With paging, `pageNo`,
    `pageSize` and `total` stand beside the rows.

    Statements run in order, each in a transaction of its own; the first that fails ends the call with an error that
    names its result. Connections are looked up for each call: they may come, go and change while the route stays.
    """

    takes_body = True
    waits = True

    def __init__(
        self, route: Route, settings: DataBackend, connections: ConnectionLookup, limits: ResultLimits, log: LogLimiter
    ) -> None:
        self._route = route.name
        self._statements = settings.all_statements
        self._paging = settings.paging
        self._connections = connections
        self._limits = bounded(limits, settings)
        self._log = log
        self._format = format_of(settings.returns, pretty=settings.format)
        self._retries = Retries(route)
        self._map = request_mapping(settings.parameters, route.name) if settings.parameters else None

    async def answer(self, call: Call) -> Response:
        """Query, and answer with the results."""
        values: Mapping[str, Any] = call.parameters if self._map is None else self._map(call)
        try:
            answer = await (self._page(call, values) if self._paging else self._all(call, values))
            return Response(200, self._format.headers, await self._format.encode(answer))
        except ValueError as error:
            raise self._refused(self._statements[0], INTERNAL, str(error)) from error

    async def _all(self, call: Call, values: Mapping[str, Any]) -> Answer:
        results: list[tuple[str, QueryResult]] = []
        limits = self._limits
        for statement in self._statements:
            result = await self._query(call, statement, statement.sql, values, limits)
            results.append((statement.result, result))
            results += ((f"{statement.result}_{number}", more) for number, more in enumerate(result.more, 2))
            if len(results) < len(self._statements):
                limits = _left(limits, result)
        return Answer(results, self._affected(results))

    async def _page(self, call: Call, values: Mapping[str, Any]) -> Answer:
        try:
            page = page_of(call.parameters, self._limits.rows)
        except ValueError as error:
            raise CallRefusedError(BAD_REQUEST, str(error)) from error
        (statement,) = self._statements
        counted = await self._query(call, statement, total_sql(statement.sql), values, self._limits)
        result = await self._query(call, statement, page_sql(statement.sql), page.parameters(values), self._limits)
        extra = {PAGE_NUMBER: page.number, PAGE_SIZE: page.size, TOTAL: counted.rows[0][0]}
        return Answer([(statement.result, result)], extra)

    def _affected(self, results: Sequence[tuple[str, QueryResult]]) -> dict[str, Any]:
        if len(results) == 1:
            ((_, result),) = results
            return {} if result.columns else {AFFECTED: result.affected}
        changed = {name: result.affected for name, result in results if not result.columns}
        return {AFFECTED: changed} if changed else {}

    async def _query(
        self, call: Call, statement: Statement, sql: str, values: Mapping[str, Any], limits: ResultLimits
    ) -> QueryResult:
        connector = self._connections.get(statement.connection)
        if connector is None:
            raise self._refused(statement, NO_BACKEND, "the connection does not exist or is disabled")
        try:
            return await self._in_time(call, statement, partial(connector.query, sql, values, limits))
        except ParameterError as error:
            raise CallRefusedError(BAD_REQUEST, self._named(statement, str(error))) from error
        except ConnectionBusyError as error:
            raise self._refused(statement, BUSY, str(error)) from error
        except RowRejectedError as error:
            detail = "the database does not take these values"
            raise self._refused(statement, BAD_REQUEST, str(error), detail) from error
        except ResultTooLargeError as error:
            detail = f"the result has more than {self._limits.rows} rows or {self._limits.bytes} bytes; ask for less"
            raise self._refused(statement, INTERNAL, str(error), detail) from error
        except StatementError as error:
            raise self._refused(statement, INTERNAL, str(error)) from error
        except ConnectorError as error:
            raise self._refused(statement, BACKEND_UNAVAILABLE, str(error)) from error

    async def _in_time(
        self, call: Call, statement: Statement, query: Callable[[], Awaitable[QueryResult]]
    ) -> QueryResult:
        if statement.timeout_ms is None:
            return await self._retries.run(call.request.method, query)
        with trio.move_on_after(statement.timeout_ms / 1000):
            return await self._retries.run(call.request.method, query)
        reason = f"the query took longer than {statement.timeout_ms} ms"
        raise self._refused(statement, BACKEND_TIMEOUT, reason, reason)

    def _refused(self, statement: Statement, error: GatewayError, reason: str, detail: str = "") -> CallRefusedError:
        """The caller hears the error, the operator the reason."""
        self._log.warning(
            "Data route failed",
            route=self._route,
            connection=statement.connection,
            result=statement.result,
            reason=reason,
        )
        return CallRefusedError(
            error, self._named(statement, detail), reason=f"connection {statement.connection}: {reason}"
        )

    def _named(self, statement: Statement, detail: str) -> str:
        """Of several results, the one that failed is named."""
        if len(self._statements) == 1:
            return detail
        return f"{detail} (result {statement.result})" if detail else f"result {statement.result}"


def bounded(limits: ResultLimits, settings: DataBackend) -> ResultLimits:
    """A backend's own limits, within the gateway's."""
    return ResultLimits(
        min(limits.rows, settings.max_rows or limits.rows), min(limits.bytes, settings.max_bytes or limits.bytes)
    )


def _left(limits: ResultLimits, result: QueryResult) -> ResultLimits:
    """What the results of the next statements may bring."""
    size = sum(len(value) if isinstance(value, (str, bytes)) else 8 for row in result.rows for value in row)
    return ResultLimits(limits.rows - len(result.rows), max(0, limits.bytes - size))
