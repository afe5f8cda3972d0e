"""What a route counts: answers by class of status, and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.functions.failures import Failures, LastFailure
from actors.gateway_route.cache import CacheStatistics
from actors.runtime.admission import AdmissionStatistics

# Upper bounds in seconds, with "more" after the last: the usual ladder of Prometheus' clients, from 0.5 ms on, and up
# to a usual time-out.
LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BUCKETS = len(LATENCY_BOUNDS) + 1
_CLASSES = 5


@dataclass(frozen=True, slots=True)
class RouteStatistics:
    """What a route has done so far.

    `answers` counts by class of status, `answers[0]` being 2xx and `answers[3]` 5xx; `abandoned` calls were cut off, by
    a client too slow or a daemon that ended; `statuses` counts each by itself. `latency_buckets` counts answers up to
    each of LATENCY_BOUNDS (not cumulative), and above, `class_buckets` those of each class; `latency_sum` is in
    seconds, `class_sums` as well. `last_failure` is that of its functions.
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
    statuses: Mapping[int, int] = field(default_factory=dict)
    class_buckets: tuple[tuple[int, ...], ...] = ()
    class_sums: tuple[float, ...] = ()
    cache: CacheStatistics | None = None
    last_failure: LastFailure | None = None

    def quantile(self, share: float) -> float | None:
        """Seconds within which that share of all answers came, to within a bucket; None where there was none.

        Within a bucket it is interpolated, as Prometheus does; what took longer than the last bound counts as that.
        """
        rank, below = share * sum(self.latency_buckets), 0
        for number, here in enumerate(self.latency_buckets):
            if here and below + here >= rank:
                return _within(number, max(0.0, rank - below) / here)
            below += here
        return None


def _within(number: int, share: float) -> float:
    if number == len(LATENCY_BOUNDS):
        return LATENCY_BOUNDS[-1]
    lower = LATENCY_BOUNDS[number - 1] if number else 0.0
    return lower + (LATENCY_BOUNDS[number] - lower) * share


class RouteCounters:
    """Counters of one route; they outlive its replacements. `failures` are those of its functions."""

    __slots__ = ("_cells", "abandoned", "crashed", "failures", "in_flight")

    def __init__(self) -> None:
        self.abandoned = 0
        self.crashed = 0
        self.in_flight = 0
        self.failures = Failures()
        # By status: its buckets, and last the sum of seconds. One list, since every call comes by here.
        self._cells: dict[int, list[float]] = {}

    def answered(self, status: int, seconds: float) -> None:
        """One call has its answer."""
        cells = self._cells.get(status)
        if cells is None:
            cells = self._cells[status] = [0] * (_BUCKETS + 1)
        cells[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        cells[_BUCKETS] += seconds

    def statistics(
        self, admission: AdmissionStatistics, *, published: bool, cache: CacheStatistics | None = None
    ) -> RouteStatistics:
        """What has been counted so far."""
        classes = [self._class(number) for number in range(1, _CLASSES + 1)]
        buckets = [tuple(map(int, cells[:_BUCKETS])) for cells in classes]
        answers = [sum(of_class) for of_class in buckets]
        return RouteStatistics(
            published=published,
            requests=sum(answers) + self.abandoned + self.in_flight,
            answers=tuple(answers[1:]),
            abandoned=self.abandoned,
            crashed=self.crashed,
            in_flight=self.in_flight,
            latency_sum=sum(cells[_BUCKETS] for cells in classes),
            latency_buckets=tuple(map(sum, zip(*buckets, strict=True))),
            admission=admission,
            statuses={status: int(sum(cells[:_BUCKETS])) for status, cells in sorted(self._cells.items())},
            class_buckets=tuple(buckets[1:]),
            class_sums=tuple(cells[_BUCKETS] for cells in classes[1:]),
            cache=cache,
            last_failure=self.failures.last,
        )

    def _class(self, number: int) -> list[float]:
        """The cells of all statuses of a class, summed up."""
        each = [cells for status, cells in self._cells.items() if status // 100 == number]
        return [sum(column) for column in zip(*each, strict=True)] if each else [0] * (_BUCKETS + 1)
