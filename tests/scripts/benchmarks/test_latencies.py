"""Schedules at a constant rate, and percentiles."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.latencies import Schedule, percentiles


def test_the_first_is_due_at_the_start() -> None:
    """Before the start nothing is due, at the start one is, and a period later the next."""
    schedule = Schedule(100.0, 4.0, 10)
    assert [schedule.due(now) for now in (99.9, 100.0, 100.2, 100.25, 101.0)] == [0, 1, 1, 2, 5]


def test_no_more_are_due_than_there_are() -> None:
    """However late it is."""
    assert Schedule(100.0, 4.0, 10).due(1e9) == 10


@given(st.floats(1, 1e5), st.integers(1, 10_000), st.data())
def test_what_is_due_was_due_before(rate: float, count: int, data: st.DataObject) -> None:
    """At the moment of a number, up to a rounding of the clock, that number and all before it are due."""
    schedule = Schedule(1000.0, rate, count)
    number = data.draw(st.integers(0, count - 1))
    assert schedule.due(schedule.at(number) + 1e-9) >= number
    assert schedule.due(schedule.at(number) + 1e-6) >= number + 1
    assert schedule.due(schedule.at(number) - 0.5 / rate) <= number


def test_the_time_due_does_not_wait_for_answers() -> None:
    """When a number is due follows from the start alone: no request is left out because another one was late."""
    schedule = Schedule(0.0, 1000.0, 5000)
    assert schedule.at(4999) == pytest.approx(4.999)


def test_percentiles_are_latencies_that_were_measured() -> None:
    """By nearest rank: of 1..1000 the p99 is 990, and the last is the longest."""
    found = percentiles(list(reversed(range(1, 1001))))
    assert found == (500, 900, 990, 999, 1000)


def test_few_latencies_show_their_worst() -> None:
    """Of fewer than a hundred the p99 is the longest: nothing is made up between two of them."""
    assert percentiles([1.0, 2.0, 50.0]).p99 == 50.0
    assert percentiles([7.0]) == (7.0, 7.0, 7.0, 7.0, 7.0)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_never_fall(latencies: list[float]) -> None:
    """Each is at least the one before, and the median is no further off than by a rank."""
    found = percentiles(latencies)
    assert list(found) == sorted(found)
    assert found.most == max(latencies)
    assert found.p50 == statistics.median_low(latencies)


def test_no_latencies_are_an_error() -> None:
    """Nothing was measured: that is no latency of 0."""
    with pytest.raises(ValueError, match="no latencies"):
        percentiles([])
