"""Moving averages of counts, in numbers alone."""

import math

import pytest

from actors.runtime.rates import LONG_SECONDS, SHORT_SECONDS, RateMeter


@pytest.mark.parametrize("interval", [0.01, 0.3, 1.0, 7.0, 40.0])
def test_a_steady_flow_has_its_rate_however_it_is_batched(interval: float) -> None:
    """50 a second is 50 a second, at each moment between two batches, once two of them have come."""
    meter = RateMeter(0.0)
    for number in range(1, max(3, int(5 / interval))):
        meter.count(round(50 * interval * 100), number * interval)
    last = (max(3, int(5 / interval)) - 1) * interval
    for moment in (last, last + min(interval, SHORT_SECONDS) * 0.99):
        assert meter.at(moment).short == pytest.approx(5000, rel=0.02)
        assert meter.at(moment).long == pytest.approx(5000, rel=0.02)


def test_a_flow_that_stops_fades() -> None:
    """After one length of silence beyond the next batch's time, a third is left; long after, nothing."""
    meter = RateMeter(0.0)
    for second in range(1, 301):
        meter.count(100, float(second))
    assert meter.at(301.0 + SHORT_SECONDS).short == pytest.approx(100 / math.e, rel=0.01)
    assert meter.at(301.0 + LONG_SECONDS).long == pytest.approx(100 / math.e, rel=0.01)
    assert meter.at(301.0 + 10 * LONG_SECONDS).long < 0.01


def test_the_short_average_follows_sooner() -> None:
    """Ten seconds after a change the short average has gone two thirds of the way, the long one a sixth."""
    meter = RateMeter(0.0)
    for second in range(1, 301):
        meter.count(100, float(second))
    for second in range(301, 311):
        meter.count(200, float(second))
    rate = meter.at(310.0)
    assert rate.short == pytest.approx(200 - 100 / math.e, rel=0.01)
    assert rate.long == pytest.approx(200 - 100 * math.exp(-1 / 6), rel=0.01)


def test_a_short_life_is_not_held_against_it() -> None:
    """Two seconds after the beginning the averages already tell the rate, not a part of it."""
    meter = RateMeter(1000.0)
    for step in range(1, 21):
        meter.count(10, 1000.0 + step / 10)
    assert meter.at(1002.0).short == pytest.approx(100, rel=0.01)
    assert meter.at(1002.0).long == pytest.approx(100, rel=0.01)


def test_a_burst_after_a_silence_is_no_lasting_rate() -> None:
    """A thousand records after an hour of nothing are spread over that hour, and fade like all else."""
    meter = RateMeter(0.0)
    meter.count(1000, 3600.0)
    assert meter.at(3600.0).short == pytest.approx(1000 / 3600, rel=0.01)
    assert meter.at(3700.0).short < 0.001


def test_nothing_counted_is_no_rate() -> None:
    """A meter that has counted nothing, or all of it just now, divides by no zero."""
    meter = RateMeter(5.0)
    assert meter.at(5.0) == (0.0, 0.0)
    meter.count(7, 5.0)
    assert meter.at(5.0) == (0.0, 0.0)
    assert meter.at(100.0) == (0.0, 0.0)
