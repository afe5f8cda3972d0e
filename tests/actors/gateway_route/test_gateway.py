"""All routes behind one handler: matching, authentication, admission, time-out, crashes, replacement."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.errors import ConfigurationError
from actors.gateway_route.gateway import Gateway, RouteCollisionError
from actors.gateway_route.published import Published
from actors.ports import QueryResult, ResultLimits
from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import Request, Response
from config.resources import BackendParameter, DataBackend, MockBackend, Route, RouteBackend, RouteRequest
from config.settings import GatewaySettings
from tests.fakes.identities import identities


def digest(secret: bytes) -> bytes:
    return hmac.digest(b"key", secret, hashlib.sha256)


class FakeConnector:
    """Answers queries with whatever `answer` does."""

    def __init__(self) -> None:
        self.asked = []
        self.cancelled = 0

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        self.asked.append((sql, dict(parameters), limits))
        try:
            return await self.answer()
        except trio.Cancelled:
            self.cancelled += 1
            raise

    async def answer(self) -> QueryResult:
        return QueryResult(("n",), [(1,)])


@pytest.fixture
def connector() -> FakeConnector:
    return FakeConnector()


@pytest.fixture
def gateway(connector: FakeConnector) -> Gateway:
    directory = Directory(digest)
    directory.put_app(AppEntry("owner", "owner-key", digest(b"owner-secret"), (digest(b"owner-code"),)))
    directory.put_app(AppEntry("friend", "friend-key", digest(b"friend-secret"), (digest(b"friend-code"),)))
    directory.put_app(AppEntry("stranger", "stranger-key", digest(b"x"), (digest(b"stranger-code"),)))
    directory.put_device(DeviceEntry("product", "device", "owner", digest(b"owner-secret")))
    return Gateway(identities(directory), {"db": connector}, GatewaySettings(max_rows=5, max_result_bytes=500))


def mock(name: str = "m", path: str = "/m", method: str = "GET", body: object = "hello", **more: Any) -> Route:
    more = {"auth": "none", "app": "owner", **more}
    return Route(
        name=name,
        request=RouteRequest(path=path, method=method),
        backend=RouteBackend(mock=MockBackend(body=body)),
        **more,
    )


def data(name: str = "d", path: str = "/d", method: str = "GET", **more: Any) -> Route:
    backend = RouteBackend(data=DataBackend(connection="db", sql="SELECT 1 AS n"))
    more = {"auth": "none", "app": "owner", **more}
    return Route(name=name, request=RouteRequest(path=path, method=method), backend=backend, **more)


def put(gateway: Gateway, route: Route) -> None:
    gateway.put_route(route.name, [released(route)] if route.publish and route.enabled else [])


def released(route: Route, environment: str = "RELEASE") -> Published:
    return Published(route=route, backend=route.backend, environment=environment)


def get(path: str, method: str = "GET", **headers: str) -> Request:
    return Request(method, path, headers=[(name.replace("_", "-"), value) for name, value in headers.items()])


def error(response: Response) -> tuple[int, str]:
    body = msgspec.json.decode(response.body)
    assert set(body) == {"error_code", "error_msg", "request_id"}
    assert body["request_id"] == dict(response.headers)["X-Request-Id"]
    return response.status, body["error_code"]


async def test_every_answer_carries_a_request_id(gateway: Gateway) -> None:
    """The caller's own where it is sane, else one that nobody else has."""
    put(gateway, mock())
    given = await gateway.handle(get("/m", x_request_id="abc-1"))
    assert dict(given.headers)["X-Request-Id"] == "abc-1"
    ids = set()
    unsafe = ("", "a b", "x" * 129, "ä", "<script>", 'a"b', "$(id)")
    for bad in unsafe:
        ids.add(dict((await gateway.handle(get("/m", x_request_id=bad))).headers)["X-Request-Id"])
    ids.add(dict((await gateway.handle(get("/nowhere"))).headers)["X-Request-Id"])
    ids.add(dict(gateway.refuse(400, "no").headers)["X-Request-Id"])
    assert len(ids) == len(unsafe) + 2
    assert not ids & set(unsafe)


