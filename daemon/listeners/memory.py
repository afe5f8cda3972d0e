"""Memory that a crowd of connections has left to the C library goes back to the operating system."""

from __future__ import annotations

import ctypes
from typing import Final

import trio

# So many connections are a crowd; what fewer leave behind is soon used again.
_CROWD: Final = 500
# How often it is looked for at most: while one crowd follows another, nothing is to be given back.
_SECONDS: Final = 10.0


class CrowdMemory:
    """Sees when a crowd has gone, and gives back what was its.

    glibc keeps freed memory for the next request of the process, however little of it is used again; other C libraries
    are left to themselves.
    """

    def __init__(self) -> None:
        self._accepted = 0
        self._not_before = 0.0
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    async def look(self, accepted: int, present: int, now: float) -> bool:
        """So many connections were accepted since the start, so many are there; returns whether it gave back."""
        come = accepted - self._accepted
        if self._trim is None or come < _CROWD or present > come // 4 or now < self._not_before:
            return False
        self._accepted, self._not_before = accepted, now + _SECONDS
        await trio.to_thread.run_sync(self._trim, 0)
        return True
