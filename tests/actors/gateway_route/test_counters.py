"""What routes count."""

from __future__ import annotations

import pytest

from actors.gateway_route.counters import LATENCY_BOUNDS, RouteCounters
from actors.runtime.admission import Admission


def counted(*answers: tuple[int, float]) -> RouteCounters:
    counters = RouteCounters()
    for status, seconds in answers:
        counters.answered(status, seconds)
    return counters


def test_answers_are_counted_by_status_and_class() -> None:
    """And their latencies by class, so that fast refusals do not hide slow answers."""
    seen = counted((200, 0.003), (200, 0.004), (404, 0.0001), (502, 70.0)).statistics(
        Admission(1).statistics(), published=True
    )
    assert (seen.requests, seen.answers) == (4, (2, 0, 1, 1))
    assert seen.statuses == {200: 2, 404: 1, 502: 1}
    assert [sum(buckets) for buckets in seen.class_buckets] == [2, 0, 1, 1]
    assert seen.class_buckets[0][LATENCY_BOUNDS.index(0.005)] == 2
    assert seen.class_buckets[3][-1] == 1
    assert seen.class_sums == pytest.approx((0.007, 0, 0.0001, 70.0))
    assert sum(seen.latency_buckets) == 4
    assert seen.latency_sum == pytest.approx(70.0071)


def test_quantiles_are_right_to_within_a_bucket() -> None:
    """As Prometheus computes them: interpolated within the bucket, and at most the last bound."""
    nothing = RouteCounters().statistics(Admission(1).statistics(), published=True)
    assert nothing.quantile(0.5) is None
    seen = counted(*[(200, 0.02)] * 90, *[(200, 0.2)] * 9, (200, 200.0)).statistics(
        Admission(1).statistics(), published=True
    )
    assert 0.01 < seen.quantile(0.5) <= 0.025
    assert 0.1 < seen.quantile(0.95) <= 0.25
    assert seen.quantile(1.0) == LATENCY_BOUNDS[-1]
