"""Backend `data`: parameters in, rows out, errors told apart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog
import trio

from actors.errors import (
    ConnectorError,
    ParameterError,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
)
from actors.gateway_route.backends.data import Data
from actors.gateway_route.call import Call
from actors.gateway_route.parameters.step import ParameterStep
from actors.http_calls.errors import CallRefusedError
from actors.ports import QueryResult, ResultLimits
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.messages import Request, Response
from config.resources import DataBackend, Route, RouteBackend, RouteRequest

LIMITS = ResultLimits(5, 500)
SQL = "SELECT 1"
DATA = DataBackend(connection="db", sql=SQL)


def route_of(data: DataBackend) -> Route:
    return Route(name="lots", app="a", request=RouteRequest(path="/"), backend=RouteBackend(data=data))


class FakeConnector:
    def __init__(self, answer: QueryResult | Exception) -> None:
        self.answer = answer
        self.parameters = None

    async def query(self, sql: str, parameters: Mapping[str, Any] | None, limits: ResultLimits) -> QueryResult:
        assert (sql, limits) == (SQL, LIMITS)
        self.parameters = dict(parameters)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def run(
    answer: QueryResult | Exception,
    *,
    query: str = "",
    parameters: Mapping[str, Any] | None = None,
    body: bytes = b"",
    content_type: str | None = None,
) -> tuple[Response, FakeConnector]:
    connector = FakeConnector(answer)
    headers = [("content-type", content_type)] if content_type else []
    backend = Data(route_of(DATA), DATA, {"db": connector}, LIMITS, LogLimiter())
    call = Call(Request("POST", "/", query, headers), path=parameters or {}, body=body)
    reading = ParameterStep((), reads_body=True)(call)
    if reading is not None:
        await reading
    return await backend.answer(call), connector


async def bound(**given: Any) -> dict[str, Any]:
    return (await run(QueryResult(("n",), []), **given))[1].parameters


async def test_rows_come_under_default() -> None:
    """Each row is an object of its columns, in order."""
    response, _ = await run(QueryResult(("id", "name"), [(1, "a"), (2, None)]))
    assert response.status == 200
    assert response.headers == (("Content-Type", "application/json"),)
    assert response.body == b'{"default":[{"id":1,"name":"a"},{"id":2,"name":null}]}'


async def test_a_statement_without_rows_tells_what_it_changed() -> None:
    """No columns: an empty default, and how many rows it affected."""
    assert (await run(QueryResult((), [], 3)))[0].body == b'{"default":[],"affected":3}'
    assert (await run(QueryResult(("n",), [], 0)))[0].body == b'{"default":[]}'


async def test_values_become_json() -> None:
    """Bytes as base64, dates in ISO 8601, decimals as numbers, what JSON does not know as null or text."""
    row = (b"\x00\xff", Decimal("1.50"), Decimal("NaN"), float("inf"), dt.date(2026, 1, 2), 1 + 2j, 2**70)
    response, _ = await run(QueryResult(tuple("abcdefg"), [row]))
    assert response.body == (
        b'{"default":[{"a":"AP8=","b":1.50,"c":null,"d":null,"e":"2026-01-02","f":"(1+2j)","g":1180591620717411303424}]}'
    )


def test_no_column_hides_another() -> None:
    """Columns of one name are told apart by a number that no other column has."""
    assert QueryResult(("id", "n", "id", "id_2", "id"), ()).names() == ("id", "n", "id_3", "id_2", "id_4")


async def test_parameters_come_from_path_query_and_body() -> None:
    """The path's go before the query's, the query's before the body's; all that is not JSON is text."""
    form = "application/x-www-form-urlencoded; charset=utf-8"
    assert await bound(
        parameters={"a": "path"}, query="a=query&b=1%202&c=%C3%A4+x&d=", body=b"a=body&b=body&e=5", content_type=form
    ) == {"a": "path", "b": "1 2", "c": "ä x", "d": "", "e": "5"}


async def test_json_keeps_its_types() -> None:
    """Values of a JSON body come as they are; lists and objects as JSON text."""
    body = b'{"i":1,"f":1.5,"s":"x","b":true,"n":null,"l":[1,{"a":2}],"o":{"a":[]}}'
    expected = {"i": 1, "f": 1.5, "s": "x", "b": True, "n": None, "l": '[1,{"a":2}]', "o": '{"a":[]}'}
    assert await bound(body=body, content_type="application/json") == expected
    assert await bound(body=b'{"i":1}', content_type="application/merge-patch+json") == {"i": 1}


@pytest.mark.parametrize(
    "given",
    [
        {"query": "a=1&a=2"},
        {"query": "a=%ff"},
        {"query": "&".join(f"a{n}=1" for n in range(1_001))},
        {"body": b"a=1&a=2", "content_type": "application/x-www-form-urlencoded"},
        {"body": b"a=\xff", "content_type": "application/x-www-form-urlencoded"},
        {"body": b"{", "content_type": "application/json"},
        {"body": b"[]", "content_type": "application/json"},
        {"body": b"[" * 100_000, "content_type": "application/json"},
        {"body": b'{"a":1e999}', "content_type": "application/json"},
        {"body": b"\xff", "content_type": "application/json"},
        {"body": b'{"a":"\xff"}', "content_type": "application/json"},
        {"body": b'{"\xff":1}', "content_type": "application/json"},
        {"body": b'{"a":["\xff"]}', "content_type": "application/json"},
        {"body": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "content_type": "application/json"},
        {"body": b"{" + b",".join(b'"%d":1' % n for n in range(1_001)) + b"}", "content_type": "application/json"},
        {"body": b"a=" + b"b" * (1024 * 1024), "content_type": "application/x-www-form-urlencoded"},
        {"body": b"x"},
        {"body": b"x", "content_type": "text/plain"},
    ],
)
async def test_parameters_that_cannot_be_read_are_the_callers_error(given: Any) -> None:
    """400 with a reason, before anything is asked of the database."""
    with pytest.raises(CallRefusedError) as refused:
        await bound(**given)
    assert refused.value.error.status == 400
    assert refused.value.detail


@pytest.mark.parametrize(
    ("raised", "expected", "detail"),
    [
        (ParameterError("parameter lot: needs an integer"), (400, "APIC.0201"), "parameter lot: needs an integer"),
        (RowRejectedError("UNIQUE in secret_table"), (400, "APIC.0201"), "the database does not take these values"),
        (StatementError("no such table secret_table"), (500, "APIC.0601"), ""),
        (
            ResultTooLargeError("more than 5 rows of secret_table"),
            (500, "APIC.0601"),
            "the result has more than 5 rows or 500 bytes; ask for less",
        ),
        (ConnectorError("no route to secret_host"), (502, "APIC.0202"), ""),
    ],
)
async def test_errors_are_told_apart_and_tell_nothing_of_what_lies_behind(
    raised: ConnectorError, expected: tuple[int, str], detail: str
) -> None:
    """The caller learns whose fault it is, the operator learns the reason."""
    with structlog.testing.capture_logs() as logs, pytest.raises(CallRefusedError) as refused:
        await run(raised)
    assert (refused.value.error.status, refused.value.error.code, refused.value.detail) == (*expected, detail)
    if expected != (400, "APIC.0201") or "secret" in str(raised):
        assert [(line["route"], line["connection"], line["reason"]) for line in logs] == [("lots", "db", str(raised))]


async def test_a_connection_that_is_gone_is_said_to_be_so() -> None:
    """A connection that does not exist or is disabled answers 500 APIC.0103; it is looked up for each call."""
    connections = {}
    backend = Data(route_of(DATA), DATA, connections, LIMITS, LogLimiter())
    call = Call(Request("GET", "/"))
    with pytest.raises(CallRefusedError) as refused:
        await backend.answer(call)
    assert (refused.value.error.status, refused.value.error.code) == (500, "APIC.0103")
    connections["db"] = FakeConnector(QueryResult(("n",), [(1,)]))
    assert msgspec.json.decode((await backend.answer(call)).body) == {"default": [{"n": 1}]}


async def test_a_large_result_is_encoded_in_turns_with_others() -> None:
    """Between two parts of a long answer other tasks get their turn; the answer is one JSON document all the same."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    rows = [(number, "x") for number in range(2_000)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        response, _ = await run(QueryResult(("n", "x"), rows))
        nursery.cancel_scope.cancel()
    assert turns >= 5
    assert msgspec.json.decode(response.body) == {"default": [{"n": number, "x": "x"} for number in range(2_000)]}
    empty, _ = await run(QueryResult(("n",), []))
    assert empty.body == b'{"default":[]}'


async def test_a_large_body_of_many_values_keeps_nobody_waiting() -> None:
    """12 MiB of empty lists are bound as the text that they are, not decoded into lists and encoded again."""
    body = b'{"a": [' + b"[], " * (3 * 1024 * 1024) + b"[]]}"
    found = await bound(body=body, content_type="application/json")
    assert found["a"].startswith("[[],[],")
