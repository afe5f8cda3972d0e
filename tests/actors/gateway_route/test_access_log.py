"""One line for each call that is worth one, with nothing in it that is secret."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.gateway_route.access_log import FIRST_ERROR, AccessLog, Observer
from actors.gateway_route.call import Call, Caller
from actors.wire.http.messages import Request, Response
from config.settings import AccessLogSettings


def call(**more: Any) -> Call:
    headers = [("authorization", "Bearer top-secret"), ("x-apig-appcode", "top-secret"), ("cookie", "top-secret")]
    request = Request("GET", "/lots/7", "token=top-secret&x=1", headers, b"top-secret", "192.0.2.1")
    return Call(**{"request": request, "request_id": "id-1", "caller": Caller("app", "a", "a"), **more})


def told(observer: Observer, response: Response, seconds: float) -> None:
    """As those do who answer calls."""
    if response.status >= FIRST_ERROR or seconds >= observer.slow or next(observer.sampled):
        observer.tell(call(), response, seconds)


def lines(settings: AccessLogSettings, *answers: tuple[Response, float], repeat: int = 1) -> list[dict[str, Any]]:
    with capture_logs() as logs:
        observe = AccessLog(settings).observer("r", 3)
        for _ in range(repeat):
            for response, seconds in answers:
                told(observe, response, seconds)
    return logs


OK = (Response(200, (("Set-Cookie", "top-secret"),), b"top-secret"), 0.01)


async def test_a_line_has_the_facts_and_no_secrets() -> None:
    """Who, what, when, how long and how it ended; neither headers, bodies nor what a query says."""
    (line,) = lines(AccessLogSettings(lines="all"), OK)
    assert line == {
        "event": "Call answered",
        "log_level": "info",
        "method": "GET",
        "path": "/lots/7",
        "status": 200,
        "ms": 10.0,
        "peer": "192.0.2.1",
        "request_id": "id-1",
        "route": "r",
        "stage": "RELEASE",
        "version": 3,
        "app": "a",
        "bytes": 10,
    }


async def test_queries_are_logged_where_it_is_asked_for() -> None:
    """An operator may want them, and then sees what is in them."""
    (line,) = lines(AccessLogSettings(lines="all", query=True), OK)
    assert line["query"] == "token=top-secret&x=1"


async def test_lines_are_bounded() -> None:
    """A path of 32 KiB is no line of 32 KiB."""
    with capture_logs() as logs:
        observe = AccessLog(AccessLogSettings(lines="all", query=True)).observer("r")
        observe.tell(call(request=Request("GET", "/" + "x" * 30_000, "y" * 30_000)), OK[0], 0.0)
    assert len(str(logs[0])) < 2_000


@pytest.mark.parametrize(
    ("answer", "logged"),
    [
        (OK, False),
        ((Response(304), 0.0), False),
        ((Response(400), 0.0), True),
        ((Response(404), 0.0), True),
        ((Response(503), 0.0), True),
        ((Response(200), 0.999), False),
        ((Response(200), 1.0), True),
    ],
)
async def test_errors_and_slow_calls_are_chosen(answer: tuple[Response, float], *, logged: bool) -> None:
    """Those are what an operator looks for."""
    assert bool(lines(AccessLogSettings(), answer)) is logged


async def test_one_in_a_hundred_is_chosen() -> None:
    """Over all calls, so that what is usual is seen too; 0 is none."""
    assert len(lines(AccessLogSettings(), OK, repeat=1000)) == 10
    assert len(lines(AccessLogSettings(sample=1), OK, repeat=100)) == 100
    assert lines(AccessLogSettings(sample=0), OK, repeat=1000) == []


async def test_none_writes_nothing_and_costs_nothing() -> None:
    """There is nobody to be told of a call then."""
    assert AccessLog(AccessLogSettings(lines="none")).observer("r") is None


async def test_callers_cannot_fill_the_log(autojump_clock: MockClock) -> None:
    """Errors beyond so many a second are counted, and the count is told; all lines are all lines."""
    settings = AccessLogSettings(max_per_second=5)
    with capture_logs() as logs:
        observe = AccessLog(settings).observer("r")
        for _ in range(100):
            told(observe, Response(401), 0.0)
        await trio.sleep(1)
        told(observe, Response(401), 0.0)
    assert len(logs) == 6
    assert logs[-1]["left_out"] == 95
    assert len(lines(AccessLogSettings(lines="all", max_per_second=5), OK, repeat=100)) == 100


async def test_a_call_of_no_route_has_no_route() -> None:
    """It is logged all the same, so that somebody who looks for doors is seen."""
    with capture_logs() as logs:
        observe = AccessLog(AccessLogSettings()).observer()
        observe.tell(Call(Request("GET", "/.env", peer="192.0.2.9"), "id-2"), Response(404), 0.0)
    (line,) = logs
    assert (line["path"], line["peer"], "route" in line, "app" in line) == ("/.env", "192.0.2.9", False, False)
