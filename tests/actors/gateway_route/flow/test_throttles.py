"""Throttles as routes are bound to them. Times are handed in."""

from __future__ import annotations

from typing import Any

import pytest

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.flow.throttles import Throttles, ThrottleStep
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from config.resources import MockBackend, Parameter, Route, RouteBackend, RouteRequest, SpecialLimit, Throttle


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttles(clock: Clock) -> Throttles:
    return Throttles(100, clock)


def throttle(name: str = "t", limit: int = 2, **more: Any) -> Throttle:
    return Throttle(**{"name": name, "app": "owner", "limit": limit, "period": "10s", **more})


def route(name: str = "r", path: str = "/r", throttles: tuple[str, ...] = ("t",), **request: Any) -> Route:
    return Route(
        name=name,
        app="owner",
        request=RouteRequest(path=path, **request),
        backend=RouteBackend(mock=MockBackend()),
        throttles=throttles,
    )


def bound(throttles: Throttles, to: Route | None = None, environment: str = "RELEASE") -> ThrottleStep:
    step = throttles.step(to or route(), environment)
    assert step is not None
    return step


def by_app(name: str) -> Call:
    return Call(Request("GET", "/r"), caller=Caller("app", name, name), peer_ip="192.0.2.1")


def from_address(address: str) -> Call:
    return Call(Request("GET", "/r"), peer_ip=address)


def passes(step: ThrottleStep, call: Call) -> bool:
    try:
        step(call)
    except CallRefusedError:
        return False
    return True


def count(step: ThrottleStep, call: Call, times: int = 20) -> int:
    return sum(passes(step, call) for _ in range(times))


def test_a_route_without_throttles_has_no_step(throttles: Throttles) -> None:
    """What is not used costs nothing, also where throttles exist."""
    throttles.put(throttle())
    assert throttles.step(route(throttles=()), "RELEASE") is None


def test_a_throttle_that_is_not_there_is_refused(throttles: Throttles) -> None:
    """A route is not served unthrottled because its throttle is missing."""
    with pytest.raises(ConfigurationError, match="throttle t does not exist"):
        throttles.step(route(), "RELEASE")


def test_refusals_say_when_to_come_back(throttles: Throttles, clock: Clock) -> None:
    """429 with Retry-After in whole seconds, after which a call passes."""
    throttles.put(throttle(limit=1))
    step = bound(throttles)
    assert passes(step, from_address("192.0.2.1"))
    clock.now += 2.5
    with pytest.raises(CallRefusedError) as refused:
        step(from_address("192.0.2.1"))
    assert (refused.value.error.code, refused.value.error.status) == ("APIC.0308", 429)
    assert dict(refused.value.headers) == {"Retry-After": "8"}
    assert "at most 1 call in 10 seconds;" in refused.value.detail
    clock.now += 8
    assert passes(step, from_address("192.0.2.1"))


def test_by_route_counts_everybody_together(throttles: Throttles) -> None:
    """Whoever calls, the route takes so much."""
    throttles.put(throttle())
    step = bound(throttles)
    assert passes(step, by_app("a"))
    assert passes(step, by_app("b"))
    assert not passes(step, by_app("c"))


def test_routes_and_environments_count_alone_unless_it_is_shared(throttles: Throttles) -> None:
    """`shared: true` makes one limit of all routes that name it, in all environments."""
    throttles.put(throttle("alone", limit=2))
    throttles.put(throttle("shared", limit=2, shared=True))
    for name, expected in (("alone", [2, 2, 2]), ("shared", [2, 0, 0])):
        steps = [
            bound(throttles, route("one", throttles=(name,))),
            bound(throttles, route("one", throttles=(name,)), "TEST"),
            bound(throttles, route("two", throttles=(name,))),
        ]
        assert [count(step, by_app("a")) for step in steps] == expected


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        ("app", [by_app("a"), by_app("a")], by_app("b")),
        ("app", [from_address("192.0.2.1"), from_address("192.0.2.1")], from_address("192.0.2.2")),
        ("address", [from_address("192.0.2.1"), by_app("a")], from_address("192.0.2.2")),
        ("address", [from_address("2001:db8::1"), from_address("2001:db8::ffff")], from_address("2001:db8:0:1::1")),
        ("address", [from_address("192.0.2.1"), from_address("::ffff:192.0.2.1")], from_address("192.0.2.7")),
        (
            "user",
            [
                Call(Request("GET", "/"), caller=Caller("user", "u")),
                Call(Request("GET", "/"), caller=Caller("user", "u")),
            ],
            Call(Request("GET", "/"), caller=Caller("jwt", "u")),
        ),
        ("user", [by_app("a"), by_app("b")], Call(Request("GET", "/"), caller=Caller("user", "192.0.2.1"))),
    ],
)
def test_callers_are_told_apart(throttles: Throttles, by: str, same: list[Call], other: Call) -> None:
    """Those who are one share a limit, others have their own; who has no name counts by address."""
    throttles.put(throttle(by=by))
    step = bound(throttles)
    assert [passes(step, call) for call in (*same, same[0])] == [True, True, False]
    assert passes(step, other)


