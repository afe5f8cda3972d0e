"""Throttles, quotas, caches, compression and the access log, through the gateway."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry
from actors.errors import ConfigurationError
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.ports import QueryResult
from actors.wire.http.messages import Request, Response
from actors.wire.http.tls import TlsSession, TlsTerms
from config.resources import Cache, Compression, DataBackend, MockBackend, Quota, Route, RouteBackend, RouteRequest
from config.resources import Throttle as ThrottleResource
from config.resources.backends import BackendInput
from config.resources.route_parts import BackendParameter
from config.settings import GatewaySettings
from daemon.route_measures import OTHERS, route_metrics
from daemon.stages.routes import route_status
from tests.fakes.identities import identities


def digest(secret: bytes) -> bytes:
    return hmac.digest(b"key", secret, hashlib.sha256)


class Counting:
    """A connector whose every answer is another."""

    def __init__(self) -> None:
        self.asked = 0
        self.delay = 0.0

    async def query(self, *_: object) -> QueryResult:
        self.asked += 1
        number = self.asked
        await trio.sleep(self.delay)
        return QueryResult(("n",), [(number,)])


@pytest.fixture
def connector() -> Counting:
    return Counting()


@pytest.fixture
def gateway(connector: Counting) -> Gateway:
    directory = Directory(digest)
    for name in ("owner", "friend"):
        directory.put_app(AppEntry(name, f"{name}-key", digest(b"x"), (digest(f"{name}-code".encode()),)))
    return Gateway(identities(directory), {"db": connector}, GatewaySettings(measured_routes=2))


def route(name: str = "r", body: object = "hello", **more: Any) -> Route:
    settings = {"auth": "none", "app": "owner", "shared_with": ("friend",), **more}
    backend = settings.pop("backend", RouteBackend(mock=MockBackend(body=body)))
    return Route(name=name, request=RouteRequest(path=f"/{name}"), backend=backend, **settings)


DATA = RouteBackend(data=DataBackend(connection="db", sql="SELECT 1 AS n"))


def put(gateway: Gateway, resource: Route, version: int = 1) -> None:
    gateway.put_route(resource.name, [Published(route=resource, backend=resource.backend, version=version)])


def get(path: str = "/r", app: str = "", peer: str = "192.0.2.1", **headers: str) -> Request:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if app:
        fields.append(("x-apig-appcode", f"{app}-code"))
    return Request("GET", path, headers=fields, peer=peer)


def code(response: Response) -> tuple[int, str]:
    return response.status, json.loads(response.body)["error_code"]


async def test_a_throttled_route_refuses_with_429(gateway: Gateway, autojump_clock: MockClock) -> None:
    """APIC.0308 with Retry-After, after which it answers; in virtual time to the second."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=3, period="10s"))
    put(gateway, route(throttles=("t",)))
    for _ in range(3):
        assert (await gateway.handle(get())).status == 200
        await trio.sleep(1)
    refused = await gateway.handle(get())
    assert code(refused) == (429, "APIC.0308")
    assert dict(refused.headers)["Retry-After"] == "7"
    await trio.sleep(6.99)
    assert (await gateway.handle(get())).status == 429
    await trio.sleep(0.01)
    assert (await gateway.handle(get())).status == 200


async def test_who_is_unknown_uses_up_no_throttle(gateway: Gateway) -> None:
    """Throttles come after identity: nobody can use up an app's calls without its code."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=1, period="1d", by="app"))
    put(gateway, route(auth="app", throttles=("t",)))
    for _ in range(5):
        assert (await gateway.handle(get())).status == 401
    assert [(await gateway.handle(get(app=app))).status for app in ("owner", "owner", "friend")] == [200, 429, 200]


async def test_a_route_is_not_served_without_its_throttle(gateway: Gateway) -> None:
    """It says what is missing, instead of letting everybody through."""
    with pytest.raises(ConfigurationError, match="throttle t does not exist"):
        put(gateway, route(throttles=("t",)))
    assert (await gateway.handle(get())).status == 404


async def test_a_new_version_inherits_what_was_counted(gateway: Gateway) -> None:
    """To publish again is no way round a throttle."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=1, period="1d"))
    put(gateway, route(throttles=("t",)))
    assert (await gateway.handle(get())).status == 200
    put(gateway, route(body="other", throttles=("t",)), version=2)
    assert (await gateway.handle(get())).status == 429


