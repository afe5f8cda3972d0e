"""How much may flow in a second, with room for bursts. Pure."""

from __future__ import annotations


class TokenBucket:
    """Tokens flow in at `rate` a second, up to `burst`; times are in seconds of any clock that never goes back.

    `take` lets the level fall below nothing: what has come already is counted, and `wait` says for how long its source
    is to be left alone until the level is back.
    """

    __slots__ = ("_burst", "_level", "_rate", "_since")

    def __init__(self, rate: float, now: float, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = rate if burst is None else burst
        self._level = self._burst
        self._since = now

    def take(self, tokens: float, now: float) -> float:
        """Take so many out; returns for how many seconds nothing more should come: 0 while there is enough."""
        self._fill(now)
        self._level -= tokens
        return -self._level / self._rate if self._level < 0 else 0.0

    def try_take(self, tokens: float, now: float) -> bool:
        """Take so many out if they are there."""
        self._fill(now)
        if self._level < tokens:
            return False
        self._level -= tokens
        return True

    def available(self, now: float) -> float:
        """How many are there; below 0 while more was taken out."""
        self._fill(now)
        return self._level

    def is_full(self, now: float) -> bool:
        """Whether it is as one that was just made."""
        self._fill(now)
        return self._level >= self._burst

    def _fill(self, now: float) -> None:
        if now > self._since:
            self._level = min(self._burst, self._level + (now - self._since) * self._rate)
            self._since = now
