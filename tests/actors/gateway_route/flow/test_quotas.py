"""Quotas of apps. Times are handed in."""

from __future__ import annotations

import pytest
import trio

from actors.gateway_route.call import Call, Caller
from actors.gateway_route.flow.quotas import Quotas, QuotaUse
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from config.resources import Quota


class Clock:
    now = 86_400.0 * 20_000 + 3600

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quotas(clock: Clock) -> Quotas:
    return Quotas(clock)


def by(app: str) -> Call:
    return Call(Request("GET", "/"), caller=Caller("app", app, app))


def count(quotas: Quotas, app: str, times: int = 20) -> int:
    passed = 0
    for _ in range(times):
        try:
            quotas.step(by(app))
        except CallRefusedError:
            continue
        passed += 1
    return passed


def test_a_quota_is_used_up_and_comes_back(quotas: Quotas, clock: Clock) -> None:
    """So many calls in a day of UTC, and again the next day; Retry-After says when."""
    quotas.put("a", Quota(calls=3))
    assert count(quotas, "a") == 3
    with pytest.raises(CallRefusedError) as refused:
        quotas.step(by("a"))
    assert (refused.value.error.code, refused.value.error.status) == ("APIC.0501", 405)
    assert dict(refused.value.headers)["Retry-After"] == str(23 * 3600)
    clock.now += 23 * 3600
    assert count(quotas, "a") == 3


def test_others_have_no_quota(quotas: Quotas) -> None:
    """An app without one, and who is no app, are not counted."""
    quotas.put("a", Quota(calls=1))
    assert count(quotas, "b") == 20
    for _ in range(3):
        quotas.step(Call(Request("GET", "/")))
    assert quotas.statistics("b") is None


def test_a_changed_quota_counts_on(quotas: Quotas) -> None:
    """More calls are more calls, not all of them again; another period begins anew; without one all pass."""
    quotas.put("a", Quota(calls=3))
    assert count(quotas, "a") == 3
    quotas.put("a", Quota(calls=5))
    assert count(quotas, "a") == 2
    quotas.put("a", Quota(calls=2, period="1h"))
    assert count(quotas, "a") == 2
    quotas.put("a", None)
    assert count(quotas, "a") == 20


def test_a_clock_set_back_counts_nothing_anew(quotas: Quotas, clock: Clock) -> None:
    """Back by an hour it is the same day; a clock that was wrong by years locks nobody out until then."""
    quotas.put("a", Quota(calls=3, period="1h"))
    assert count(quotas, "a") == 3
    clock.now -= 1800
    assert count(quotas, "a") == 0
    clock.now -= 86_400 * 365
    assert count(quotas, "a") == 3


def test_what_was_used_is_known_after_a_restart(quotas: Quotas, clock: Clock) -> None:
    """What is taken to be stored is what the next life needs; use of another period is forgotten."""
    quotas.put("a", Quota(calls=3))
    quotas.put("b", Quota(calls=3))
    assert count(quotas, "a", 2) == 2
    stored = quotas.take_changed()
    assert stored == {"a": QuotaUse("a", 86_400 * 20_000, 86_400, 2)}
    assert quotas.take_changed() == {}
    after = Quotas(clock)
    after.restore([use for use in stored.values() if use] + [QuotaUse("gone", 0, 60, 1), QuotaUse("b", 0, 60, 3)])
    after.put("a", Quota(calls=3))
    after.put("b", Quota(calls=3))
    assert (count(after, "a"), count(after, "b")) == (1, 3)
    after.remove("gone")
    assert after.take_changed()["gone"] is None


def test_statistics_tell_what_is_left(quotas: Quotas, clock: Clock) -> None:
    """Used, refused, and when it begins anew; also before anybody calls in a new period."""
    quotas.put("a", Quota(calls=3))
    count(quotas, "a", 5)
    seen = quotas.statistics("a")
    assert (seen.calls, seen.used, seen.refused, seen.resets) == (3, 3, 2, 86_400 * 20_001)
    clock.now += 86_400
    assert quotas.statistics("a").used == 0


async def test_it_holds_under_fifty_calls_at_once(quotas: Quotas) -> None:
    """However calls are interleaved, no more pass than the quota has."""
    quotas.put("a", Quota(calls=120))
    passed = []

    async def caller(name: int) -> None:
        for _ in range(10):
            await trio.lowlevel.checkpoint()
            try:
                quotas.step(by("a"))
            except CallRefusedError:
                continue
            passed.append(name)

    async with trio.open_nursery() as nursery:
        for name in range(50):
            nursery.start_soon(caller, name)
    assert len(passed) == 120
