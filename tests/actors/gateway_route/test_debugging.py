"""`X-Apig-Mode: debug`: where the time of a call went, for those who may know."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import trio

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.ports import QueryResult, ResultLimits
from actors.wire.http.messages import Request
from config.resources import DataBackend, Route, RouteBackend, RouteRequest
from config.settings import GatewaySettings
from tests.fakes.identities import identities

BASIC = "Basic " + base64.b64encode(b"owner-key:secret").decode()


class SlowConnector:
    async def query(self, _sql: str, _parameters: Mapping[str, Any], _limits: ResultLimits) -> QueryResult:
        await trio.sleep(0.05)
        return QueryResult(("n",), [(1,)])


async def headers(*, auth: str = "app", mode: str = "debug", query: str = "") -> dict[str, str]:
    directory = Directory(lambda secret: secret)
    directory.put_app(AppEntry("owner", "owner-key", b"secret", ()))
    gateway = Gateway(identities(directory), {"db": SlowConnector()}, GatewaySettings())
    backend = RouteBackend(data=DataBackend(connection="db", sql="SELECT 1"))
    request = RouteRequest(path="/d", undeclared="refuse")
    route = Route(name="d", app="owner", auth=auth, request=request, backend=backend)
    gateway.put_route("d", [Published(route=route, backend=backend)])
    asked = Request("GET", "/d", query, [("authorization", BASIC), ("x-apig-mode", mode)])
    return dict((await gateway.handle(asked)).headers)


async def test_both_times_are_told_in_milliseconds() -> None:
    """That of the backend, and that of the whole call, which is no shorter."""
    found = await headers()
    assert int(found["X-Apig-Latency"]) >= int(found["X-Apig-Upstream-Latency"]) >= 40


async def test_a_call_that_came_to_no_backend_tells_its_own_time_alone() -> None:
    """It was refused on its way."""
    found = await headers(query="x=1")
    assert "X-Apig-Latency" in found
    assert "X-Apig-Upstream-Latency" not in found


async def test_nobody_else_sees_times() -> None:
    """Not without asking, and not without being known."""
    for found in (await headers(mode="other"), await headers(auth="none")):
        assert not [name for name in found if name.startswith("X-Apig")]
