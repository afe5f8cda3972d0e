"""Pages of other origins: preflights, and what every answer tells a browser (Fetch 3.2)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry
from actors.errors import ConfigurationError
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.wire.http.messages import Request, Response
from config.resources import Cors, DataBackend, MockBackend, Route, RouteBackend, RouteRequest, Throttle
from config.settings import GatewaySettings
from tests.fakes.identities import identities

PAGE = "https://page.example"
OTHER = "https://other.example"


@pytest.fixture
def gateway() -> Gateway:
    directory = Directory(lambda secret: hmac.digest(b"key", secret, hashlib.sha256))
    code = hmac.digest(b"key", b"code", hashlib.sha256)
    directory.put_app(AppEntry("owner", "owner-key", b"", (code,)))
    return Gateway(identities(directory), {}, GatewaySettings())


def put(gateway: Gateway, name: str, method: str = "GET", cors: Cors | None = None, **more: Any) -> None:
    request = RouteRequest(path=more.pop("path", "/m"), method=method)
    more = {"auth": "none", "backend": RouteBackend(mock=MockBackend(body=name)), **more}
    route = Route(name=name, app="owner", request=request, cors=cors, **more)
    gateway.put_route(name, [Published(route=route, backend=route.backend)])


async def ask(gateway: Gateway, method: str, origin: str | None = PAGE, **headers: str) -> Response:
    given = {} if origin is None else {"origin": origin}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.handle(Request(method, "/m", headers=list(given.items()), peer="10.0.0.1"))


async def preflight(gateway: Gateway, method: str = "GET", origin: str | None = PAGE) -> Response:
    return await ask(gateway, "OPTIONS", origin, access_control_request_method=method)


def said(response: Response) -> dict[str, str]:
    """What an answer says of other origins."""
    found = [(name, value) for name, value in response.headers if name.startswith("Access-Control-") or name == "Vary"]
    assert len(found) == len(dict(found))
    return dict(found)


async def test_a_preflight_is_answered_before_authentication(gateway: Gateway) -> None:
    """Without credentials, which browsers never send along; with all that the route lets pages do."""
    cors = Cors(origins=(PAGE,), headers=("X-Apig-AppCode",), expose=("X-Total",), credentials=True, max_age=7)
    put(gateway, "m", cors=cors, auth="app")
    response = await preflight(gateway)
    assert (response.status, response.body) == (204, b"")
    assert said(response) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Allow-Headers": "X-Apig-AppCode",
        "Access-Control-Max-Age": "7",
        "Vary": "Origin, Access-Control-Request-Method",
    }
    assert dict(response.headers)["X-Request-Id"]


async def test_an_answer_says_who_may_read_it(gateway: Gateway) -> None:
    """The origin that asked and no other; Vary also where there was none, for the sake of caches in between."""
    put(gateway, "m", cors=Cors(origins=(PAGE, "https://third.example"), expose=("X-Total", "X-A"), credentials=True))
    assert said(await ask(gateway, "GET")) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Total, X-A",
        "Vary": "Origin",
    }
    for origin in (None, OTHER, "null", PAGE.upper(), f"{PAGE}:443", f"{PAGE}.evil.example", ""):
        response = await ask(gateway, "GET", origin)
        assert (response.status, response.body) == (200, b"m")
        assert said(response) == {"Vary": "Origin"}


async def test_two_origins_in_one_request_are_none(gateway: Gateway) -> None:
    """Who sends two is no browser, and gets no permission."""
    put(gateway, "m", cors=Cors(origins=(PAGE,)))
    request = Request("GET", "/m", headers=[("origin", PAGE), ("origin", OTHER)])
    assert said(await gateway.handle(request)) == {"Vary": "Origin"}


async def test_every_origin_is_said_as_such(gateway: Gateway) -> None:
    """`*` is the same for all, so nothing varies; with credentials it is not served at all."""
    put(gateway, "m", cors=Cors(origins=("*",)))
    assert said(await ask(gateway, "GET")) == {"Access-Control-Allow-Origin": "*"}
    assert said(await preflight(gateway, origin="null"))["Access-Control-Allow-Origin"] == "*"
    with pytest.raises(ConfigurationError, match="credentials"):
        put(gateway, "n", path="/n", cors=Cors(origins=("*",), credentials=True))


async def test_a_preflight_of_another_origin_is_refused(gateway: Gateway) -> None:
    """403, in the shape of all errors, and nothing that would let a page in."""
    put(gateway, "m", cors=Cors(origins=(PAGE,)))
    response = await preflight(gateway, origin=OTHER)
    assert response.status == 403
    assert msgspec.json.decode(response.body)["error_code"] == "APIC.0306"
    assert said(response) == {"Vary": "Origin"}


async def test_errors_can_be_read_by_pages(gateway: Gateway) -> None:
    """401, 403, 429 and what comes of backends: a page sees the error, not a riddle of its browser."""
    cors = Cors(origins=(PAGE,))
    gateway.flow.throttles.put(Throttle(name="t", app="owner", limit=1, period="1m", by="route"))
    put(gateway, "m", cors=cors, auth="app", throttles=("t",))
    refused = await ask(gateway, "GET")
    assert refused.status == 401
    assert said(refused) == {"Access-Control-Allow-Origin": PAGE, "Vary": "Origin"}
    assert (await ask(gateway, "GET", x_apig_appcode="code")).status == 200
    throttled = await ask(gateway, "GET", x_apig_appcode="code")
    assert throttled.status == 429
    assert said(throttled)["Access-Control-Allow-Origin"] == PAGE
    backend = RouteBackend(data=DataBackend(connection="gone", sql="SELECT 1"))
    put(gateway, "m", cors=cors, backend=backend)
    failed = await ask(gateway, "GET")
    assert failed.status == 500
    assert said(failed)["Access-Control-Allow-Origin"] == PAGE


async def test_the_method_that_is_asked_for_decides(gateway: Gateway) -> None:
    """Routes of one path have each its own policy; where the route asked for has none, OPTIONS is as any other."""
    put(gateway, "g", "GET", Cors(origins=(PAGE,)))
    put(gateway, "p", "POST", Cors(origins=(OTHER,)))
    put(gateway, "d", "DELETE")
    assert said(await preflight(gateway, "GET"))["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert said(await preflight(gateway, "HEAD"))["Access-Control-Allow-Origin"] == PAGE
    assert (await preflight(gateway, "POST")).status == 403
    assert said(await preflight(gateway, "POST", OTHER))["Access-Control-Allow-Methods"] == "POST"
    for method in ("DELETE", "PATCH", "TRACE", "get"):
        plain = await preflight(gateway, method)
        assert (plain.status, said(plain)) == (204, {})
        assert dict(plain.headers)["Allow"] == "DELETE, GET, HEAD, OPTIONS, POST"
    put(gateway, "o", "OPTIONS")
    assert (await preflight(gateway, "DELETE")).body == b"o"
    assert (await preflight(gateway, "GET")).body == b""
    assert (await ask(gateway, "OPTIONS")).body == b"o"
    assert (await ask(gateway, "OPTIONS", None, access_control_request_method="GET")).body == b"o"


async def test_a_route_of_any_method_says_all_or_what_is_written(gateway: Gateway) -> None:
    """`methods` narrows what pages are told."""
    put(gateway, "m", "ANY", Cors(origins=(PAGE,)))
    everything = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert said(await preflight(gateway, "PUT"))["Access-Control-Allow-Methods"] == everything
    put(gateway, "m", "ANY", Cors(origins=(PAGE,), methods=("PUT", "GET")))
    assert said(await preflight(gateway, "PUT"))["Access-Control-Allow-Methods"] == "PUT, GET"


async def test_one_answer_has_one_policy(gateway: Gateway) -> None:
    """What a backend says of other origins is taken out; without `cors` it is the backend's own affair."""
    headers = {"access-control-allow-origin": OTHER, "Access-Control-Allow-Credentials": "true", "X-Total": "1"}
    backend = RouteBackend(mock=MockBackend(body="m", headers=headers))
    put(gateway, "m", cors=Cors(origins=(PAGE,)), backend=backend)
    response = await ask(gateway, "GET")
    assert said(response) == {"Access-Control-Allow-Origin": PAGE, "Vary": "Origin"}
    assert dict(response.headers)["X-Total"] == "1"
    assert "access-control-allow-origin" not in dict(response.headers)
    put(gateway, "m", backend=backend)
    assert dict((await ask(gateway, "GET")).headers)["access-control-allow-origin"] == OTHER


async def test_off_by_default(gateway: Gateway) -> None:
    """A route that says nothing says nothing: browsers keep other origins out by themselves."""
    put(gateway, "m")
    assert said(await ask(gateway, "GET")) == {}


async def test_preflights_are_counted(gateway: Gateway) -> None:
    """As answers of the route that they ask for."""
    put(gateway, "m", cors=Cors(origins=(PAGE,)))
    await preflight(gateway)
    await preflight(gateway, origin=OTHER)
    statistics = gateway.statistics_of("m")
    assert statistics is not None
    assert statistics.statuses == {204: 1, 403: 1}