@pytest.mark.parametrize(
    ("place", "calls"),
    [
        ("path", [Call(Request("GET", "/r"), path={"lot": value}) for value in "ab"]),
        ("query", [Call(Request("GET", "/r", f"x=1&lot={value}")) for value in "ab"]),
        ("header", [Call(Request("GET", "/r", headers=[("lot", value)])) for value in "ab"]),
        ("path", [Call(Request("GET", "/r"), path={"lot": value * 5000}) for value in "ab"]),
    ],
)
def test_parameters_are_found_where_they_are(throttles: Throttles, place: Any, calls: list[Call]) -> None:
    """Each value of a declared parameter counts alone, however long it is."""
    throttles.put(throttle(by="parameter", parameter="lot"))
    step = bound(throttles, route(parameters=(Parameter(name="lot", place=place),)))
    assert [count(step, call) for call in calls] == [2, 2]
    key, _ = step._bound[0].place(calls[0])
    assert len(str(key)) < 120


def test_undeclared_parameters_are_of_the_path_or_the_query(throttles: Throttles) -> None:
    """A query that cannot be read is one without the parameter; the same goes for one that lacks it."""
    throttles.put(throttle(by="parameter", parameter="lot"))
    in_path = bound(throttles, route("one", path="/r/{lot}"))
    assert [count(in_path, Call(Request("GET", "/r"), path={"lot": value})) for value in "ab"] == [2, 2]
    in_query = bound(throttles, route("two"))
    assert count(in_query, Call(Request("GET", "/r", "lot=%61"))) == 2
    assert count(in_query, Call(Request("GET", "/r", "lot=a"))) == 0
    assert count(in_query, Call(Request("GET", "/r", "&".join(["x=1"] * 2000)))) == 2
    assert count(in_query, Call(Request("GET", "/r"))) == 0


def test_a_parameter_of_the_body_cannot_be_counted(throttles: Throttles) -> None:
    """Throttles come before the body is read: the route is refused, not served unthrottled."""
    throttles.put(throttle(by="parameter", parameter="lot"))
    with pytest.raises(ConfigurationError, match="before the body is read"):
        bound(throttles, route(method="POST", parameters=(Parameter(name="lot", place="body"),)))


def test_special_apps_count_by_themselves(throttles: Throttles) -> None:
    """An app with a limit of its own neither uses up that of others nor is held by it."""
    throttles.put(throttle(limit=2, special=(SpecialLimit(app="vip", limit=5),)))
    step = bound(throttles)
    assert count(step, by_app("a")) == 2
    assert count(step, by_app("vip")) == 5
    assert count(step, by_app("b")) == 0


def test_what_one_throttle_refuses_counts_for_no_other(throttles: Throttles) -> None:
    """A call passes all of a route's throttles, or uses up none."""
    throttles.put(throttle("narrow", limit=1, by="app"))
    throttles.put(throttle("wide", limit=3))
    for names in (("narrow", "wide"), ("wide", "narrow")):
        step = bound(throttles, route("-".join(names), throttles=names))
        assert count(step, by_app("a")) == 1
        assert count(step, by_app("b")) == 1
        assert count(step, by_app("c")) == 1
        assert count(step, by_app("d")) == 0


