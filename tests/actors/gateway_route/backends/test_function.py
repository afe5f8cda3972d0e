"""Backends that are functions: what they get, what callers get of them, and whose function it is."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.directory.directory import Directory
from actors.errors import (
    ConfigurationError,
    FunctionBusyError,
    FunctionLostError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.wire.http.messages import Request, Response
from config.resources import BackendParameter, FunctionBackend, Parameter, Route, RouteBackend, RouteRequest
from config.settings import GatewaySettings
from tests.fakes.functions import FakeFunctions
from tests.fakes.identities import identities


def published(function: FunctionBackend | None = None, *, backend_app: str | None = None, **more: Any) -> Published:
    parameters = (Parameter(name="lot", place="path", type="integer"),)
    route = Route(
        name="lots",
        app="owner",
        auth="none",
        request=RouteRequest(path="/lots/{lot}", method="ANY", parameters=parameters),
        backend=RouteBackend(function=function or FunctionBackend(name="f")),
        **more,
    )
    return Published(route=route, backend=route.backend, backend_app=backend_app, version=1)


def serving(function: Any, route: Published | None = None) -> tuple[Gateway, FakeFunctions]:
    functions = FakeFunctions(f=function)
    gateway = Gateway(identities(Directory(lambda secret: secret)), {}, GatewaySettings(), functions=functions)
    gateway.put_route("lots", [route or published()])
    return gateway, functions


async def ask(gateway: Gateway, path: str = "/lots/7", method: str = "POST", **more: Any) -> Response:
    return await gateway.handle(Request(method, path, **more))


async def test_a_function_answers_a_call() -> None:
    """It gets the request with its parameters checked, and answers status, headers and body."""

    def made(data: Any) -> Any:
        return {"status": 201, "headers": {"X-Lot": str(data["parameters"]["lot"])}, "body": data["body"].upper()}

    gateway, functions = serving(made)
    answer = await ask(gateway, body=b"hello", query="a=1")
    assert (answer.status, answer.body) == (201, b"HELLO")
    assert dict(answer.headers)["X-Lot"] == "7"
    ((_, data, app),) = functions.calls
    assert (app, data["method"], data["path"], data["path_parameters"]) == ("owner", "POST", "/lots/7", {"lot": "7"})
    assert functions.callers == {"route lots"}
    assert (await ask(gateway, "/lots/seven")).status == 400
    assert len(functions.calls) == 1


async def test_a_function_gets_what_the_route_maps() -> None:
    """Constants and values of the system stand among the parameters, and no caller can write them."""
    mapped = FunctionBackend(
        name="f",
        parameters=(BackendParameter(name="role", constant="guest"), BackendParameter(name="id", parameter="lot")),
    )
    gateway, _ = serving(lambda data: data["parameters"], published(mapped))
    answer = await ask(gateway, query="role=root")
    assert msgspec.json.decode(answer.body) == {"role": "guest", "id": 7}


async def test_the_function_of_a_shared_backend_is_called_by_its_app() -> None:
    """A route of another app may use the backend, and has no right to the function itself."""
    gateway, functions = serving(lambda _data: None, published(backend_app="backends"))
    await ask(gateway)
    assert functions.calls[0][2] == "backends"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (FunctionBusyError("f", 1, "secret"), 503, "APIC.0201"),
        (FunctionTimeoutError("f", 1, "secret"), 504, "APIC.0203"),
        (FunctionLostError("f", 1, "secret"), 502, "APIC.0202"),
        (FunctionResultTooLargeError("f", 1, "secret"), 500, "APIC.0601"),
        (RuntimeError("secret"), 500, "APIC.0601"),
    ],
)
async def test_a_function_that_fails_is_told_by_code(error: Exception, status: int, code: str) -> None:
    """Callers hear what they can do about it, and nothing of what lies behind; the log has the reason."""

    def fail(_data: Any) -> Any:
        raise error

    gateway, _ = serving(fail)
    with structlog.testing.capture_logs() as logs:
        answer = await ask(gateway)
    assert (answer.status, msgspec.json.decode(answer.body)["error_code"]) == (status, code)
    assert b"secret" not in answer.body
    assert [one["function"] for one in logs if "secret" in one.get("reason", "")] == ["f"]
    last = gateway.statistics_of("lots").last_failure
    assert (last.function, last.where, last.times) == ("f", "backend", 1)
    assert "secret" in last.reason


async def test_a_failure_is_remembered_while_its_function_works_again() -> None:
    """Whoever comes later sees when it was, and how often; a version that is put in its place changes nothing."""
    answers = iter([None, 1 / 3, "x", None])

    def turn(_data: Any) -> Any:
        if next(answers) is None:
            raise ValueError("no")
        return "fine"

    gateway, _ = serving(turn)
    assert [(await ask(gateway)).status for _ in range(3)] == [500, 200, 200]
    gateway.put_route("lots", [published(timeout_ms=1234)])
    assert (await ask(gateway)).status == 500
    last = gateway.statistics_of("lots").last_failure
    assert (last.reason, last.times) == ("ValueError: no", 2)
    assert abs(last.at / 1000 - time.time()) < 60


async def test_an_answer_that_cannot_be_sent_ends_that_call() -> None:
    """No header of a function's breaks out of its line."""
    gateway, _ = serving(lambda _data: {"status": 200, "headers": {"X": "a\r\nSet-Cookie: admin=1"}})
    answer = await ask(gateway)
    assert "cannot be sent" in gateway.statistics_of("lots").last_failure.reason
    assert answer.status == 500
    assert "admin" not in str(answer.headers)


async def test_a_route_waits_no_longer_than_it_says(autojump_clock: MockClock) -> None:
    """Whatever time the function itself has."""

    async def slow(_data: Any) -> Any:
        await trio.sleep(30)

    gateway, _ = serving(slow, published(timeout_ms=1000))
    started = trio.current_time()
    assert (await ask(gateway)).status == 504
    assert trio.current_time() - started == pytest.approx(1)


def test_a_route_without_functions_to_call_is_not_served() -> None:
    """It is refused where it is put, not at its first call."""
    gateway = Gateway(identities(Directory(lambda secret: secret)), {}, GatewaySettings())
    with pytest.raises(ConfigurationError, match="function f"):
        gateway.put_route("lots", [published()])
