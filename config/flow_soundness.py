"""Whether throttles, caches and their like make sense by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from config.flaws import Flaw
from config.resources import Cache, Route, Throttle
from config.resources.topics import duration_seconds

_LONGEST_DAYS = 365


def throttle_flaws(throttle: Throttle) -> Iterator[Flaw]:
    """What is wrong with a throttle."""
    if throttle.by == "parameter" and throttle.parameter is None:
        yield Flaw("$.parameter", "`by: parameter` needs `parameter`, the name of one of the route's parameters")
    if throttle.by != "parameter" and throttle.parameter is not None:
        yield Flaw("$.parameter", f"is counted only with `by: parameter`, not with `by: {throttle.by}`")
    if duration_seconds(throttle.period) > _LONGEST_DAYS * 86_400:
        yield Flaw("$.period", f"a throttle looks back {_LONGEST_DAYS}d at most")
    for app, times in Counter(special.app for special in throttle.special).items():
        if times > 1:
            yield Flaw("$.special", f"app {app} stands there {times} times")


def flow_flaws(route: Route) -> Iterator[Flaw]:
    """What is wrong with the flow control of a route."""
    if route.cache is not None:
        yield from _cache(route, route.cache)


def _cache(route: Route, cache: Cache) -> Iterator[Flaw]:
    if route.request.method not in {"GET", "HEAD", "ANY"}:
        yield Flaw("$.cache", f"answers to {route.request.method} are not kept; only those to GET and HEAD are")
    keyed = {
        "query": None if cache.query is None else {*cache.query},
        "header": {name.lower() for name in cache.headers},
    }
    for parameter in route.request.parameters:
        names = keyed.get(parameter.place)
        name = parameter.name.lower() if parameter.place == "header" else parameter.name
        if names is not None and name not in names:
            where = "$.cache.query" if parameter.place == "query" else "$.cache.headers"
            reason = f"the parameter {parameter.name} is left out: who sends another value would get the same answer"
            yield Flaw(where, reason)
