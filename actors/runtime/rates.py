"""Rates of things that are counted in batches: moving averages that fade by themselves. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

SHORT_SECONDS = 10.0
LONG_SECONDS = 60.0
# What is counted within so short a time is counted as one.
_GATHER_SECONDS = 0.1


class Rate(NamedTuple):
    """Things per second: exponentially weighted over 10 seconds, and over a minute."""

    short: float = 0.0
    long: float = 0.0


class RateMeter:
    """Turns counts into a `Rate`; times are in seconds of any clock that never goes back.

    Each count is taken as spread evenly over the time since the one before, so that a steady flow that comes in large
    batches has the rate it has, and not the one that this very moment suggests. A flow that stops fades away from the
    moment on at which the next batch would have been due.
    """

    __slots__ = ("_interval", "_last", "_long", "_pending", "_short", "_start")

    def __init__(self, now: float) -> None:
        self._start = now
        self._last = now
        self._interval = 0.0
        self._pending = 0
        self._short = 0.0
        self._long = 0.0

    def count(self, things: int, now: float) -> None:
        """So many more."""
        self._pending += things
        elapsed = now - self._last
        if elapsed >= _GATHER_SECONDS:
            pace = self._pending / elapsed
            self._short = _towards(self._short, pace, elapsed / SHORT_SECONDS)
            self._long = _towards(self._long, pace, elapsed / LONG_SECONDS)
            self._last, self._interval, self._pending = now, elapsed, 0

    def at(self, now: float) -> Rate:
        """The rate as of now."""
        return Rate(self._present(self._short, SHORT_SECONDS, now), self._present(self._long, LONG_SECONDS, now))

    def _present(self, average: float, length: float, now: float) -> float:
        if not average:
            return 0.0
        # Over a life shorter than the average's length, only that life counts, and not the nothing before it.
        average /= -math.expm1((self._start - self._last) / length)
        # After a long silence the last interval says nothing of when the next batch is due.
        late = now - self._last - min(self._interval, length)
        return average if late <= 0.0 else average * math.exp(-late / length)


def _towards(average: float, pace: float, lengths: float) -> float:
    return pace + (average - pace) * math.exp(-lengths)
