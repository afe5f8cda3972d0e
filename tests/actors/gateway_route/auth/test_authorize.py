"""Routes that ask an authorizer: who is let in, what is remembered, and what callers hear of failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.directory.directory import Directory
from actors.errors import FunctionBusyError, FunctionLostError, FunctionMemoryError, FunctionTimeoutError
from actors.gateway_route.auth.authorize import AuthorizeStep
from actors.gateway_route.auth.authorizers import Authorizers
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.http_calls.errors import CallRefusedError
from actors.runtime.log_limiter import LogLimiter
from actors.wire.http.messages import Request, Response
from config.resources import (
    Auth,
    Authorizer,
    BackendParameter,
    Cache,
    FunctionBackend,
    IdentitySource,
    MockBackend,
    Route,
    RouteBackend,
    RouteRequest,
)
from config.settings import GatewaySettings
from tests.fakes.functions import FakeFunctions
from tests.fakes.identities import identities

TOKEN = IdentitySource(place="header", name="X-Auth")
DENIED = {"error_msg": "Incorrect authentication information: frontend authorizer", "error_code": "APIC.0305"}


def decide(data: Any) -> Any:
    """As the authorizer of the platform that this follows."""
    if data["body"]["headers"].get("x-auth") == "user1:xxxx":
        return {"status": "allow", "context": {"user_name": "user1"}}
    return {"status": "deny", "context": {"error_code": "1001"}}


def echo(data: Any) -> Any:
    """What a backend sees of a caller."""
    return {"caller": data["caller"], "authorizer": data["authorizer"], "parameters": data["parameters"]}


class World:
    """A gateway with one route, `/test`, that asks authorizer `gate`."""

    def __init__(self, **functions: Any) -> None:
        self.functions = FakeFunctions(**{"decide": decide, "echo": echo} | functions)
        self.authorizers = Authorizers(self.functions)
        people = replace(identities(Directory(lambda secret: secret)), authorizers=self.authorizers)
        self.gateway = Gateway(people, {}, GatewaySettings(), functions=self.functions)

    def authorizer(self, **more: Any) -> None:
        self.authorizers.put(Authorizer(**{"name": "gate", "app": "owner", "function": "decide"} | more))

    def route(self, backend: RouteBackend | None = None, path: str = "/test", **more: Any) -> None:
        route = Route(
            **{
                "name": path[1:],
                "app": "owner",
                "auth": Auth(custom="gate"),
                "request": RouteRequest(path=path, method="ANY"),
                "backend": backend or RouteBackend(mock=MockBackend(body="ROMA TEST!")),
            }
            | more
        )
        published = Published(
            route=route, backend=route.backend, backend_authorizer=route.backend_authorizer, version=1
        )
        self.gateway.put_route(route.name, [published])

    async def call(self, token: str | None = None, path: str = "/test", **more: Any) -> Response:
        headers = [] if token is None else [("x-auth", token)]
        return await self.gateway.handle(Request(more.pop("method", "GET"), path, headers=headers, **more))

    async def status(self, token: str | None = None, **more: Any) -> int:
        return (await self.call(token, **more)).status

    @property
    def runs(self) -> int:
        return sum(name == "decide" for name, _, _ in self.functions.calls)


@pytest.fixture
def world() -> World:
    made = World()
    made.authorizer()
    made.route()
    return made


async def test_who_is_allowed_gets_the_answer_and_others_hear_no_more_than_that(world: World) -> None:
    """The denial has the code and the words that callers of the platform know, and nothing of the context."""
    assert (await world.call("user1:xxxx")).body == b"ROMA TEST!"
    for token in (None, "user2"):
        answer = await world.call(token)
        body = msgspec.json.decode(answer.body)
        assert answer.status == 401
        assert body == DENIED | {"request_id": dict(answer.headers)["X-Request-Id"]}


async def test_the_function_gets_what_it_decides_by(world: World) -> None:
    """As the body of a request, with the user data; the body of the call only where it asks for it."""
    world.authorizer(user_data="secret", send_body=True)
    await world.call("t", query="a=1", body=b"hello", method="POST", peer="1.2.3.4")
    world.authorizer(user_data="secret")
    await world.call("t", query="a=1", body=b"hello", method="POST", peer="1.2.3.4")
    (_, first, app), (_, second, _) = world.functions.calls
    assert (app, world.functions.callers) == ("owner", {"authorizer gate"})
    assert second == {
        "body": {
            "method": "POST",
            "path": "/test",
            "path_parameters": {},
            "query": {"a": "1"},
            "headers": {"x-auth": "t"},
            "source_address": "1.2.3.4",
            "user_data": "secret",
            "route": "test",
            "stage": "RELEASE",
        }
    }
    assert first == {"body": second["body"] | {"body": "hello", "base64": False}}


async def test_the_context_reaches_the_backend(world: World) -> None:
    """Whole as `authorizer`, and under a name of the route's choice."""
    mapped = (BackendParameter(name="who", system="authorizer.user_name"),)
    world.route(RouteBackend(function=FunctionBackend(name="echo", parameters=mapped)))
    answer = msgspec.json.decode((await world.call("user1:xxxx", query="who=root")).body)
    assert answer["authorizer"] == {"user_name": "user1"}
    assert answer["caller"] == {"kind": "custom", "name": "", "app": None}
    assert answer["parameters"]["who"] == "user1"


