"""Connections as sessions read and write them: TCP, and TLS over it.

Both are leaner than trio's own streams, in memory and per call. One task may read and one may send.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final, Protocol

import trio

from daemon.listeners.client_names import names_in
from daemon.listeners.lingering import Lingering

_RECEIVE_BYTES: Final = 65_536
# OpenSSL reads for a writer, and writes for a reader, only while keys are changed: too rarely for a queue of waiters.
_CROSSED_SECONDS: Final = 0.01


class Counted(Protocol):
    """Wants to know when a connection has ended."""

    def left(self) -> None:
        """It has."""


class SocketBytes(trio.abc.Stream):
    """A TCP connection: a connected socket that does not block.

    It waits before it reads, as a client that was just answered has sent nothing yet, save for the first time: when
    many connect at once, what each has to say is there before its turn comes. It sends without waiting first, as there
    nearly always is room.
    """

    __slots__ = ("_lingering", "_socket", "_source", "_untried")

    def __init__(
        self, connection: socket.socket, source: Counted | None = None, lingering: Lingering | None = None
    ) -> None:
        self._socket = connection
        self._source = source
        self._lingering = lingering
        self._untried = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end of the stream."""
        while True:
            if self._untried:
                self._untried = False
            else:
                await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or _RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(error.strerror) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; not a checkpoint where the kernel takes it at once."""
        left = memoryview(data)
        while True:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise trio.BrokenResourceError(error.strerror) from error
            if not left:
                return
            await trio.lowlevel.wait_writable(self._socket)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes something again."""
        await trio.lowlevel.wait_writable(self._socket)

    async def aclose(self) -> None:
        """Close the connection; what was sent last still arrives."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._close()
            if self._source is not None:
                self._source.left()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._lingering is not None:
            self._lingering.close(self._socket)
        else:
            self._socket.close()

    async def over_tls(self, context: ssl.SSLContext) -> TlsBytes:
        """Agree with the client on keys, and go on under TLS: the connection is the new stream's from then on.

        Raises:
            BrokenResourceError: the client speaks no TLS, or none that is served here, or has gone.
        """
        try:
            secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            raise trio.BrokenResourceError(error.strerror) from error
        stream = TlsBytes(secured, self._source, self._lingering)
        try:
            await stream.shake_hands()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


class TlsBytes(SocketBytes):
    """A connection under TLS, by OpenSSL on the socket itself: no second buffer, no task of its own.

    `certificate_names` are the devices that a believed certificate of the client speaks for.
    """

    __slots__ = ("certificate_names",)

    _socket: ssl.SSLSocket

    def __init__(
        self, connection: ssl.SSLSocket, source: Counted | None = None, lingering: Lingering | None = None
    ) -> None:
        super().__init__(connection, source, lingering)
        self.certificate_names: tuple[str, ...] = ()

    async def shake_hands(self) -> None:
        """Agree on keys; BrokenResourceError where that fails."""
        while True:
            try:
                self._socket.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except (OSError, ValueError) as error:
                raise trio.BrokenResourceError(f"TLS handshake: {_reason(error)}") from error
            else:
                break
        self.certificate_names = names_in(self._socket.getpeercert())

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end of the stream."""
        most = max_bytes or _RECEIVE_BYTES
        while True:
            if self._socket.pending():
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._records(most)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLWantWriteError:
                await trio.sleep(_CROSSED_SECONDS)
            except OSError as error:
                raise trio.BrokenResourceError(_reason(error)) from error

    def _records(self, most: int) -> bytes:
        """What has come, though it be in many records: each packet may be one."""
        first = self._socket.recv(most)
        pieces, size = [first], len(first)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while first and size < most:
                piece = self._socket.recv(most - size)
                if not piece:
                    break
                pieces.append(piece)
                size += len(piece)
        return first if len(pieces) == 1 else b"".join(pieces)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; not a checkpoint where the kernel takes it at once."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except ssl.SSLWantReadError:
                await trio.sleep(_CROSSED_SECONDS)
            except OSError as error:
                raise trio.BrokenResourceError(_reason(error)) from error

    def _close(self) -> None:
        # The other side learns that nothing was cut off (RFC 8446 6.1); its own last word is not waited for.
        with contextlib.suppress(OSError, ValueError):
            self._socket.unwrap()
        super()._close()


def _reason(error: Exception) -> str:
    words = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(words).replace("_", " ").lower()
