"""Which clients have hung up, told as soon as they do."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import Generic, TypeVar

import trio

T = TypeVar("T")

# Linux tells that the other side sends no more, also where what it sent before is still unread. Elsewhere a client that
# leaves is noticed once the answer is written.
_SERVED = hasattr(select, "epoll")
# Once a connection, however long it then stays half closed.
_EVENTS = select.EPOLLRDHUP | select.EPOLLONESHOT if _SERVED else 0


class HangUps(Generic[T]):
    """Watches the sockets of connections: one system call for each of them, and none for a request.

    A client that ends only its own direction after a request, and would still read, looks the same as one that is gone
    and counts as that, as it does with most servers.
    """

    def __init__(self) -> None:
        self._watched: dict[int, T] = {}
        self._epoll = select.epoll() if _SERVED else None

    def watch(self, descriptor: int, connection: T) -> None:
        """Tell of this connection from now on; its socket, once closed, is watched no more."""
        if self._epoll is not None and descriptor >= 0:
            self._watched[descriptor] = connection
            # The system has no room for more, or the listener has been cut off: this one is noticed later.
            with suppress(OSError, ValueError):
                self._epoll.register(descriptor, _EVENTS)

    def forget(self, descriptor: int, connection: T) -> None:
        """To be called once its socket is closed: the descriptor may be that of another connection by then."""
        if self._watched.get(descriptor) is connection:
            del self._watched[descriptor]

    async def wait(self) -> list[T]:
        """Wait until somebody hangs up; each connection is told of once."""
        if self._epoll is None:
            await trio.sleep_forever()
            raise AssertionError("unreachable")
        await trio.lowlevel.wait_readable(self._epoll.fileno())
        found = (self._watched.get(descriptor) for descriptor, _ in self._epoll.poll(0))
        return [connection for connection in found if connection is not None]

    def close(self) -> None:
        """Watch nobody any more."""
        self._watched.clear()
        if self._epoll is not None:
            self._epoll.close()
