"""A connected TCP socket, as the HTTP connection wants it: no more system calls and task switches than it takes."""

from __future__ import annotations

import socket
from contextlib import suppress

import trio


class SocketStream:
    """A stream over a non-blocking socket, with the methods of a trio stream (`trio.abc.HalfCloseableStream`).

    A receive first lets the other tasks run, and then mostly finds the next request already there: under load that
    saves asking the kernel to wake us. A send yields only where the socket does not take everything at once, since one
    task switch a request is enough.
    """

    __slots__ = ("_socket",)

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)  # noqa: FBT003 - the standard library's signature
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected

    async def receive_some(self, max_bytes: int) -> bytes:
        """At most that many bytes; none at the end of the stream."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._socket.recv(max_bytes)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send everything."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        with memoryview(data) as view:
            while sent < len(view):
                await trio.lowlevel.wait_writable(self._socket)
                try:
                    sent += self._socket.send(view[sent:])
                except BlockingIOError:
                    continue

    def send_now(self, data: bytes) -> None:
        """Send what the kernel takes at once, and drop the rest."""
        with suppress(BlockingIOError):
            self._socket.send(data)

    async def send_eof(self) -> None:
        """Nothing more is sent; receiving goes on."""
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close the socket now."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
