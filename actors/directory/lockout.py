"""Who has failed too often to be let try again for a while. Pure: time comes in."""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 5
LOCKED_SECONDS = 5 * 60


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0


class Lockout:
    """Five failures, each less than five minutes after the one before, lock a name for five minutes.

    A success forgets them. Only names that exist are to be counted: their number bounds what is kept here. What comes
    while a name is locked counts for nothing, so that nobody can keep it locked for ever by knocking.
    """

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: dict[str, _Failures] = {}

    def locked_for(self, name: str, now: float) -> float:
        """Seconds until it may be tried again; 0 where it may be now."""
        if not self._failures:
            return 0.0
        failures = self._failures.get(name)
        if failures is None or failures.count < FAILURES:
            return 0.0
        left = failures.last + LOCKED_SECONDS - now
        if left > 0:
            return left
        del self._failures[name]
        return 0.0

    def failed(self, name: str, now: float) -> None:
        """Somebody showed a wrong secret for this name, which was not locked."""
        failures = self._failures.setdefault(name, _Failures())
        if now - failures.last > LOCKED_SECONDS:
            failures.count = 0
        failures.count += 1
        failures.last = now

    def passed(self, name: str) -> None:
        """Somebody showed the right secret, or the name is there no more."""
        if self._failures:
            self._failures.pop(name, None)
