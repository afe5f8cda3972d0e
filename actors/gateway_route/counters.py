"""What a route counts: answers by class of status, and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from actors.gateway_route.admission import AdmissionStatistics

# Upper bounds in seconds, with "more" after the last; the usual ladder of Prometheus' clients, from 1 ms on.
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CLASSES = 5


@dataclass(frozen=True, slots=True)
class RouteStatistics:
    """What a route has done so far.

    `answers` counts by class of status, `answers[0]` being 2xx and `answers[3]` 5xx; `abandoned` calls were cut off, by
    a client too slow or a daemon that ended. `latency_buckets` counts answers up to each of LATENCY_BOUNDS (not
    cumulative), and above; `latency_sum` is in seconds.
    """

    published: bool
    requests: int
    answers: tuple[int, ...]
    abandoned: int
    crashed: int
    in_flight: int
    latency_sum: float
    latency_buckets: tuple[int, ...]
    admission: AdmissionStatistics


class RouteCounters:
    """Counters of one route; they outlive its replacements."""

    __slots__ = ("abandoned", "crashed", "in_flight", "latency_buckets", "latency_sum", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * (_CLASSES + 1)
        self.abandoned = 0
        self.crashed = 0
        self.in_flight = 0
        self.latency_sum = 0.0
        self.latency_buckets = [0] * (len(LATENCY_BOUNDS) + 1)

    def answered(self, status: int, seconds: float) -> None:
        """One call has its answer."""
        self.statuses[status // 100] += 1
        self.latency_sum += seconds
        self.latency_buckets[bisect_left(LATENCY_BOUNDS, seconds)] += 1

    def statistics(self, admission: AdmissionStatistics, *, published: bool) -> RouteStatistics:
        """What has been counted so far."""
        return RouteStatistics(
            published=published,
            requests=sum(self.statuses) + self.abandoned + self.in_flight,
            answers=tuple(self.statuses[2:]),
            abandoned=self.abandoned,
            crashed=self.crashed,
            in_flight=self.in_flight,
            latency_sum=self.latency_sum,
            latency_buckets=tuple(self.latency_buckets),
            admission=admission,
        )
