"""Moving averages of counts, in numbers alone."""

import math
import random

import pytest

from actors.runtime.rates import LONG_SECONDS, RateMeter


def steady(meter: RateMeter, a_second: float, start: float, end: float, interval: float = 1.0) -> float:
    """Count at a constant rate; returns when the last batch came."""
    batches = round((end - start) / interval)
    for number in range(1, batches + 1):
        meter.count(round(a_second * interval), start + number * interval)
    return start + batches * interval


@pytest.mark.parametrize("interval", [0.01, 0.3, 1.0, 7.0, 40.0])
def test_a_steady_flow_has_its_rate_however_it_is_batched(interval: float) -> None:
    """5000 a second is 5000 a second, at each moment between two batches, once a few of them have come."""
    meter = RateMeter(0.0)
    last = steady(meter, 5000, 0.0, max(5.0, 6 * interval), interval)
    for moment in (last, last + interval * 0.99):
        assert meter.at(moment).short == pytest.approx(5000, rel=0.02)
        assert meter.at(moment).long == pytest.approx(5000, rel=0.3)


def test_the_end_of_a_flow_is_seen_soon() -> None:
    """A pause of three seconds is none; ten seconds after its last batch a quick flow is over, its trend is not."""
    meter = RateMeter(0.0)
    last = steady(meter, 100, 0.0, 300.0, 0.5)
    assert meter.at(last + 2.9).short == pytest.approx(100, rel=0.01)
    assert meter.at(last + 10).short < 1
    assert meter.at(last + 0.5 + LONG_SECONDS).long == pytest.approx(100 / math.e, rel=0.01)
    assert meter.at(last + 20 * LONG_SECONDS).long < 0.01


def test_a_slow_flow_is_waited_for() -> None:
    """A flow that comes every 20 seconds is not over because nothing came for half a minute."""
    meter = RateMeter(0.0)
    last = steady(meter, 50, 0.0, 400.0, 20.0)
    assert meter.at(last + 35).short == pytest.approx(50, rel=0.01)
    assert meter.at(last + 300).short < 0.1


def test_the_short_average_follows_sooner() -> None:
    """Ten seconds after a change the short average has gone two thirds of the way, the long one a sixth."""
    meter = RateMeter(0.0)
    steady(meter, 100, 0.0, 300.0)
    now = steady(meter, 200, 300.0, 310.0)
    assert meter.at(now).short == pytest.approx(200 - 100 / math.e, rel=0.01)
    assert meter.at(now).long == pytest.approx(200 - 100 * math.exp(-1 / 6), rel=0.01)


@pytest.mark.parametrize("idle", [0.0, 60.0, 3600.0])
def test_what_was_before_a_flow_is_not_held_against_it(idle: float) -> None:
    """Five seconds after it begins the short average tells a flow's rate, however long nothing came before."""
    meter = RateMeter(0.0)
    now = steady(meter, 1000, idle, idle + 5.0, 0.2)
    assert meter.at(now).short == pytest.approx(1000, rel=0.1)


def test_a_trickle_after_a_burst_is_a_trickle() -> None:
    """What is left of a burst's average does not come back with the next record."""
    meter = RateMeter(0.0)
    now = steady(meter, 300_000, 0.0, 30.0, 0.1)
    now = steady(meter, 1, now + 30.0, now + 60.0, 5.0)
    assert meter.at(now).short < 2


def test_a_batch_after_a_silence_is_no_lasting_rate() -> None:
    """A thousand records after an hour of nothing tell no pace; the trend spreads them over that hour."""
    meter = RateMeter(0.0)
    meter.count(1000, 3600.0)
    assert meter.at(3600.0).short == 0.0
    assert meter.at(3600.0).long == pytest.approx(1000 / 3600, rel=0.01)


def test_an_irregular_flow_has_its_mean() -> None:
    """Single records at random times, six a minute: over an hour the averages lie about that, seldom at nothing."""
    dice = random.Random(7)
    meter = RateMeter(0.0)
    now, shorts, longs = 0.0, [], []
    while now < 3600:
        now += dice.expovariate(0.1)
        meter.count(1, now)
        shorts.append(meter.at(now).short)
        longs.append(meter.at(now).long)
    assert sum(longs) / len(longs) == pytest.approx(0.1, rel=0.5)
    assert sum(one > 0.01 for one in shorts) > 0.9 * len(shorts)


def test_nothing_counted_is_no_rate() -> None:
    """A meter that has counted nothing, or all of it just now, divides by no zero."""
    meter = RateMeter(5.0)
    assert meter.at(5.0) == (0.0, 0.0)
    meter.count(7, 5.0)
    assert meter.at(5.0) == (0.0, 0.0)


def test_what_came_last_counts_although_nothing_followed() -> None:
    """A few records at once, and then nothing for ever: they are seen, and fade."""
    meter = RateMeter(5.0)
    meter.count(7, 5.01)
    assert meter.at(5.2).short == pytest.approx(70)
    assert 0 < meter.at(30.0).long < 70
    assert meter.at(30.0).short < 0.01
