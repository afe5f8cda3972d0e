"""gateway: what calls of routes cost, driven by wrk over 32 and 256 connections and by a client at a constant rate."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.benchmarks import gateway_callers, gateway_data, gateway_pace, gateway_routes
from scripts.benchmarks.figures import Part, run
from scripts.benchmarks.report import show

PARTS = {
    "peers": Part(gateway_callers.measure_peers, gateway_callers.peer_lines),
    "callers": Part(gateway_callers.measure_callers, gateway_callers.caller_lines),
    "data": Part(gateway_data.measure, gateway_data.lines),
    "routes": Part(gateway_routes.measure, gateway_routes.lines),
    "log": Part(gateway_callers.measure_log, gateway_callers.log_lines),
    "pace": Part(gateway_pace.measure, gateway_pace.lines),
}


def gateway(*, seconds: float, runs: int, as_json: bool, only: Sequence[str] = ()) -> int:
    """Measure all parts, or `only` some of them; exit code 1 where a floor is not reached or a ceiling passed."""
    chosen = [PARTS[name] for name in only or PARTS]
    lines = run(chosen, seconds, runs)
    facts: dict[str, object] = {
        "load": f"{seconds:g} s each, on the same machine; what is compared is measured one after the other",
        "p99": "from when a request was due, whether it could be sent then or not",
        "runs": runs,
    }
    return show("gateway", facts, lines, as_json=as_json)
