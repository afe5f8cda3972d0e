"""Log lines that a client can provoke: bounded per second, and what was left out is counted and said."""

from __future__ import annotations

from typing import Any

import structlog
import trio


class LogLimiter:
    """Lets at most `per_second` lines through in each second; times are trio's, so tests may run in virtual time.

    What was left out is counted, and the next line that gets through (or `flush`) carries the count as `left_out`.
    """

    def __init__(self, per_second: int = 10) -> None:
        self._log = structlog.get_logger()
        self._per_second = per_second
        self._second = 0
        self._written = 0
        self._left_out = 0

    def info(self, event: str, **facts: Any) -> None:
        """Something a client did, which the operator may want to know."""
        if self._admit():
            self._log.info(event, **self._tell(facts))

    def warning(self, event: str, **facts: Any) -> None:
        """Something a client did, which the operator should look at."""
        if self._admit():
            self._log.warning(event, **self._tell(facts))

    def exception(self, event: str, **facts: Any) -> None:
        """A mistake of this program that a client can provoke; to be called while its exception is handled."""
        if self._admit():
            self._log.exception(event, **self._tell(facts))

    def flush(self) -> None:
        """Say how many lines were left out, where no later line has said so; to be called now and then."""
        if self._left_out and self._has_room():
            self._log.info("Log lines left out", **self._tell({}))

    def _admit(self) -> bool:
        if self._has_room():
            return True
        self._left_out += 1
        return False

    def _has_room(self) -> bool:
        second = int(trio.current_time())
        if second != self._second:
            self._second = second
            self._written = 0
        if self._written >= self._per_second:
            return False
        self._written += 1
        return True

    def _tell(self, facts: dict[str, Any]) -> dict[str, Any]:
        if self._left_out:
            facts["left_out"] = self._left_out
            self._left_out = 0
        return facts
