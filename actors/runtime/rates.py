"""Rates of things that are counted in batches: moving averages that know when a flow begins and ends. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

SHORT_SECONDS = 10.0
LONG_SECONDS = 60.0
# What is counted within so short a time is counted as one.
_GATHER_SECONDS = 0.1
# A flow is standing still when nothing came for so many of its usual intervals, and for so long at least.
_PATIENCE_INTERVALS = 3
_LEAST_PATIENCE_SECONDS = 3.0
_LEAST_FADE_SECONDS = 1.0
# What was before a standstill weighs as much as so many seconds of what comes after it.
_PRIOR_SECONDS = 0.5
# The usual interval follows longer ones sooner than shorter ones: patience is learnt faster than it is lost.
_LONGER, _SHORTER = 0.5, 0.2


class Rate(NamedTuple):
    """Things per second: what flows at present, averaged over 10 seconds, and the trend, averaged over a minute."""

    short: float = 0.0
    long: float = 0.0


class RateMeter:
    """Turns counts into a `Rate`; times are in seconds of any clock that never goes back.

    Both are exponentially weighted averages. Each count is taken as spread evenly over the time since the one before,
    so that a steady flow that comes in large batches has the rate it has, and not the one that this very moment
    suggests. The short average ends soon after the flow does, and begins anew with it: a backlog whose producers have
    stopped shrinks at the pace of its consumers, and not at what is left of an average. The long one does not forget.
    """

    __slots__ = ("_counted", "_interval", "_last", "_long", "_pending", "_short")

    def __init__(self, now: float) -> None:
        self._last = now
        self._counted = now
        self._interval = 0.0
        self._pending = 0
        self._short = _Average(SHORT_SECONDS)
        self._long = _Average(LONG_SECONDS)

    def count(self, things: int, now: float) -> None:
        """So many more."""
        self._pending += things
        self._counted = now
        if now - self._last >= _GATHER_SECONDS:
            self._take_in(now)

    def at(self, now: float) -> Rate:
        """The rate as of now."""
        if self._pending and now - self._last >= _GATHER_SECONDS:
            # The last of a flow, which nothing came after that would have taken it in.
            self._take_in(max(self._counted, self._last + _GATHER_SECONDS))
        return self._at(now)

    def _take_in(self, now: float) -> None:
        elapsed = now - self._last
        pace = self._pending / elapsed
        if elapsed > self._patience:
            # Nobody knows when what ends a standstill began to come: it tells no pace.
            self._short.begin(self._at(now).short)
        else:
            self._short.add(pace, elapsed)
        self._long.add(pace, elapsed)
        self._interval += (elapsed - self._interval) * (_LONGER if elapsed > self._interval else _SHORTER)
        self._last, self._pending = now, 0

    def _at(self, now: float) -> Rate:
        elapsed = now - self._last
        short = _faded(self._short.value, elapsed - self._patience, max(_LEAST_FADE_SECONDS, self._interval))
        long = _faded(self._long.value, elapsed - min(self._interval, LONG_SECONDS), LONG_SECONDS)
        return Rate(short, long)

    @property
    def _patience(self) -> float:
        return max(_LEAST_PATIENCE_SECONDS, _PATIENCE_INTERVALS * self._interval)


class _Average:
    """An exponentially weighted average over the time that it has seen, however short that is."""

    __slots__ = ("_length", "_sum", "_weight")

    def __init__(self, length: float) -> None:
        self._length = length
        self._sum = 0.0
        self._weight = 0.0

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else 0.0

    def add(self, pace: float, seconds: float) -> None:
        kept = math.exp(-seconds / self._length)
        self._sum = self._sum * kept + pace * (1.0 - kept)
        self._weight = self._weight * kept + 1.0 - kept

    def begin(self, prior: float) -> None:
        self._weight = -math.expm1(-_PRIOR_SECONDS / self._length)
        self._sum = prior * self._weight


def _faded(rate: float, late: float, length: float) -> float:
    return rate if late <= 0.0 else rate * math.exp(-late / length)
