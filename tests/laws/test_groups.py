"""Laws of rates and predictions of consumer groups, at any constant rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.consumer_group.messages import PartitionProgress, Watermarks
from actors.consumer_group.positions import Positions
from actors.consumer_group.prediction import drain_seconds
from actors.records import Confirmed
from actors.runtime.rates import Rate, RateMeter

RATES = st.integers(100, 100_000)


def step(positions: Positions, meter: RateMeter, done: int, high: int, now: float) -> PartitionProgress:
    positions.advance(0, Confirmed(done), now)
    marks = [Watermarks(0, high, meter.at(now))]
    (progress,) = positions.progress(marks, {0: "a"}, now, now * 1000)
    return progress


@given(RATES, st.floats(0.0, 0.8), st.sampled_from([0.2, 0.5, 1.0, 2.5]), st.integers(60, 300))
def test_the_end_is_predicted_within_a_fifth(consumed: int, share: float, batch_seconds: float, seconds: int) -> None:
    """Constant rates, batches of any size: a quarter, half and three quarters of the way the prediction holds."""
    produced = int(consumed * share)
    total = (consumed - produced) * seconds
    positions, meter = Positions({0: Confirmed(0)}, 0.0), RateMeter(0.0)
    steps = int(seconds / batch_seconds)
    for number in range(1, steps):
        now = number * batch_seconds
        meter.count(int(produced * batch_seconds), now)
        progress = step(positions, meter, int(consumed * now), total + int(produced * now), now)
        if number in {steps // 4, steps // 2, steps * 3 // 4}:
            assert drain_seconds([progress]) == pytest.approx(seconds - now, rel=0.2)


@given(RATES, st.floats(1.0, 5.0), st.sampled_from([0.2, 1.0]))
def test_what_grows_has_no_end(consumed: int, share: float, batch_seconds: float) -> None:
    """At least as much produced as consumed: no end is predicted, ten seconds on and later."""
    produced = int(consumed * share) + 1
    positions, meter = Positions({0: Confirmed(0)}, 0.0), RateMeter(0.0)
    for number in range(1, int(40 / batch_seconds)):
        now = number * batch_seconds
        meter.count(int(produced * now) - int(produced * (now - batch_seconds)), now)
        done = int(consumed * 0.97 * now)
        progress = step(positions, meter, done, 1000 + int(produced * now), now)
        if now > 10:
            assert drain_seconds([progress]) is None


@given(st.lists(st.tuples(st.floats(0.0, 200.0), st.integers(0, 10**9)), max_size=50), st.floats(0.0, 1000.0))
def test_a_rate_is_a_number_whatever_is_counted(counts: list[tuple[float, int]], later: float) -> None:
    """Never below nothing, never above the quickest pace, never not a number."""
    meter, now, quickest = RateMeter(0.0), 0.0, 0.0
    for elapsed, things in counts:
        now += elapsed
        meter.count(things, now)
        quickest += things / 0.1
    rate = meter.at(now + later)
    assert isinstance(rate, Rate)
    assert 0.0 <= rate.short <= quickest * 1.0001
    assert 0.0 <= rate.long <= quickest * 1.0001


RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=6)


@given(st.integers(0, 50), RANGES, st.integers(0, 40), st.integers(0, 100))
def test_lag_counts_each_waiting_record_once(position: int, gaps: list[tuple[int, int]], start: int, more: int) -> None:
    """Lag is the number of offsets that are kept, not below the position, and in none of the ranges above it."""
    ranges, at = [], position
    for gap, length in gaps:
        ranges.append((at + gap + 1, at + gap + 1 + length))
        at += gap + 1 + length
    high = start + more
    positions = Positions({0: Confirmed(position, tuple(ranges))}, 0.0)
    (progress,) = positions.progress([Watermarks(start, high)], {}, 0.0, 0.0)
    waiting = [
        offset
        for offset in range(start, high)
        if offset >= position and not any(low <= offset < end for low, end in ranges)
    ]
    assert progress.lag == len(waiting)
