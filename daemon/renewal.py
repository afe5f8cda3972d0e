"""Certificates are read anew every hour: those that the daemon makes itself, and those that others put in place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

_SECONDS: Final = 3600.0


class CertificateRenewal:
    """Calls `renew` every hour until it is stopped; implements `actors.runtime.actor.Child`."""

    def __init__(self, renew: Callable[[], Awaitable[None]]) -> None:
        self._renew = renew
        self._stopping = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Renew what it is time for, again and again."""
        started()
        while not self._stopping.is_set():
            with trio.move_on_after(_SECONDS):
                await self._stopping.wait()
                return
            await self._renew()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
