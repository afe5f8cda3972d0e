"""The numbers of functions on the metrics page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.functions.javascript.messages import RuntimeStatistics
from actors.functions.javascript_program import JavaScript
from actors.functions.library import Functions
from actors.functions.runs import FunctionStatistics
from daemon.metrics import Metric, MetricType, Sample
from daemon.route_measures import OTHERS

_FAMILIES: tuple[tuple[str, MetricType, str, Callable[[FunctionStatistics], float]], ...] = (
    ("items_total", "counter", "Values that functions were called with; a batch has several.", lambda one: one.items),
    ("seconds_total", "counter", "Seconds that calls took.", lambda one: one.seconds),
    (
        "waited_seconds_total",
        "counter",
        "Seconds that calls of a version waited for their turn.",
        lambda one: one.waited,
    ),
    (
        "runs_unstored_total",
        "counter",
        "Runs that others took the place of before they were stored.",
        lambda one: one.unstored,
    ),
    ("running", "gauge", "Calls that run.", lambda one: one.running),
    ("waiting", "gauge", "Calls that wait for their turn.", lambda one: one.waiting),
)

_Named = list[tuple[str, list[FunctionStatistics]]]


class FunctionMeasures:
    """Reads what functions have counted; at most `most` have series of their own, those applied first."""

    def __init__(self, functions: Functions, javascript: JavaScript, most: int) -> None:
        self._functions = functions
        self._javascript = javascript
        self._most = most

    def metrics(self) -> Iterator[Metric]:
        """All families about functions."""
        named = self._named()
        yield Metric("penstock_function_calls_total", "counter", "Calls by what became of them.", tuple(_calls(named)))
        for what, kind, text, read in _FAMILIES:
            samples = tuple(Sample(sum(map(read, each)), {"function": name}) for name, each in named)
            yield Metric(f"penstock_function_{what}", kind, text, samples)
        runtime = self._javascript.now
        if runtime is not None:
            yield from _processes(runtime.statistics())

    def _named(self) -> _Named:
        found = [(name, one) for name in self._functions.names() if (one := self._functions.statistics(name))]
        named: _Named = [(name, [one]) for name, one in found[: self._most]]
        if len(found) > self._most:
            named.append((OTHERS, [one for _, one in found[self._most :]]))
        return named


def _processes(seen: RuntimeStatistics) -> Iterator[Metric]:
    """What became of the processes of scripts, since the last start of their runtime."""
    families: tuple[tuple[str, MetricType, str, float], ...] = (
        ("processes", "gauge", "Processes in which scripts run.", seen.children),
        ("waiting", "gauge", "Calls that wait for a process.", seen.waiting),
        ("starts_total", "counter", "Processes that were started.", seen.starts),
        ("cold_starts_total", "counter", "Calls that found no free process of their app.", seen.cold_starts),
    )
    for what, kind, text, value in families:
        yield Metric(f"penstock_javascript_{what}", kind, text, (Sample(value),))
    kills = tuple(Sample(count, {"reason": reason}) for reason, count in sorted(seen.kills.items()))
    yield Metric("penstock_javascript_kills_total", "counter", "Processes that were ended, by reason.", kills)


def _calls(named: _Named) -> Iterator[Sample]:
    for name, each in named:
        counts: dict[str, int] = {}
        for one in each:
            for outcome, count in one.outcomes.items():
                counts[outcome] = counts.get(outcome, 0) + count
        for outcome, count in sorted(counts.items()):
            yield Sample(count, {"function": name, "outcome": outcome})
