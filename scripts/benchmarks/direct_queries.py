"""A statement run by a connector alone, without HTTP and routes, over and over; prints how often a second.

On standard input it takes one JSON object: `connector` and its `settings`, `sql`, the name of its one `parameter`, and
`values` to take in turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio

from daemon.island import Island
from plugins.api import Connector, Host, ResultLimits
from plugins.loader import load_connectors

_WARM_UP_SECONDS = 0.3
_LIMITS = ResultLimits(10_000, 16 * 1024 * 1024)


async def queries_per_second(asked: Mapping[str, Any], callers: int, seconds: float) -> float:
    """So many callers, each of whom asks again once it has its answer."""
    kind = load_connectors().named(asked["connector"])
    settings = msgspec.convert(asked["settings"], kind.settings)
    parameters = itertools.cycle([{asked["parameter"]: value} for value in asked["values"]])
    async with Island() as island:
        connector = kind.build(settings, Host(Path.cwd(), island))
        try:
            # The connections are made before the clock runs, as the gateway's are after its first requests.
            await _drive(connector, asked["sql"], lambda: next(parameters), callers, _WARM_UP_SECONDS)
            return await _drive(connector, asked["sql"], lambda: next(parameters), callers, seconds)
        finally:
            await connector.close()


async def _drive(
    connector: Connector, sql: str, parameters: Callable[[], Mapping[str, Any]], callers: int, seconds: float
) -> float:
    done = 0
    began = time.perf_counter()
    until = began + seconds

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < until:
            result = await connector.query(sql, parameters(), _LIMITS)
            if len(result.rows) != 1:
                raise SystemExit(f"there were {len(result.rows)} rows instead of one")
            done += 1

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(ask)
    return done / (time.perf_counter() - began)


def main() -> None:
    """Run it, and print the rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(trio.run(queries_per_second, json.load(sys.stdin), options.callers, options.seconds))


if __name__ == "__main__":
    main()