async def test_a_quota_holds_under_fifty_parallel_calls(gateway: Gateway, connector: Counting) -> None:
    """Over all routes of an app, exactly as many calls as it has; others are told APIC.0501."""
    gateway.flow.quotas.put("owner", Quota(calls=120, period="365d"))
    put(gateway, route("r", auth="app", backend=DATA))
    put(gateway, route("s", auth="app", backend=DATA))
    statuses: list[int] = []

    async def caller(number: int) -> None:
        for _ in range(4):
            response = await gateway.handle(get("/r" if number % 2 else "/s", "owner"))
            statuses.append(response.status)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(caller, number)
    assert (statuses.count(200), statuses.count(405)) == (120, 80)
    assert connector.asked == 120
    assert code(await gateway.handle(get(app="owner"))) == (405, "APIC.0501")
    assert (await gateway.handle(get(app="friend"))).status == 200


async def test_what_is_throttled_counts_for_no_quota(gateway: Gateway) -> None:
    """A refused call is not paid for."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=1, period="1d"))
    gateway.flow.quotas.put("owner", Quota(calls=5, period="365d"))
    put(gateway, route(auth="app", throttles=("t",)))
    for _ in range(4):
        await gateway.handle(get(app="owner"))
    assert gateway.flow.quotas.statistics("owner").used == 1


async def test_what_a_quota_refuses_is_no_call_for_a_throttle(gateway: Gateway) -> None:
    """All limits are asked before any counts: whoever has no calls left takes nobody's turn."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=5, period="1d"))
    gateway.flow.quotas.put("owner", Quota(calls=1, period="365d"))
    put(gateway, route(auth="app", throttles=("t",)))
    answers = [(await gateway.handle(get(app="owner"))).status for _ in range(4)]
    assert answers == [200, 405, 405, 405]
    statistics = gateway.flow.throttles.statistics("t")
    assert (statistics.passed, statistics.refused) == (1, 0)


