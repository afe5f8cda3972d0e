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
# One that rested longer than this is asked first whether it is alive, and gets so long to answer.
_TRUSTED_SECONDS = 1.0
_PING_SECONDS = 2.0
_RESTORE_SECONDS = 5.0


class PooledSession(Protocol):
    """A connection as the pool sees it."""

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and in no transaction."""

    async def ping(self) -> None:
        """Ask the server whether it is there; raises where it is not."""

    async def restore(self) -> None:
        """Undo what was left behind, so that whoever has it next finds it as new; raises where that cannot be."""

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
        session: S | None = None
        try:
            async with asyncio.timeout(self._timeout):
                session = await self._take() or await self._connect()
                try:
                    return await work(session)
                except asyncio.CancelledError:
                    await session.interrupt()
                    raise
        finally:
            # What was done is done: to tidy up after it must not end in a time-out of the work.
            if session is not None:
                await self._give_back(session)

    async def _take(self) -> S | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            session, used = self._idle.pop()
            rested = now - used
            if rested < _IDLE_SECONDS and session.is_clean:
                if rested < _TRUSTED_SECONDS or await _answers(session):
                    return session
                # Those below have rested even longer: whatever cut this one off has had them, too.
                self._terminate_idle()
            session.terminate()
        return None

    async def _give_back(self, session: S) -> None:
        if session.is_clean and not self._closed:
            await _restore(session)
        if session.is_clean and not self._closed:
            self._idle.append((session, asyncio.get_running_loop().time()))
        else:
            session.terminate()

    def _terminate_idle(self) -> None:
        while self._idle:
            session, _ = self._idle.pop()
            session.terminate()

    async def _close_idle(self) -> None:
        while self._idle:
            session, _ = self._idle.pop()
            await session.close()


async def _answers(session: PooledSession) -> bool:
    """Whether the server is still at the other end of a connection."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await session.ping()
    except asyncio.CancelledError:
        session.terminate()
        raise
    except Exception:  # noqa: BLE001 - each library has its own, and whatever it is, the connection is of no use
        return False
    return True


async def _restore(session: PooledSession) -> None:
    """Have a connection as new, or cut it."""
    try:
        async with asyncio.timeout(_RESTORE_SECONDS):
            await session.restore()
    except asyncio.CancelledError:
        session.terminate()
        raise
    except Exception:  # noqa: BLE001 - likewise; what the work has brought is not to be lost with it
        session.terminate()
