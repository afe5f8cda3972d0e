"""When requests are due at a constant rate, and what their latencies say. Pure.

A request's latency counts from when it was due, not from when it was sent: a server that stalls makes all requests late
that were due meanwhile, and a client that waited for it would leave them out (coordinated omission).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Schedule(NamedTuple):
    """`count` requests at `rate` a second, the first at `start`; times in seconds of one clock."""

    start: float
    rate: float
    count: int

    def at(self, number: int) -> float:
        """When the request of a number, counted from 0, is due."""
        return self.start + number / self.rate

    def due(self, now: float) -> int:
        """How many are due by now."""
        return max(0, min(self.count, math.floor((now - self.start) * self.rate) + 1))


class Percentiles(NamedTuple):
    """Of latencies, in the unit that they came in; each is one that was measured (nearest rank)."""

    p50: float
    p90: float
    p99: float
    p999: float
    most: float


def percentiles(latencies: Sequence[float]) -> Percentiles:
    """The percentiles of at least one latency, in any order.

    Raises:
        ValueError: there is none.
    """
    if not latencies:
        raise ValueError("there are no latencies")
    ordered = sorted(latencies)
    ranks = (math.ceil(len(ordered) * thousandths / 1000) for thousandths in (500, 900, 990, 999, 1000))
    return Percentiles(*(ordered[rank - 1] for rank in ranks))
