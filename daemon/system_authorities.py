"""Whom this machine trusts."""

from __future__ import annotations

import ssl

import trio


class SystemAuthorities:
    """The system's certificate authorities, for connections to others.

    They are a large file: read once, when they are first asked for, and in a thread.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._reading = trio.Lock()
        self._thread = trio.CapacityLimiter(1)

    async def context(self) -> ssl.SSLContext:
        """The TLS context of a client, which is the same for all."""
        async with self._reading:
            if self._context is None:
                self._context = await trio.to_thread.run_sync(ssl.create_default_context, limiter=self._thread)
            return self._context
