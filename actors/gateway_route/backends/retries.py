"""Trying again, where that repeats nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from actors.errors import ConnectionBusyError, NothingDoneError
from config.resources import Route

T = TypeVar("T")

# RFC 9110 9.2.2.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Retries:
    """How often calls of a route are tried again; within its time-out, which is whose who calls this.

    Only after a fault that came before anything was done. A system that is busy is not made busier.
    """

    def __init__(self, route: Route) -> None:
        self._count = max(0, route.retries)
        self._any_method = route.retry_any_method

    async def run(self, method: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The outcome of `attempt`, or of another one; raises what the last one raised."""
        left = self._count if self._any_method or method in IDEMPOTENT else 0
        pause = _FIRST_PAUSE
        while left:
            try:
                return await attempt()
            except ConnectionBusyError:
                raise
            except NothingDoneError:
                left -= 1
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return await attempt()
