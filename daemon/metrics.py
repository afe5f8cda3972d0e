"""What the daemon measures, in Prometheus' terms: passive numbers, read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

MetricType = Literal["counter", "gauge", "histogram", "summary"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value; `suffix` is for the parts of a histogram (`_bucket`, `_sum`, `_count`)."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of samples, named `penstock_<what>_<unit>`; a counter's name ends in `_total`."""

    name: str
    type: MetricType
    help: str
    samples: tuple[Sample, ...]


class MetricsPage:
    """The metrics page: asks `snapshot` for the numbers of this moment, and adds those of the process itself."""

    def __init__(self, snapshot: Callable[[], Iterable[Metric]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Snapshot(snapshot))
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """The page in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class _Snapshot(Collector):
    def __init__(self, snapshot: Callable[[], Iterable[Metric]]) -> None:
        self._snapshot = snapshot

    def describe(self) -> list[Family]:
        """Names are known only when they are asked for."""
        return []

    def collect(self) -> Iterator[Family]:
        """One family for each metric of the snapshot."""
        for metric in self._snapshot():
            yield _family(metric)


def _family(metric: Metric) -> Family:
    counter = metric.type == "counter"
    family = Family(metric.name.removesuffix("_total") if counter else metric.name, metric.help, metric.type)
    total = "_total" if counter else ""
    for sample in metric.samples:
        family.add_sample(family.name + (sample.suffix or total), dict(sample.labels), sample.value)
    return family
