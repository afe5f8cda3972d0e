"""How many calls there were of late: a sliding window that stays small however high its limit is."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

SLOTS = 64
"""Into how many slots a window is cut; a limit up to this is kept call by call."""


class Rate(NamedTuple):
    """`limit` calls in `period` seconds, and `burst` more at once where there were fewer before.

    In any time of one period at most `limit + burst` calls pass, in any time of n periods at most
    `(n + 1) * limit + burst`.
    """

    limit: int
    period: float
    burst: int = 0

    @property
    def capacity(self) -> int:
        """Calls that pass at once, and in any one period."""
        return self.limit + self.burst


class Window:
    """The calls of one caller that passed within the last period; times in seconds of a clock that never goes back.

    A call passes where fewer than `capacity` did within the last period, and, where there is a burst, where the bucket
    (capacity `limit + burst`, refilled by `limit` a period: the generic cell rate algorithm of ITU-T I.371) is not
    empty. A bucket alone would let twice its limit pass within a period, a window alone the burst in each.

    Up to SLOTS calls are remembered one by one, and it is exact. Of more, those of one 64th of a period leave together
    with their last: never too many pass, and a call may wait a 64th of the period longer than it need.
    """

    __slots__ = ("_counts", "_expiries", "_full_at", "_slot", "total")

    def __init__(self) -> None:
        self.total = 0
        self._expiries: list[float] = []
        self._counts: list[int] = []
        self._slot = 0.0
        self._full_at = 0.0

    def wait(self, now: float, rate: Rate) -> float:
        """Seconds until a call passes; 0.0 where one passes now."""
        expiries = self._expiries
        if expiries and expiries[0] <= now:
            self._expire(now)
        wait = 0.0
        if self.total >= rate.capacity:
            wait = self._until_below(rate.capacity) - now
        if rate.burst and self._full_at > now:
            wait = max(wait, self._bucket_wait(now, rate))
        return wait

    def count(self, now: float, rate: Rate) -> None:
        """Remember a call that passes now."""
        self.total += 1
        expiry = now + rate.period
        grain = rate.period / SLOTS if rate.capacity > SLOTS else 0.0
        if self._expiries and (now - self._slot < grain or self._expiries[-1] == expiry):
            self._expiries[-1] = expiry
            self._counts[-1] += 1
        else:
            self._slot = now
            self._expiries.append(expiry)
            self._counts.append(1)
        if rate.burst:
            self._full_at = max(self._full_at, now) + rate.period / rate.limit

    def remaining(self, now: float, rate: Rate) -> int:
        """How many calls would pass now."""
        if self.wait(now, rate) > 0:
            return 0
        left = rate.capacity - self.total
        if rate.burst and self._full_at > now:
            spent = (self._full_at - now) * rate.limit / rate.period
            left = min(left, int(rate.capacity - spent + _ROUNDING))
        return max(left, 0)

    def idle(self, now: float) -> bool:
        """Whether it remembers nothing that matters any more."""
        return (not self._expiries or self._expiries[-1] <= now) and self._full_at <= now

    def _expire(self, now: float) -> None:
        gone = bisect_right(self._expiries, now)
        self.total -= sum(self._counts[:gone])
        del self._expiries[:gone]
        del self._counts[:gone]

    def _until_below(self, capacity: int) -> float:
        left = self.total
        for expiry, count in zip(self._expiries, self._counts, strict=True):
            left -= count
            if left < capacity:
                return expiry
        return self._expiries[-1]

    def _bucket_wait(self, now: float, rate: Rate) -> float:
        """The bucket is full again at `_full_at`, and a call takes a limit-th of a period."""
        token = rate.period / rate.limit
        wait = self._full_at - now - (rate.capacity - 1) * token
        return wait if wait > token * _ROUNDING else 0.0


# Sums of floating-point numbers may be off by so much of a token.
_ROUNDING = 1e-6