async def test_what_no_route_takes_has_its_error(gateway: Gateway) -> None:
    """404 for no path, 405 with Allow for another method, 400 for a path that cannot be read, Allow for OPTIONS."""
    put(gateway, mock())
    assert error(await gateway.handle(get("/nowhere"))) == (404, "APIC.0101")
    refused = await gateway.handle(get("/m", "POST"))
    assert error(refused) == (405, "APIC.0201")
    assert dict(refused.headers)["Allow"] == "GET, HEAD, OPTIONS"
    assert error(await gateway.handle(get("/m/%2e%2e"))) == (400, "APIC.0201")
    options = await gateway.handle(get("/m", "OPTIONS"))
    assert (options.status, options.body, dict(options.headers)["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert (await gateway.handle(get("*", "OPTIONS"))).status == 204
    assert error(await gateway.handle(get("/nowhere", "OPTIONS"))) == (404, "APIC.0101")
    seen = gateway.statistics()
    assert (seen.not_found, seen.method_not_allowed, seen.malformed) == (2, 1, 1)


async def test_head_is_served_by_get(gateway: Gateway) -> None:
    """HEAD has GET's answer; the server leaves the body out."""
    put(gateway, mock())
    assert (await gateway.handle(get("/m", "HEAD"))).body == b"hello"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "APIC.0303")),
        ({"x_apig_appcode": "wrong"}, (401, "APIC.0303")),
        ({"x_apig_appcode": ""}, (401, "APIC.0303")),
        ({"x_apig_appcode": "ä"}, (401, "APIC.0303")),
        ({"x_apig_appcode": "stranger-code"}, (403, "APIC.0304")),
        ({"x_apig_appcode": "owner-code"}, None),
        ({"x_apig_appcode": "friend-code"}, None),
        ({"authorization": basic("owner-key:owner-secret")}, None),
        ({"authorization": basic("friend-key:friend-secret").replace("Basic", "basic")}, None),
        ({"authorization": basic("owner-key:wrong")}, (401, "APIC.0303")),
        ({"authorization": basic("nobody:owner-secret")}, (401, "APIC.0303")),
        ({"authorization": basic("owner-key")}, (401, "APIC.0303")),
        ({"authorization": basic("product/device:owner-secret")}, (401, "APIC.0303")),
        ({"authorization": "Basic !!!"}, (401, "APIC.0303")),
        ({"authorization": "Basic " + base64.b64encode(b"\xff:x").decode()}, (401, "APIC.0303")),
        ({"authorization": "Bearer owner-code"}, (401, "APIC.0303")),
    ],
)
async def test_auth_app_asks_who_calls(
    gateway: Gateway, headers: dict[str, str], expected: tuple[int, str] | None
) -> None:
    """The owner and those it shares with pass, by AppCode or key and secret; other apps get 403, all else 401."""
    put(gateway, mock(auth="app", shared_with=("friend",)))
    response = await gateway.handle(get("/m", **headers))
    if expected is None:
        assert response.status == 200
    else:
        assert error(response) == expected
        assert ("WWW-Authenticate" in dict(response.headers)) == (expected[0] == 401)


async def test_two_app_codes_are_none(gateway: Gateway) -> None:
    """Of two AppCodes it is not guessed which one is meant."""
    put(gateway, mock(auth="app"))
    both = Request("GET", "/m", headers=[("x-apig-appcode", "owner-code"), ("x-apig-appcode", "owner-code")])
    assert error(await gateway.handle(both)) == (401, "APIC.0303")


async def test_a_mock_answers_as_written(gateway: Gateway) -> None:
    """Text as text, anything else as JSON, headers and status as they stand."""
    put(gateway, mock(body={"a": [1, None]}))
    response = await gateway.handle(get("/m"))
    assert (response.body, dict(response.headers)["Content-Type"]) == (b'{"a":[1,null]}', "application/json")
    settings = MockBackend(status=201, headers={"content-type": "text/html", "X-A": "ä"}, body="<p>")
    put(gateway, msgspec.structs.replace(mock(), backend=RouteBackend(mock=settings)))
    response = await gateway.handle(get("/m"))
    assert response.status == 201
    assert response.headers[:2] == (("content-type", "text/html"), ("X-A", "ä"))


