"""Functions whose processes must be ended by force again and again are refused for a while. Pure.

A process costs a fifth of a second of a processor to start: whoever could make that happen at will would take the
machine from everyone else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_FREE = 3
_WINDOW = 60.0
_MOST_SECONDS = 30.0
_MOST_KILLS = 16
_MOST_FUNCTIONS = 10_000


@dataclass(slots=True)
class _Record:
    kills: deque[float]


class Penalties:
    """Counts kills by function: up to three a minute are free, then each doubles the time of the refusal, from 1 s."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str, int], _Record] = {}

    def killed(self, app: str, name: str, version: int, now: float) -> None:
        """A process was ended because of this version of a function; a draft that is tested is no other's fault."""
        record = self._records.setdefault((app, name, version), _Record(deque(maxlen=_MOST_KILLS)))
        record.kills.append(now)
        if len(self._records) > _MOST_FUNCTIONS:
            self._records.pop(next(iter(self._records)))

    def refused(self, app: str, name: str, version: int, now: float) -> float:
        """For how many seconds it is still refused; 0 where it is not."""
        if not self._records:
            return 0.0
        record = self._records.get((app, name, version))
        if record is None:
            return 0.0
        kills = record.kills
        while kills and now - kills[0] > _WINDOW:
            kills.popleft()
        if not kills:
            del self._records[app, name, version]
            return 0.0
        if len(kills) <= _FREE:
            return 0.0
        pause = min(_MOST_SECONDS, 2.0 ** (len(kills) - _FREE - 1))
        return max(0.0, kills[-1] + pause - now)

    def forget(self, app: str, name: str) -> None:
        """A new version is not to blame for what the old one did."""
        for key in [key for key in self._records if key[:2] == (app, name)]:
            del self._records[key]
