"""Functions between callers and backends: what they may change of a request and of an answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.directory.directory import Directory
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.wire.http.messages import Request, Response
from config.resources import (
    FunctionBackend,
    MockBackend,
    Parameter,
    ResponseMapping,
    Route,
    RouteBackend,
    RouteRequest,
)
from config.settings import GatewaySettings
from tests.fakes.functions import FakeFunctions
from tests.fakes.identities import identities


def seen(data: Any) -> Any:
    return {"parameters": data["parameters"], "body": data["body"]}


class World:
    """A gateway with one route whose request, or answer, goes through function `map`."""

    def __init__(self, function: Any) -> None:
        self.functions = FakeFunctions(map=function, seen=seen)
        people = identities(Directory(lambda secret: secret))
        self.gateway = Gateway(people, {}, GatewaySettings(), functions=self.functions)

    def put(self, backend: RouteBackend, request: dict[str, Any], **more: Any) -> None:
        route = Route(
            name="r",
            app="owner",
            auth="none",
            request=RouteRequest(path="/r", method="POST", **request),
            backend=backend,
            **more,
        )
        self.gateway.put_route("r", [Published(route=route, backend=backend, version=1)])

    async def ask(self, body: bytes = b"", query: str = "") -> Response:
        return await self.gateway.handle(Request("POST", "/r", query, body=body))


def before(function: Any) -> World:
    world = World(function)
    parameters = (Parameter(name="n", place="query", type="integer"),)
    world.put(RouteBackend(function=FunctionBackend(name="seen")), {"function": "map", "parameters": parameters})
    return world


def after(function: Any, mock: MockBackend, **mapping: Any) -> World:
    world = World(function)
    world.put(RouteBackend(mock=mock), {}, response=ResponseMapping(function="map", **mapping))
    return world


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, {"parameters": {"n": 1}, "body": "in"}),
        ({}, {"parameters": {"n": 1}, "body": "in"}),
        ({"parameters": {"m": [1], "t": "x"}}, {"parameters": {"m": "[1]", "t": "x"}, "body": "in"}),
        ({"body": "out"}, {"parameters": {"n": 1}, "body": "out"}),
        ({"body": {"a": 1}}, {"parameters": {"n": 1}, "body": '{"a":1}'}),
        ({"body": "AAE=", "base64": True}, {"parameters": {"n": 1}, "body": "\0\1"}),
        ({"body": None, "parameters": {}}, {"parameters": {}, "body": ""}),
    ],
)
async def test_a_function_rewrites_a_request(answer: Any, expected: Any) -> None:
    """What it answers takes the place of what came; what it says nothing of stays."""
    response = await before(lambda _data: answer).ask(b"in", "n=1")
    assert msgspec.json.decode(response.body) == expected


async def test_a_function_refuses_a_request() -> None:
    """With 400 and its reason; the backend is not asked."""
    world = before(lambda data: {"refuse": f"no lot {data['parameters']['n']}"})
    response = await world.ask(query="n=1")
    assert (response.status, msgspec.json.decode(response.body)["error_msg"]) == (400, "API request error: no lot 1")
    assert [name for name, _, _ in world.functions.calls] == ["map"]


@pytest.mark.parametrize("answer", ["x", [1], {"parameters": [1]}, {"other": 1}, {"body": "?", "base64": True}])
async def test_what_makes_no_request_ends_the_call(answer: Any) -> None:
    """With 500, and without asking the backend."""
    world = before(lambda _data: answer)
    assert (await world.ask(query="n=1")).status == 500
    assert len(world.functions.calls) == 1
    last = world.gateway.statistics_of("r").last_failure
    assert (last.function, last.where, last.times) == ("map", "request mapping", 1)


async def test_a_function_rewrites_an_answer() -> None:
    """It sees answer and request; a whole answer replaces it, headers too where it names some."""
    mock = MockBackend(status=201, headers={"X-A": "1"}, body={"n": 1})

    def whole(data: Any) -> Any:
        assert (data["status"], data["headers"]["x-a"], data["body"]) == (201, "1", '{"n":1}')
        assert data["request"]["query"] == {"q": "1"}
        return {"status": 202, "body": "text"}

    response = await after(whole, mock).ask(query="q=1")
    headers = dict(response.headers)
    assert (response.status, response.body, headers["X-A"]) == (202, b"text", "1")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_a_value_is_a_new_body_alone() -> None:
    """Status and headers stay; what the route maps besides is done after it."""
    mock = MockBackend(status=201, headers={"X-A": "1"}, body="x")
    response = await after(lambda _data: {"lot": 7}, mock, constants={"by": "gateway"}).ask()
    assert response.status == 201
    assert dict(response.headers)["X-A"] == "1"
    assert msgspec.json.decode(response.body) == {"lot": 7, "by": "gateway"}


async def test_a_mapping_that_fails_ends_the_call() -> None:
    """What the backend said is not given out unmapped."""

    def fail(_data: Any) -> Any:
        raise RuntimeError("secret")

    world = after(fail, MockBackend(body="unmapped"))
    response = await world.ask()
    assert response.status == 500
    assert b"unmapped" not in response.body
    assert b"secret" not in response.body
    last = world.gateway.statistics_of("r").last_failure
    assert (last.function, last.where, last.reason) == ("map", "response mapping", "RuntimeError: secret")


async def test_an_answer_without_a_body_gets_none() -> None:
    """204 stays 204."""
    response = await after(lambda _data: {"lot": 7}, MockBackend(status=204)).ask()
    assert (response.status, response.body) == (204, b"")