async def test_who_may_debug_sees_the_limits(gateway: Gateway) -> None:
    """The owner may; another app that may call, and who asks for no debugging, sees nothing."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=10, period="10s"))
    put(gateway, route(auth="app", throttles=("t",)))
    seen = dict((await gateway.handle(get(app="owner", x_apig_mode="debug"))).headers)
    assert seen["X-Apig-RateLimit-api"] == "remain:9,limit:10,time:10 second"
    for request in (get(app="owner"), get(app="friend", x_apig_mode="debug"), get(x_apig_mode="debug")):
        headers = dict((await gateway.handle(request)).headers)
        assert not any(name.startswith("X-Apig-RateLimit") for name in headers)


async def test_a_cached_route_asks_its_backend_once(
    gateway: Gateway, connector: Counting, autojump_clock: MockClock
) -> None:
    """Of a hundred calls, one reaches the database; another caller has another answer."""
    put(gateway, route(auth="app", backend=DATA, cache=Cache(seconds=60)))
    bodies = {(await gateway.handle(get(app="owner"))).body for _ in range(100)}
    assert (len(bodies), connector.asked) == (1, 1)
    assert (await gateway.handle(get(app="friend"))).body not in bodies
    await trio.sleep(60)
    assert (await gateway.handle(get(app="owner"))).body not in bodies
    status = route_status(gateway.statistics_of("r"))
    assert (status["cache"]["hits"], status["cache"]["misses"]) == (99, 3)


def host(name: str) -> list[tuple[str, str]]:
    return [("host", name)]


FORM = [("content-type", "application/x-www-form-urlencoded")]


def shown(client: str) -> TlsSession:
    return TlsSession("TLSv1.3", TlsTerms("a.example.com"), client)


@pytest.mark.parametrize(
    ("system", "one", "other", "by_callers", "by_none"),
    [
        (None, Request("GET", "/r", headers=host("a")), Request("GET", "/r", headers=host("b")), False, False),
        ("host", Request("GET", "/r", headers=host("a")), Request("GET", "/r", headers=host("b")), True, True),
        ("client_certificate", Request("GET", "/r", tls=shown("CN=a")), Request("GET", "/r"), True, False),
        ("source_address", Request("GET", "/r", peer="1.1.1.1"), Request("GET", "/r", peer="1.1.1.2"), True, False),
        (None, Request("GET", "/r", "", FORM, b"x=1"), Request("GET", "/r"), True, True),
        (None, Request("GET", "/r", "y=1&page=1"), Request("GET", "/r", "y=1&page=2"), False, False),
        (None, Request("GET", "/r", "pageNo=1"), Request("GET", "/r", "pageNo=2"), True, True),
        (
            None,
            Request("GET", "/r", headers=[("x-lot", "1")]),
            Request("GET", "/r", headers=[("x-lot", "2")]),
            *2 * (True,),
        ),
    ],
    ids=["nothing", "host", "certificate", "address", "body", "query", "page", "input"],
)
@pytest.mark.parametrize("by_caller", [True, False])
async def test_answers_are_kept_apart_by_what_the_backend_gets(
    gateway: Gateway,
    connector: Counting,
    system: str | None,
    one: Request,
    other: Request,
    *,
    by_callers: bool,
    by_none: bool,
    by_caller: bool,
) -> None:
    """A system value, a header or page that the backend itself asks for, a body: none gives what is another's."""
    parameters = () if system is None else (BackendParameter(name="s", system=system),)
    data = DataBackend(connection="db", sql="SELECT 1 AS n", parameters=parameters, paging=True)
    resource = route(cache=Cache(seconds=60, query=(), by_caller=by_caller))
    inputs = (BackendInput(name="X-Lot", place="header"),)
    gateway.put_route("r", [Published(route=resource, backend=RouteBackend(data=data), inputs=inputs, version=1)])
    before = (await gateway.handle(one)).body
    asked = connector.asked
    apart = by_callers if by_caller else by_none
    assert ((await gateway.handle(other)).body != before) is apart
    assert (connector.asked > asked) is apart


async def test_a_refused_caller_gets_nothing_out_of_the_cache(gateway: Gateway) -> None:
    """The cache lies behind identity, throttles and quotas, also where callers share it."""
    put(gateway, route(auth="app", backend=DATA, cache=Cache(seconds=60, by_caller=False)))
    assert (await gateway.handle(get(app="owner"))).status == 200
    assert (await gateway.handle(get())).status == 401


async def test_a_new_version_has_an_empty_cache(gateway: Gateway, connector: Counting) -> None:
    """And a call that is still at the old one keeps nothing for anybody."""
    put(gateway, route(backend=DATA, cache=Cache(seconds=60)))
    await gateway.handle(get())
    connector.delay = 0.05
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.handle, Request("GET", "/r", "late=1"))
        await wait_all_tasks_blocked()
        put(gateway, route(backend=DATA, cache=Cache(seconds=61)), version=2)
    assert gateway.flow._space.used == 0
    await gateway.handle(get())
    assert connector.asked == 3


async def test_a_stale_answer_outlives_a_timeout(
    gateway: Gateway, connector: Counting, autojump_clock: MockClock
) -> None:
    """A backend that hangs is a failure like others."""
    put(gateway, route(backend=DATA, timeout_ms=100, cache=Cache(seconds=10, stale_seconds=60)))
    first = await gateway.handle(get())
    await trio.sleep(20)
    connector.delay = 1.0
    second = await gateway.handle(get())
    assert (second.status, second.body) == (200, first.body)
    assert dict(second.headers)["Age"] == "20"


