"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys

from scripts.benchmarks.backlog import backlog
from scripts.benchmarks.connect import connect
from scripts.benchmarks.fanout import fanout
from scripts.benchmarks.functions import functions
from scripts.benchmarks.gateway import PARTS, gateway
from scripts.benchmarks.idle import idle
from scripts.benchmarks.ingest import ingest, pipeline, qos2
from scripts.benchmarks.kills import kills
from scripts.benchmarks.overload import overload
from scripts.benchmarks.topics import topics

BENCHMARKS = {
    "ingest": ingest,
    "qos2": qos2,
    "pipeline": pipeline,
    "gateway": gateway,
    "idle": idle,
    "connect": connect,
    "fanout": fanout,
    "topics": topics,
    "backlog": backlog,
    "overload": overload,
    "functions": functions,
    "kills": kills,
}
DEFAULT_SECONDS = 5.0
SECONDS = {"overload": 60.0}


def main() -> int:
    """Run one benchmark; exit code 1 when a floor is not reached."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--seconds", type=float, help="how long each load runs (5; overload: 60)")
    parser.add_argument("--runs", type=int, default=3, help="medians of so many runs")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of gateway: {', '.join(PARTS)}")
    options = parser.parse_args()
    if options.only and options.benchmark != "gateway":
        parser.error("--only chooses among the parts of gateway")
    only = {"only": options.only} if options.only else {}
    seconds = options.seconds or SECONDS.get(options.benchmark, DEFAULT_SECONDS)
    return BENCHMARKS[options.benchmark](seconds=seconds, runs=options.runs, as_json=options.json, **only)


if __name__ == "__main__":
    sys.exit(main())
