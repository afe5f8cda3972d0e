"""A bounded pool of connections of an asyncio library; everything here but Pool's own methods runs on the island."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Generic, Protocol, TypeVar

from plugins.api import Bridge, ConnectorError
from plugins.sql.turns import SYSTEM, Turns

T = TypeVar("T")

# A connection that nobody used for so long may have been forgotten by a firewall on the way.
_IDLE_SECONDS = 300.0


class PooledSession(Protocol):
    """A connection as the pool sees it."""

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and in no transaction: whoever has it next finds it as new."""

    async def interrupt(self) -> None:
        """Whoever used it was cancelled: see to it that what the server still does for him ends."""

    async def close(self) -> None:
        """Part from the server in order; never raises."""

    def terminate(self) -> None:
        """Cut the connection."""


S = TypeVar("S", bound=PooledSession)


class Pool(Generic[S]):
    """At most `size` connections for one statement and one more for others, each opened when there is no idle one.

    Whoever finds all in use waits in trio, at most `line` of those who query (see `Turns`). Each piece of work gets
    `timeout` seconds. `connect` raises NothingDoneError where no connection can be had.
    """

    def __init__(
        self,
        bridge: Bridge,
        connect: Callable[[], Awaitable[S]],
        *,
        server: str,
        size: int,
        line: int,
        timeout: float,
    ) -> None:
        self._bridge = bridge
        self._connect = connect
        self._timeout = timeout
        self._turns = Turns(size + 1, line, server)
        self._idle: list[tuple[S, float]] = []
        self._closed = False

    async def run(self, work: Callable[[S], Awaitable[T]], who: str = SYSTEM) -> T:
        """Run `work` with a connection on the island, when it is the turn of `who`.

        Cancellation ends the command at the server.

        Raises:
            NothingDoneError: no connection could be had.
        """
        async with self._turns.turn(who):
            return await self._bridge.call(partial(self._use, work))

    async def close(self) -> None:
        """Close idle connections now, those in use once they come back."""
        self._closed = True
        with suppress(ConnectorError):  # the island has stopped, and its connections with it
            await self._bridge.call(self._close_idle)

    async def _use(self, work: Callable[[S], Awaitable[T]]) -> T:
        if self._closed:
            raise ConnectorError("the connection has been closed")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            session = self._take(loop.time()) or await self._connect()
            try:
                return await work(session)
            except asyncio.CancelledError:
                await session.interrupt()
                raise
            finally:
                self._give_back(session, loop.time())

    def _take(self, now: float) -> S | None:
        while self._idle:
            session, used = self._idle.pop()
            if session.is_clean and now - used < _IDLE_SECONDS:
                return session
            session.terminate()
        return None

    def _give_back(self, session: S, now: float) -> None:
        if self._closed or not session.is_clean:
            session.terminate()
        else:
            self._idle.append((session, now))

    async def _close_idle(self) -> None:
        while self._idle:
            session, _ = self._idle.pop()
            await session.close()