async def test_answers_are_compressed_where_the_route_says_so(gateway: Gateway) -> None:
    """Refusals and other routes' answers are not; every answer keeps its request id."""
    text = {"lots": ["north"] * 1000}
    put(gateway, route("r", body=text, compression=True))
    put(gateway, route("s", body=text))
    put(gateway, route("t", body=text, compression=Compression(codings=("zstd",))))
    small = await gateway.handle(get(accept_encoding="gzip"))
    assert json.loads(gzip.decompress(small.body)) == text
    assert {"Content-Encoding", "Vary", "X-Request-Id"} <= dict(small.headers).keys()
    for path in ("/s", "/t"):
        plain = await gateway.handle(get(path, accept_encoding="gzip"))
        assert json.loads(plain.body) == text


async def test_calls_of_no_route_are_logged_too(gateway: Gateway) -> None:
    """One line each, errors being chosen; what goes well is one line in a hundred."""
    put(gateway, route())
    with capture_logs() as logs:
        for _ in range(100):
            await gateway.handle(get())
        await gateway.handle(get("/nowhere"))
        await gateway.handle(get("/%2e%2e"))
    assert [line["status"] for line in logs] == [200, 404, 400]
    assert all(line["event"] == "Call answered" and line["request_id"] for line in logs)


async def test_series_are_by_route_and_status_and_bounded(gateway: Gateway) -> None:
    """The routes first applied have their own; the rest is summed up, and so nothing is lost."""
    for name in ("a", "b", "c", "d"):
        put(gateway, route(name, auth="app" if name == "b" else "none"))
        for _ in range(3):
            await gateway.handle(get(f"/{name}"))
    families = {family.name: family.samples for family in route_metrics(gateway)}
    answers = {
        (one.labels["route"], one.labels["status"]): one.value for one in families["penstock_route_answers_total"]
    }
    assert answers == {("a", "200"): 3, ("b", "401"): 3, (OTHERS, "200"): 6}
    latency = families["penstock_route_latency_seconds"]
    counts = {(one.labels["route"], one.labels["status"]): one.value for one in latency if one.suffix == "_count"}
    assert counts == {("a", "2xx"): 3, ("b", "4xx"): 3, (OTHERS, "2xx"): 6}
    for one in latency:
        if one.labels.get("le") == "+Inf":
            assert one.value == counts[one.labels["route"], one.labels["status"]]


async def test_throttles_and_quotas_are_measured(gateway: Gateway) -> None:
    """Passed, refused and used, by throttle and by app."""
    gateway.flow.throttles.put(ThrottleResource(name="t", app="owner", limit=2, period="1d"))
    gateway.flow.quotas.put("owner", Quota(calls=9))
    put(gateway, route(auth="app", throttles=("t",)))
    for _ in range(3):
        await gateway.handle(get(app="owner"))
    found = {
        (family.name, sample.labels.get("throttle") or sample.labels.get("app")): sample.value
        for family in route_metrics(gateway)
        for sample in family.samples
    }
    assert found["penstock_throttle_passed_total", "t"] == 2
    assert found["penstock_throttle_refused_total", "t"] == 1
    assert found["penstock_throttle_exhausted_keys", "t"] == 1
    assert found["penstock_quota_used_calls", "owner"] == 2
    assert found["penstock_quota_limit_calls", "owner"] == 9


async def test_a_route_that_asks_for_nothing_has_no_steps(gateway: Gateway) -> None:
    """What is not used costs nothing: the way of its calls is empty."""
    put(gateway, route())
    served = gateway._routes["r"].served["RELEASE"]
    assert (served._head, served._body, served._after, served._compressor) == ((), (), (), None)
    assert served._respond == served._at_once