@pytest.mark.parametrize(
    "settings",
    [
        MockBackend(headers={"X": "a\r\nY: b"}),
        MockBackend(headers={"Content-Length": "3"}),
        MockBackend(headers={"X-Request-Id": "mine"}),
        MockBackend(headers={"a b": "c"}),
        MockBackend(status=204, body="x"),
    ],
)
def test_a_mock_that_could_not_be_sent_is_refused(gateway: Gateway, settings: MockBackend) -> None:
    """Headers that break out of their line or are the server's own, and bodies where there are none, are refused."""
    with pytest.raises(ConfigurationError, match=r"backend\.mock"):
        put(gateway, msgspec.structs.replace(mock(), backend=RouteBackend(mock=settings)))


async def test_a_query_ends_at_the_time_out(
    gateway: Gateway, connector: FakeConnector, autojump_clock: MockClock
) -> None:
    """504 after `timeout_ms`; the query is cancelled and the place is free again."""
    connector.answer = trio.sleep_forever
    put(gateway, data(timeout_ms=1_500, concurrency=1))
    assert error(await gateway.handle(get("/d"))) == (504, "APIC.0203")
    assert trio.current_time() == pytest.approx(1.5)
    assert connector.cancelled == 1
    seen = gateway.statistics().routes["d"]
    assert (seen.answers, seen.in_flight, seen.admission.running) == ((0, 0, 0, 1), 0, 0)


async def test_a_full_route_refuses_and_others_do_not_notice(
    gateway: Gateway, connector: FakeConnector, autojump_clock: MockClock
) -> None:
    """503 with Retry-After once as many run and wait as may; waiting counts towards the time-out."""
    connector.answer = trio.sleep_forever
    put(gateway, data(concurrency=1, timeout_ms=1_000))
    put(gateway, mock())
    answers = []

    async def call() -> None:
        answers.append((error(await gateway.handle(get("/d"))), trio.current_time()))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(call)
        await wait_all_tasks_blocked()
        refused = await gateway.handle(get("/d"))
        assert dict(refused.headers)["Retry-After"] == "1"
        assert (await gateway.handle(get("/m"))).status == 200
    assert [answer for answer, _ in answers] == [(503, "APIC.0201"), (504, "APIC.0203"), (504, "APIC.0203")]
    assert answers[-1][1] == pytest.approx(1.0)
    assert gateway.statistics().routes["d"].admission.refused == 2


async def test_a_crash_is_one_calls_own(gateway: Gateway, connector: FakeConnector) -> None:
    """A backend that crashes answers 500, says nothing of itself, is counted, and logged with the route's name."""

    async def crash() -> QueryResult:
        raise ZeroDivisionError("secret detail")

    connector.answer = crash
    with structlog.testing.capture_logs() as logs:
        put(gateway, data())
        response = await gateway.handle(get("/d"))
        await gateway.handle(get("/d"))
    assert error(response) == (500, "APIC.0201")
    assert b"secret" not in response.body
    seen = gateway.statistics().routes["d"]
    assert (seen.crashed, seen.in_flight, seen.admission.running) == (2, 0, 0)
    crashes = [line for line in logs if line["log_level"] == "warning"]
    assert [(line["event"], line["route"]) for line in crashes] == [("Route crashed", "d")]


async def test_a_body_that_cannot_be_read_is_the_callers_error(gateway: Gateway, connector: FakeConnector) -> None:
    """What reading the body raises becomes the answer, with the call's own id, and takes no place."""

    class Broken:
        async def read(self) -> bytes:
            raise RequestRefusedError(413, "too large")

    put(gateway, data(method="POST"))
    response = await gateway.handle(Request("POST", "/d", headers=[("x-request-id", "mine")], body=Broken()))
    assert error(response) == (413, "APIC.0201")
    assert dict(response.headers)["X-Request-Id"] == "mine"
    assert connector.asked == []


