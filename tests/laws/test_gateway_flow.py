"""Laws of throttles and quotas. In virtual time: every time is handed in."""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from actors.gateway_route.call import Call, Caller
from actors.gateway_route.flow.quotas import Quotas
from actors.gateway_route.flow.window import SLOTS, Rate, Window
from actors.gateway_route.flow.windows import Windows
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from config.resources import Quota

# Sixteenths of a second, so that sums of times are exact.
STEPS = st.lists(st.integers(0, 64).map(lambda ticks: ticks / 16), max_size=120)
PERIODS = st.sampled_from([1.0, 4.0, 16.0])


class Naive:
    """What a window should do, the plain way: every call remembered, and a bucket of tokens."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.passed: deque[float] = deque()
        self.tokens = float(rate.capacity)
        self.at = 0.0

    def call(self, now: float) -> bool:
        rate = self.rate
        while self.passed and self.passed[0] + rate.period <= now:
            self.passed.popleft()
        self.tokens = min(rate.capacity, self.tokens + (now - self.at) * rate.limit / rate.period)
        self.at = now
        if len(self.passed) >= rate.capacity or self.tokens < 1 - 1e-9:
            return False
        self.passed.append(now)
        self.tokens -= 1
        return True


def call(window: Window, now: float, rate: Rate) -> bool:
    if window.wait(now, rate) > 0:
        return False
    window.count(now, rate)
    return True


def most_within(times: list[float], span: float) -> int:
    """The most of these times that lie in any half-open interval of that length."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] + span <= time:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(steps=STEPS, limit=st.integers(1, 12), period=PERIODS, burst=st.integers(0, 12))
def test_a_small_window_is_exact(steps: list[float], limit: int, period: float, burst: int) -> None:
    """Up to SLOTS calls it lets pass just what remembering every call would: no more, and no less."""
    rate = Rate(limit, period, burst)
    window, naive = Window(), Naive(rate)
    now = 0.0
    for step in steps:
        now += step
        assert call(window, now, rate) == naive.call(now)


@given(
    steps=st.lists(st.tuples(st.integers(0, 40).map(lambda ticks: ticks / 16), st.integers(1, 60)), max_size=60),
    limit=st.integers(1, 300),
    period=PERIODS,
)
def test_a_throttle_never_lets_more_than_its_limit_through(
    steps: list[tuple[float, int]], limit: int, period: float
) -> None:
    """In any time of one period, and whatever is refused came after `limit` calls within 1/64 more than a period."""
    rate = Rate(limit, period)
    window = Window()
    now = 0.0
    passed: list[float] = []
    for step, calls in steps:
        now += step
        for _ in range(calls):
            if call(window, now, rate):
                passed.append(now)
            else:
                reach = period * (1 + 1 / SLOTS)
                assert sum(time > now - reach for time in passed) >= limit
    assert most_within(passed, period) <= limit
    assert len(window._expiries) <= SLOTS + 1


@given(steps=STEPS, limit=st.integers(1, 100), period=PERIODS, burst=st.integers(1, 50), periods=st.integers(1, 5))
def test_a_burst_is_let_through_once(steps: list[float], limit: int, period: float, burst: int, periods: int) -> None:
    """At most `limit + burst` in one period, and `(n + 1) * limit + burst` in n: what is spent comes back slowly."""
    rate = Rate(limit, period, burst)
    window = Window()
    now = 0.0
    passed: list[float] = []
    for step in steps:
        now += step
        while call(window, now, rate):
            passed.append(now)
    assert most_within(passed, period) <= limit + burst
    assert most_within(passed, periods * period) <= (periods + 1) * limit + burst


@given(steps=STEPS, limit=st.integers(1, 300), period=PERIODS, burst=st.integers(0, 20))
def test_whoever_waits_as_told_passes(steps: list[float], limit: int, period: float, burst: int) -> None:
    """`wait` is how long it takes and not longer; `remaining` is how many calls then pass at once."""
    rate = Rate(limit, period, burst)
    window = Window()
    now = 0.0
    for step in steps:
        now += step
        left = window.remaining(now, rate)
        passed = 0
        while call(window, now, rate):
            passed += 1
        assert passed == left
        wait = window.wait(now, rate)
        assert 0 < wait <= period * (1 + 1 / SLOTS)
        assert window.wait(now + wait * 0.99, rate) > 0
        assert window.wait(now + wait + 1e-6, rate) == 0
    assert window.idle(now + (limit + burst) * period)


@given(
    steps=st.lists(st.tuples(st.integers(0, 8).map(lambda ticks: ticks / 16), st.integers(0, 12)), max_size=200),
    limit=st.integers(1, 3),
    most=st.integers(1, 6),
    burst=st.integers(0, 2),
)
def test_nobody_exhausted_is_forgotten_early(steps: list[tuple[float, int]], limit: int, most: int, burst: int) -> None:
    """However many callers push for few places, whoever had to wait passes no sooner; and places stay few."""
    rate = Rate(limit, 4.0, burst)
    windows = Windows(most)
    now = 0.0
    until: dict[int, float] = {}
    for step, key in steps:
        now += step
        wait = windows.wait(key, now, rate)
        if wait <= 0:
            assert now >= until.get(key, 0.0) - 1e-5
            windows.count(key, now, rate)
            if key in windows._exhausted:
                until[key] = now + windows.wait(key, now, rate)
        assert len(windows) <= most


@given(
    steps=st.lists(st.tuples(st.integers(0, 5000), st.booleans()), max_size=150),
    calls=st.integers(1, 10),
)
def test_a_quota_holds_over_restarts(steps: list[tuple[int, bool]], calls: int) -> None:
    """In each period exactly the calls of the quota pass, if so many come, whenever the daemon is restarted."""
    now = 1_000_000.0
    clock = lambda: now  # noqa: E731 - it reads what the loop sets
    quotas = Quotas(clock)
    quotas.put("a", Quota(calls=calls, period="1h"))
    asked: dict[int, int] = {}
    passed: dict[int, int] = {}
    for step, restart in steps:
        now += step
        if restart:
            uses = [use for use in quotas.take_changed().values() if use is not None]
            before, quotas = quotas, Quotas(clock)
            quotas.restore(uses or [use for use in [before._use("a")] if use is not None])
            quotas.put("a", Quota(calls=calls, period="1h"))
        period = math.floor(now / 3600)
        asked[period] = asked.get(period, 0) + 1
        with suppress(CallRefusedError):
            quotas.step(Call(Request("GET", "/"), caller=Caller("app", "a", "a")))
            passed[period] = passed.get(period, 0) + 1
    assert passed == {period: min(count, calls) for period, count in asked.items()}