async def test_a_decision_is_remembered_for_its_time(world: World, autojump_clock: MockClock) -> None:
    """Of one identity the function runs once in `ttl` seconds, whether it allows or denies."""
    world.authorizer(ttl=60, identities=(TOKEN,))
    assert [await world.status("user1:xxxx", query=f"n={n}") for n in range(3)] == [200] * 3
    assert [await world.status("user2") for _ in range(3)] == [401] * 3
    assert world.runs == 2
    await trio.sleep(60)
    assert await world.status("user1:xxxx") == 200
    assert world.runs == 3
    running = world.authorizers.get("gate")
    assert running is not None
    assert running.statistics()._asdict() == {"allowed": 4, "denied": 3, "failed": 0, "remembered": 4, "kept": 2}


async def test_who_may_read_is_not_for_that_let_to_delete(world: World) -> None:
    """A function may decide by method and path: what it said of one is not taken for its word on another."""
    world.functions.put("decide", lambda data: {"status": "allow" if data["body"]["method"] == "GET" else "deny"})
    world.authorizer(ttl=60, identities=(TOKEN,))
    assert [await world.status("t", method=method) for method in ("GET", "GET", "DELETE")] == [200, 200, 401]


async def test_nothing_is_remembered_without_a_ttl(world: World) -> None:
    """Which is how authorizers are, unless they say otherwise."""
    world.authorizer(identities=(TOKEN,))
    assert [await world.status("user1:xxxx") for _ in range(3)] == [200] * 3
    assert world.runs == 3


async def test_without_identities_only_the_same_request_is_remembered(world: World) -> None:
    """Whatever the function sees may make the difference."""
    world.authorizer(ttl=60)
    for query in ("a=1", "a=1", "a=2"):
        assert await world.status("user1:xxxx", query=query) == 200
    assert await world.status("user2", query="a=1") == 401
    assert world.runs == 3


async def test_who_lacks_an_identity_is_denied_unheard(world: World) -> None:
    """A part that is missing or empty is none; the function does not run."""
    world.authorizer(identities=(TOKEN, IdentitySource(place="query", name="tenant")))
    assert await world.status("user1:xxxx") == 401
    assert await world.status("user1:xxxx", query="tenant=") == 401
    assert await world.status("", query="tenant=a") == 401
    assert world.runs == 0
    assert await world.status("user1:xxxx", query="tenant=a") == 200


async def test_identities_are_told_apart_exactly(world: World) -> None:
    """No two of them are taken for one because their parts run together, or because one comes twice."""
    world.authorizer(ttl=60, identities=(TOKEN, IdentitySource(place="query", name="t")))
    for token, query in (("ab", "t=c"), ("a", "t=bc"), ("a", "t=b&t=c"), ("a", "t=b")):
        await world.status(token, query=query)
    assert world.runs == 4