def test_a_changed_limit_is_in_force_at_once(throttles: Throttles) -> None:
    """Routes need not be compiled anew, and what has passed still counts."""
    throttles.put(throttle(limit=2))
    step = bound(throttles)
    assert count(step, by_app("a")) == 2
    throttles.put(throttle(limit=5))
    assert count(step, by_app("a")) == 3
    throttles.put(throttle(limit=1))
    assert count(step, by_app("a")) == 0


def test_another_way_of_counting_begins_anew(throttles: Throttles, clock: Clock) -> None:
    """A throttle that counts by something else, or for another time, is followed without compiling anew."""
    throttles.put(throttle(limit=1, period="1d"))
    step = bound(throttles)
    assert count(step, by_app("a")) == 1
    throttles.put(throttle(limit=1, period="1s", by="app"))
    assert [count(step, by_app(name)) for name in ("a", "b")] == [1, 1]
    clock.now += 1
    assert count(step, by_app("a")) == 1


def test_what_cannot_be_counted_by_is_counted_together(throttles: Throttles) -> None:
    """A throttle that comes to count by the body of a living route holds it as a whole: it never lets all pass."""
    throttles.put(throttle(limit=2, by="app"))
    step = bound(throttles, route(method="POST", parameters=(Parameter(name="lot", place="body"),)))
    throttles.put(throttle(limit=2, by="parameter", parameter="lot"))
    assert [count(step, by_app(name)) for name in ("a", "b")] == [2, 0]


def test_debuggers_see_what_remains(throttles: Throttles) -> None:
    """`X-Apig-RateLimit-api: remain:9,limit:10,time:10 second`, one for each throttle, also where one refuses."""
    throttles.put(throttle("t", limit=10))
    throttles.put(throttle("u", limit=3, by="app", period="1d", special=(SpecialLimit(app="vip", limit=7),)))
    step = bound(throttles, route(throttles=("t", "u")))

    def told(app: str) -> list[tuple[str, str]]:
        call = by_app(app)
        call.debug = []
        passes(step, call)
        return call.debug

    for remain in (2, 1, 0):
        assert told("a") == [
            ("X-Apig-RateLimit-api", f"remain:{7 + remain},limit:10,time:10 second"),
            ("X-Apig-RateLimit-app", f"remain:{remain},limit:3,time:1 day"),
        ]
    assert told("a")[1] == ("X-Apig-RateLimit-app", "remain:0,limit:3,time:1 day")
    assert told("vip")[1] == ("X-Apig-RateLimit-app", "remain:6,limit:7,time:1 day")


def test_statistics_tell_what_passed(throttles: Throttles) -> None:
    """Calls that passed and that were refused, and how many callers are at their end."""
    throttles.put(throttle(by="app"))
    step = bound(throttles)
    assert count(step, by_app("a"), 5) == 2
    assert count(step, by_app("b"), 1) == 1
    seen = throttles.statistics("t")
    assert (seen.passed, seen.refused, seen.keys, seen.exhausted) == (3, 3, 2, 1)
    throttles.remove("t")
    assert throttles.statistics("t") is None


def test_nobody_can_push_out_who_is_exhausted(clock: Clock) -> None:
    """A flood of addresses fills the table, and buys not one call more to whoever has none left."""
    throttles = Throttles(50, clock)
    throttles.put(throttle(limit=2, by="address"))
    step = bound(throttles)
    held = from_address("192.0.2.1")
    assert count(step, held) == 2
    for number in range(1000):
        passes(step, from_address(f"198.51.{number // 250}.{number % 250}"))
    assert count(step, held) == 0
    assert throttles.statistics("t").keys <= 50
    clock.now += 10
    assert count(step, held) == 2


def test_where_all_are_exhausted_newcomers_share(clock: Clock) -> None:
    """With no place left, new callers share one limit, until somebody has room again."""
    throttles = Throttles(3, clock)
    throttles.put(throttle(limit=1, by="address"))
    step = bound(throttles)
    addresses = [f"192.0.2.{number}" for number in range(10)]
    assert sum(passes(step, from_address(address)) for address in addresses) == 4
    clock.now += 10
    assert sum(passes(step, from_address(address)) for address in addresses) == 4
