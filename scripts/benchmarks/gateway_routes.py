"""gateway: what 10,000 routes cost beside 10."""

from __future__ import annotations

from scripts.benchmarks import gateway_manifests
from scripts.benchmarks.figures import Figures, in_turn
from scripts.benchmarks.peers import penstock
from scripts.benchmarks.raw_requests import get
from scripts.benchmarks.report import Line
from scripts.benchmarks.wrk import CONNECTIONS, wrk

FEW, MANY = 10, 10_000
MOST_COST = 1.2


def measure(seconds: float, figures: Figures) -> None:
    """All routes called in turn: of a gateway with few, and of one with many, one after the other."""
    with penstock() as small, penstock() as large:
        daemons = {FEW: small, MANY: large}
        requests = {count: [get(path) for path in gateway_manifests.paths_of(count)] for count in daemons}
        for count, daemon in daemons.items():
            daemon.apply(gateway_manifests.many(count))
        for connections in CONNECTIONS:
            loads = {
                _name(count, connections): wrk(daemon.gateway, requests[count], connections)
                for count, daemon in daemons.items()
            }
            in_turn(loads, seconds, figures)


def lines(figures: Figures) -> list[Line]:
    """Many held to few: at the same work for each request, the rate tells the cost."""
    found = []
    for connections in CONNECTIONS:
        few = figures[_name(FEW, connections)]
        line = Line(_name(MANY, connections), "requests/s", figures[_name(MANY, connections)])
        line.floors = {_few(): 1 / MOST_COST}
        line.note = f"cost {Line('', '', few).median / line.median:.2f}x (at most {MOST_COST:g})"
        found.append(line.against({_few(): few}))
    return found


def _few() -> str:
    return f"{FEW} routes"


def _name(count: int, connections: int) -> str:
    return f"{count:,} routes, {connections} connections"