async def test_a_decision_about_one_route_is_none_about_another(world: World) -> None:
    """An authorizer may decide by the path."""
    world.authorizer(ttl=60, identities=(TOKEN,))
    world.route(path="/other")
    assert await world.status("user1:xxxx") == 200
    assert await world.status("user1:xxxx", path="/other") == 200
    assert world.runs == 2


async def test_callers_of_one_identity_at_a_time_ask_once() -> None:
    """Those who come meanwhile wait for the first one's decision."""
    gate = trio.Event()

    async def slow(data: Any) -> Any:
        await gate.wait()
        return decide(data)

    world = World(decide=slow)
    world.authorizer(ttl=60, identities=(TOKEN,))
    world.route()
    statuses: list[int] = []

    async def one(token: str) -> None:
        statuses.append(await world.status(token))

    async with trio.open_nursery() as nursery:
        for token in ["user1:xxxx"] * 5 + ["user2"]:
            nursery.start_soon(one, token)
        await wait_all_tasks_blocked()
        gate.set()
    assert (sorted(statuses), world.runs) == ([200] * 5 + [401], 2)


async def test_a_caller_that_leaves_takes_nobody_with_it() -> None:
    """Where the one that asked is cut off, the next one asks; one failure is told to all who waited for it."""
    gates = [trio.Event(), trio.Event()]
    world = World()

    async def slow(_data: Any) -> Any:
        await gates[world.runs - 1].wait()
        raise RuntimeError("no")

    world.functions.put("decide", slow)
    world.authorizer(ttl=60, identities=(TOKEN,))
    world.route()
    statuses: list[int] = []

    async def one() -> None:
        statuses.append(await world.status("t"))

    first = trio.CancelScope()

    async def leaving() -> None:
        with first:
            await one()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leaving)
        await wait_all_tasks_blocked()
        for _ in range(3):
            nursery.start_soon(one)
        await wait_all_tasks_blocked()
        first.cancel()
        await wait_all_tasks_blocked()
        assert world.runs == 2
        gates[1].set()
    assert (statuses, world.runs) == ([500] * 3, 2)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (FunctionBusyError("decide", 1, "secret"), 503, "APIC.0201"),
        (FunctionTimeoutError("decide", 1, "secret"), 504, "APIC.0203"),
        (FunctionLostError("decide", 1, "secret"), 502, "APIC.0202"),
        (FunctionMemoryError("decide", 1, "secret"), 500, "APIC.0601"),
        (RuntimeError("secret"), 500, "APIC.0601"),
    ],
)
async def test_a_function_that_fails_lets_nobody_in(error: Exception, status: int, code: str) -> None:
    """The caller hears that it was the authorizer, the operator why; the next caller asks again."""

    def fail(_data: Any) -> Any:
        raise error

    world = World(decide=fail)
    world.authorizer(ttl=60, identities=(TOKEN,))
    world.route()
    with structlog.testing.capture_logs() as logs:
        answer = await world.call("t")
    body = msgspec.json.decode(answer.body)
    assert (answer.status, body["error_code"]) == (status, code)
    assert "frontend authorizer" in body["error_msg"]
    assert b"secret" not in answer.body
    assert [one["reason"] for one in logs if "secret" in str(one.get("reason"))]
    await world.call("t")
    assert world.runs == 2
    last = world.authorizers.get("gate").failures.last
    assert (last.function, last.where, last.times, "secret" in last.reason) == ("decide", "route test", 2, True)


async def test_what_is_no_decision_lets_nobody_in() -> None:
    """500, and nothing of what it said in the answer."""
    world = World(decide=lambda _data: {"status": "yes please"})
    world.authorizer()
    world.route()
    answer = await world.call("t")
    assert (answer.status, b"please" in answer.body) == (500, False)
    last = world.authorizers.get("gate").failures.last
    assert (last.where, last.times) == ("route test", 1)
    assert "status" in last.reason


