"""The numbers of routes, throttles and quotas on the metrics page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, islice

from actors.gateway_route.counters import LATENCY_BOUNDS, RouteStatistics
from actors.gateway_route.flow.throttles import ThrottleStatistics
from actors.gateway_route.gateway import Gateway
from daemon.metrics import Metric, MetricType, Sample

OTHERS = "(others)"
"""Under this name those routes are summed up that have no series of their own; no route can be called so."""

_CLASSES = ("2xx", "3xx", "4xx", "5xx")
_ROUTE: tuple[tuple[str, MetricType, str, Callable[[RouteStatistics], float]], ...] = (
    ("in_flight", "gauge", "Requests that are being answered.", lambda one: one.in_flight),
    ("abandoned_total", "counter", "Requests cut off before their answer.", lambda one: one.abandoned),
    ("waiting", "gauge", "Requests that wait for their turn.", lambda one: one.admission.waiting),
    ("busy_total", "counter", "Requests that could not even wait.", lambda one: one.admission.refused),
    ("waited_seconds_total", "counter", "Seconds that requests waited.", lambda one: one.admission.waited),
)
_THROTTLE: tuple[tuple[str, MetricType, str, Callable[[ThrottleStatistics], float]], ...] = (
    ("passed_total", "counter", "Calls that a throttle let pass.", lambda one: one.passed),
    ("refused_total", "counter", "Calls that a throttle refused.", lambda one: one.refused),
    ("keys", "gauge", "Callers that a throttle tells apart.", lambda one: one.keys),
    ("exhausted_keys", "gauge", "Callers that are at their limit.", lambda one: one.exhausted),
)

_Named = list[tuple[str, list[RouteStatistics]]]


def route_metrics(gateway: Gateway) -> Iterator[Metric]:
    """All families about routes.

    At most `measured_routes` have series of their own, those applied first, so that none comes and goes; there are as
    many series of one as classes of status that it has answered with, times the buckets.
    """
    routes = gateway.statistics().routes
    named: _Named = [(name, [one]) for name, one in islice(routes.items(), gateway.measured_routes)]
    if len(routes) > len(named):
        named.append((OTHERS, list(islice(routes.values(), len(named), None))))
    yield Metric("penstock_route_answers_total", "counter", "Answers by status.", tuple(_answers(named)))
    for what, kind, text, read in _ROUTE:
        samples = tuple(Sample(sum(map(read, each)), {"route": name}) for name, each in named)
        yield Metric(f"penstock_route_{what}", kind, text, samples)
    yield Metric("penstock_route_latency_seconds", "histogram", "Time to answer.", tuple(_latencies(named)))
    yield from _caches(named)
    yield from _throttles(gateway.flow.throttles.all_statistics())
    yield from _quotas(gateway)


def _answers(named: _Named) -> Iterator[Sample]:
    for name, each in named:
        counts: dict[int, int] = {}
        for one in each:
            for status, count in one.statuses.items():
                counts[status] = counts.get(status, 0) + count
        for status, count in sorted(counts.items()):
            yield Sample(count, {"route": name, "status": str(status)})


def _latencies(named: _Named) -> Iterator[Sample]:
    bounds = (*(str(bound) for bound in LATENCY_BOUNDS), "+Inf")
    for name, each in named:
        for number, label in enumerate(_CLASSES):
            buckets = [sum(column) for column in zip(*(one.class_buckets[number] for one in each), strict=True)]
            if not any(buckets):
                continue
            labels = {"route": name, "status": label}
            counts = list(accumulate(buckets))
            for bound, count in zip(bounds, counts, strict=True):
                yield Sample(count, {**labels, "le": bound}, "_bucket")
            yield Sample(counts[-1], labels, "_count")
            yield Sample(sum(one.class_sums[number] for one in each), labels, "_sum")


def _caches(named: _Named) -> Iterator[Metric]:
    found = [(name, [one.cache for one in each if one.cache is not None]) for name, each in named]
    cached = [(name, each) for name, each in found if each]
    asked = tuple(
        Sample(sum(getattr(one, field) for one in each), {"route": name, "result": result})
        for name, each in cached
        for result, field in (("hit", "hits"), ("stale", "stale_hits"), ("miss", "misses"))
    )
    yield Metric("penstock_route_cache_lookups_total", "counter", "Lookups in caches, by result.", asked)
    size = tuple(Sample(sum(one.bytes for one in each), {"route": name}) for name, each in cached)
    yield Metric("penstock_route_cache_bytes", "gauge", "Bytes of answers that are kept.", size)


def _throttles(found: Mapping[str, ThrottleStatistics]) -> Iterator[Metric]:
    for what, kind, text, read in _THROTTLE:
        samples = tuple(Sample(read(one), {"throttle": name}) for name, one in found.items())
        yield Metric(f"penstock_throttle_{what}", kind, text, samples)


def _quotas(gateway: Gateway) -> Iterator[Metric]:
    found = gateway.flow.quotas.all_statistics()
    used = tuple(Sample(one.used, {"app": app}) for app, one in found.items())
    yield Metric("penstock_quota_used_calls", "gauge", "Calls that an app has used of its period.", used)
    limits = tuple(Sample(one.calls, {"app": app}) for app, one in found.items())
    yield Metric("penstock_quota_limit_calls", "gauge", "Calls that an app has in a period.", limits)
