"""Connections that this side has closed: they are read out for a moment, so that the last word arrives."""

from __future__ import annotations

import socket
from collections import deque
from typing import Final

import trio

# Past so many, connections are closed at once, and those of their clients that still send may miss the last word.
MOST: Final = 256
# A client that is silent for so long has nothing more to say; one that goes on may have to work through much before it
# comes to the last word, but not for ever.
SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
_READ_BYTES: Final = 64 * 1024


class Lingering:
    """Closes sockets as RFC 9112 9.6 has it: first this side's half, then the rest once the other side has closed too.

    A socket that is closed with something unread in it is reset, and a reset takes with it what was sent last: the
    packet that says why. `run` works until it is cancelled, and closes what is left then.
    """

    def __init__(self) -> None:
        # Each with its deadline, and with the one past which that is not moved.
        self._sockets: deque[tuple[socket.socket, float, float]] = deque()
        self._wake = trio.Event()
        # Nobody looks any more: a session that ends after this is closed at once.
        self._over = False

    def __len__(self) -> int:
        """How many are there."""
        return len(self._sockets)

    def close(self, connection: socket.socket) -> None:
        """Close a non-blocking socket that nobody uses any more; never waits. It has no descriptor afterwards."""
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            connection.close()
            return
        if self._over or _read_out(connection) is None or len(self._sockets) >= MOST:
            connection.close()
            return
        kind = connection.family, connection.type, connection.proto
        plain = socket.socket(*kind, fileno=connection.detach())
        plain.settimeout(0)
        now = trio.current_time()
        self._sockets.append((plain, now + SECONDS, now + LONGEST_SECONDS))
        self._wake.set()

    async def run(self) -> None:
        """Read them out, and close them."""
        try:
            while True:
                if not self._sockets:
                    self._wake = trio.Event()
                    await self._wake.wait()
                await trio.sleep(_LOOK_SECONDS)
                self._look(trio.current_time())
        finally:
            self._over = True
            for connection, _, _ in self._sockets:
                connection.close()
            self._sockets.clear()

    def _look(self, now: float) -> None:
        for _ in range(len(self._sockets)):
            connection, deadline, last = self._sockets.popleft()
            came = _read_out(connection)
            if came:
                deadline = min(now + SECONDS, last)
            if came is None or now >= deadline:
                connection.close()
            else:
                self._sockets.append((connection, deadline, last))


def _read_out(connection: socket.socket) -> bool | None:
    """Take out what has come; whether anything did, None at the end. A sender without end is left to its deadline."""
    try:
        return True if connection.recv(_READ_BYTES) else None
    except BlockingIOError:
        return False
    except OSError:
        return None