async def test_what_changes_is_asked_anew(world: World) -> None:
    """Another code of the function, or other words of the authorizer, leave nothing of what was remembered."""
    world.authorizer(ttl=60, identities=(TOKEN,))
    assert await world.status("user1:xxxx") == 200
    world.functions.put("decide", lambda _data: {"status": "deny"})
    assert await world.status("user1:xxxx") == 401
    world.functions.put("decide", decide)
    assert await world.status("user1:xxxx") == 200
    world.authorizer(ttl=61, identities=(TOKEN,))
    runs = world.runs
    assert await world.status("user1:xxxx") == 200
    assert world.runs == runs + 1


async def test_a_decision_of_code_that_was_replaced_meanwhile_is_not_kept() -> None:
    """It answers who asked for it, and nobody after that."""
    gate = trio.Event()

    async def slow(_data: Any) -> Any:
        await gate.wait()
        return {"status": "allow"}

    world = World(decide=slow)
    world.authorizer(ttl=60, identities=(TOKEN,))
    world.route()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.status, "t")
        await wait_all_tasks_blocked()
        world.functions.put("decide", lambda _data: {"status": "deny"})
        gate.set()
    assert await world.status("t") == 401


async def test_an_authorizer_that_is_gone_or_of_the_other_type_lets_nobody_in(world: World) -> None:
    """Also where an older version of the route still names it."""
    world.authorizer(type="back")
    assert await world.status("user1:xxxx") == 500
    world.authorizers.remove("gate")
    answer = await world.call("user1:xxxx")
    assert (answer.status, msgspec.json.decode(answer.body)["error_code"]) == (500, "APIC.0606")


async def test_cached_answers_are_not_shared_between_those_whom_it_tells_apart(world: World) -> None:
    """An answer for one caller is kept for that one, though the gateway knows no names."""
    world.functions.put(
        "decide", lambda data: {"status": "allow", "context": {"user": data["body"]["headers"]["x-auth"]}}
    )
    world.route(RouteBackend(function=FunctionBackend(name="echo")), cache=Cache(seconds=60))
    for token in ("ada", "bob", "ada"):
        answer = msgspec.json.decode((await world.call(token)).body)
        assert answer["authorizer"] == {"user": token}


async def test_a_back_authorizer_tells_the_backend_who_calls(world: World) -> None:
    """Its context stands beside that of the one in front, whose word it may change; it may refuse, too."""

    def back(data: Any) -> Any:
        body = data["body"]
        assert body["caller"]["kind"] == "custom"
        return {"status": "allow" if body["query"].get("ok") else "deny", "context": {"level": 3, "user_name": "U1"}}

    world.functions.put("back", back)
    world.authorizers.put(Authorizer(name="behind", app="owner", type="back", function="back"))
    world.route(RouteBackend(function=FunctionBackend(name="echo")), backend_authorizer="behind")
    answer = await world.call("user1:xxxx", query="ok=1")
    assert msgspec.json.decode(answer.body)["authorizer"] == {"user_name": "U1", "level": 3}
    answer = await world.call("user1:xxxx")
    assert answer.status == 401
    assert msgspec.json.decode(answer.body)["error_msg"] == "Incorrect authentication information: backend authorizer"


async def test_a_back_authorizers_word_on_one_caller_is_none_on_another(world: World) -> None:
    """Callers that agree in its identities are still told apart by who the gateway knows them to be."""
    world.functions.put("back", lambda data: {"status": "allow" if data["body"]["caller"]["name"] == "a" else "deny"})
    settings = Authorizer(name="behind", app="owner", type="back", function="back", ttl=60, identities=(TOKEN,))
    world.authorizers.put(settings)
    route = Route(
        name="test", app="owner", request=RouteRequest(path="/test"), backend=RouteBackend(mock=MockBackend())
    )
    step = AuthorizeStep(world.authorizers, "behind", "back", route=route, environment="RELEASE", log=LogLimiter())

    async def calls(app: str) -> None:
        waited_for = step(Call(Request("GET", "/test", headers=[("x-auth", "t")]), caller=Caller("app", app, app)))
        if waited_for is not None:
            await waited_for

    await calls("a")
    await calls("a")
    with pytest.raises(CallRefusedError):
        await calls("b")
    assert len(world.functions.calls) == 2