async def test_routes_change_under_calls_in_flight(
    gateway: Gateway, connector: FakeConnector, autojump_clock: MockClock
) -> None:
    """A call keeps the route it began with; counters outlive the replacement; a removed route is forgotten."""

    async def slow() -> QueryResult:
        await trio.sleep(1)
        return QueryResult(("n",), [(1,)])

    connector.answer = slow
    put(gateway, data())
    answers = []

    async def call() -> None:
        answers.append(await gateway.handle(get("/d")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        put(gateway, data(path="/e"))
        assert error(await gateway.handle(get("/d"))) == (404, "APIC.0101")
        nursery.start_soon(lambda: gateway.handle(get("/e")))
        await wait_all_tasks_blocked()
        put(gateway, data(path="/f"))
        assert gateway.statistics().routes["d"].in_flight == 2
    assert answers[0].status == 200
    assert gateway.statistics().routes["d"].answers == (2, 0, 0, 0)
    gateway.remove_route("d")
    gateway.remove_route("never there")
    assert error(await gateway.handle(get("/f"))) == (404, "APIC.0101")
    assert gateway.statistics().routes == {}


@pytest.mark.parametrize("hidden", [{"enabled": False}, {"publish": False}])
async def test_a_route_that_is_not_published_does_not_exist(gateway: Gateway, hidden: dict[str, bool]) -> None:
    """A disabled or unpublished route is 404, keeps nobody from its path, and comes back when it is put so."""
    put(gateway, mock(**hidden))
    assert error(await gateway.handle(get("/m"))) == (404, "APIC.0101")
    assert not gateway.statistics().routes["m"].published
    put(gateway, mock(name="other", body="other"))
    assert (await gateway.handle(get("/m"))).body == b"other"
    put(gateway, mock(name="m", path="/n"))
    put(gateway, mock(name="m", path="/n", **hidden))
    assert error(await gateway.handle(get("/n"))) == (404, "APIC.0101")


async def test_a_route_that_collides_changes_nothing(gateway: Gateway) -> None:
    """Two routes for one method and path are refused with both names, and both stay as they were."""
    put(gateway, mock(name="one", path="/{a}"))
    put(gateway, mock(name="two", path="/two/x", body="two"))
    with pytest.raises(ConfigurationError, match=r"route two: GET /\{b\} is served by route one already"):
        put(gateway, mock(name="two", path="/{b}", body="changed"))
    with pytest.raises(ConfigurationError):
        put(gateway, mock(name="three", path="/{b}"))
    assert (await gateway.handle(get("/two/x"))).body == b"two"
    assert set(gateway.statistics().routes) == {"one", "two"}


async def test_what_a_route_did_is_counted(gateway: Gateway) -> None:
    """Answers by class of status, and their time in buckets and in sum."""
    put(gateway, mock(auth="app"))
    await gateway.handle(get("/m"))
    await gateway.handle(get("/m", x_apig_appcode="owner-code"))
    seen = gateway.statistics().routes["m"]
    assert (seen.requests, seen.answers, seen.in_flight) == (2, (1, 0, 1, 0), 0)
    assert sum(seen.latency_buckets) == 2
    assert 0 < seen.latency_sum < 1


async def test_a_call_that_is_cut_off_is_counted_as_such(gateway: Gateway, connector: FakeConnector) -> None:
    """Cancellation passes through and leaves no place taken."""
    connector.answer = trio.sleep_forever
    put(gateway, data())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.handle, get("/d"))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    seen = gateway.statistics().routes["d"]
    assert (seen.abandoned, seen.requests, seen.in_flight, seen.admission.running) == (1, 1, 0, 0)


@pytest.mark.parametrize(("status", "said"), [(400, 1), (408, 1), (413, 0), (414, 0), (494, 0)])
async def test_refusals_say_why(gateway: Gateway, status: int, said: int) -> None:
    """What never became a request has the gateway's shape too, and a reason where the message alone says too little."""
    response = gateway.refuse(status, "because of this")
    assert error(response) == (status, "APIC.0201")
    assert response.body.count(b"because of this") == said


def test_a_method_that_nobody_serves_is_told_which_are(gateway: Gateway) -> None:
    """405 has Allow (RFC 9110 15.5.6), and nothing of the request in it."""
    response = gateway.refuse(405, "the method TRACE is not served")
    assert error(response) == (405, "APIC.0201")
    assert dict(response.headers)["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


async def test_a_backend_gets_what_is_below_a_prefix(gateway: Gateway, connector: FakeConnector) -> None:
    """As the system value `rest_of_path`, decoded once, beside parameters of the prefix; a climb never gets there."""
    parameters = (BackendParameter(name="rest", system="rest_of_path"),)
    backend = RouteBackend(data=DataBackend(connection="db", sql="SELECT :rest AS n", parameters=parameters))
    request = RouteRequest(path="/files/{owner}", match="prefix")
    put(gateway, Route(name="f", app="owner", auth="none", request=request, backend=backend))
    assert (await gateway.handle(get("/files/me/a%20b/c%2525"))).status == 200
    assert connector.asked[0][1] == {"owner": "me", "rest": "a b/c%25"}
    for path in ("/files/me/../x", "/files/me/%2e%2e/x", "/files/me/%252e%252e%252fx", "/files/%2e%2e%2fme/x"):
        assert error(await gateway.handle(get(path))) == (400, "APIC.0201")
    assert error(await gateway.handle(get("/filesme/x"))) == (404, "APIC.0101")
    assert len(connector.asked) == 1


async def test_a_route_changes_the_headers_of_its_backend(gateway: Gateway) -> None:
    """Not those of errors that the gateway makes: what may be kept of an answer may not be kept of a refusal."""
    headers = {"Cache-Control": "max-age=60", "Content-Type": None, "Link": ("<a>", "<b>")}
    put(gateway, mock(response_headers=headers))
    response = await gateway.handle(get("/m", x_request_id="1"))
    assert response.headers == (
        ("Cache-Control", "max-age=60"), ("Link", "<a>"), ("Link", "<b>"), ("X-Request-Id", "1"),
    )  # fmt: skip
    put(gateway, mock(response_headers=headers, auth="app"))
    assert "Cache-Control" not in dict((await gateway.handle(get("/m"))).headers)


async def test_a_stage_serves_only_what_was_published_to_it(gateway: Gateway) -> None:
    """X-Stage is case-sensitive; without it RELEASE answers; a stage that nobody published to is 404."""
    gateway.put_route("m", [released(mock(body="release")), released(mock(body="dev"), "dev")])
    assert (await gateway.handle(get("/m"))).body == b"release"
    assert (await gateway.handle(get("/m", x_stage="RELEASE"))).body == b"release"
    assert (await gateway.handle(get("/m", x_stage="dev"))).body == b"dev"
    for stage in ("DEV", "none", "dev "):
        assert error(await gateway.handle(get("/m", x_stage=stage))) == (404, "APIC.0101")
    gateway.put_route("m", [released(mock(body="release"))])
    assert error(await gateway.handle(get("/m", x_stage="dev"))) == (404, "APIC.0101")


async def test_routes_that_swap_their_paths_are_put_at_one_moment(gateway: Gateway) -> None:
    """All of them or none: one that cannot be served leaves every other as it was."""
    put(gateway, mock(name="one", path="/1", body="one"))
    put(gateway, mock(name="two", path="/2", body="two"))
    put(gateway, mock(name="three", path="/3", body="three"))
    swapped = {"one": [released(mock(name="one", path="/2", body="one"))]}
    swapped["two"] = [released(mock(name="two", path="/3", body="two"))]
    with pytest.raises(RouteCollisionError) as caught:
        gateway.put_routes(swapped)
    assert caught.value.holder == "three"
    assert [(await gateway.handle(get(path))).body for path in ("/1", "/2", "/3")] == [b"one", b"two", b"three"]
    swapped["three"] = [released(mock(name="three", path="/1", body="three"))]
    gateway.put_routes(swapped)
    assert [(await gateway.handle(get(path))).body for path in ("/1", "/2", "/3")] == [b"three", b"one", b"two"]
