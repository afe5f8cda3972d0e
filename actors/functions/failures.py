"""What is remembered of functions that failed where they are used: the last time, why, and how often. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

_LONGEST = 500


class LastFailure(NamedTuple):
    """The last time that a function brought no result, or one of no use, where it is called for something.

    `at` is in milliseconds since the epoch; `where` tells which of several uses it was, if there are several; `times`
    counts all of them since the start, this one among them.
    """

    at: int
    function: str
    reason: str
    times: int
    where: str = ""


class Failures:
    """Remembers the last failure of one place: a rule, a route, an authorizer. `clock` tells seconds of the epoch."""

    __slots__ = ("_clock", "last")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.last: LastFailure | None = None

    def add(self, function: str, reason: str, where: str = "") -> LastFailure:
        """A function failed, now."""
        times = 1 if self.last is None else self.last.times + 1
        self.last = LastFailure(int(1000 * self._clock()), function, reason[:_LONGEST], times, where)
        return self.last
