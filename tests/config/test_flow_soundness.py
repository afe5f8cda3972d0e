"""Throttles, caches and quotas by themselves."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from config.flow_soundness import flow_flaws, throttle_flaws
from config.resources import Route, Throttle


def throttle(text: str) -> Throttle:
    return msgspec.convert(yaml.safe_load(f"{{kind: throttle, app: a, name: t, {text}}}"), Throttle)


def route(cache: str, request: str = "path: /r") -> Route:
    text = f"{{kind: route, app: a, name: r, request: {{{request}}}, backend: {{mock: {{}}}}, cache: {cache}}}"
    return msgspec.convert(yaml.safe_load(text), Route)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("limit: 1, by: parameter", "$.parameter", "needs `parameter`"),
        ("limit: 1, parameter: lot", "$.parameter", "only with `by: parameter`"),
        ("limit: 1, period: 366d", "$.period", "365d at most"),
        ("limit: 1, special: [{app: b, limit: 1}, {app: b, limit: 2}]", "$.special", "2 times"),
    ],
)
def test_a_throttle_that_makes_no_sense_is_told(text: str, path: str, reason: str) -> None:
    """Where it stands, and why."""
    (flaw,) = throttle_flaws(throttle(text))
    assert (flaw.path, reason in flaw.reason) == (path, True)


@pytest.mark.parametrize("text", ["limit: 0", "limit: 1, period: 0s", "limit: 1, by: cookie", "limit: 1, burst: -1"])
def test_a_throttle_out_of_bounds_is_refused(text: str) -> None:
    """A limit of nothing would be a route switched off."""
    with pytest.raises(msgspec.ValidationError):
        throttle(text)


def test_what_makes_sense_has_no_flaw() -> None:
    """Each way of counting, and each way of keeping."""
    for text in ("limit: 1", "limit: 10, period: 365d, by: parameter, parameter: lot, burst: 5, shared: true"):
        assert not list(throttle_flaws(throttle(text)))
    parameters = "path: /r, parameters: [{name: lot, in: query}, {name: X-Lot, in: header}]"
    for cache in ("{seconds: 1, headers: [x-lot]}", "{seconds: 1, query: [lot, more], headers: [X-Lot]}"):
        assert not list(flow_flaws(route(cache, parameters)))


@pytest.mark.parametrize(
    ("cache", "request_", "path", "reason"),
    [
        ("{seconds: 1}", "path: /r, method: POST", "$.cache", "POST are not kept"),
        ("{seconds: 1, query: []}", "path: /r, parameters: [{name: lot, in: query}]", "$.cache.query", "lot"),
        ("{seconds: 1}", "path: /r, parameters: [{name: Lot, in: header}]", "$.cache.headers", "Lot"),
    ],
)
def test_a_cache_that_would_mix_answers_up_is_told(cache: str, request_: str, path: str, reason: str) -> None:
    """A parameter that the route declares makes a difference, so it is part of the key."""
    (flaw,) = flow_flaws(route(cache, request_))
    assert (flaw.path, reason in flaw.reason) == (path, True)
