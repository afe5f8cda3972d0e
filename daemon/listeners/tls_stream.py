"""TLS in front of an HTTP connection: OpenSSL between two buffers in memory, and the socket on their other side."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Final

import trio
from cryptography import x509

from actors.wire.client_hello import NotTlsError, server_name
from actors.wire.http.tls import TlsSession, TlsTerms
from daemon.listeners.http_stream import SocketStream

Chosen = tuple[ssl.SSLContext, TlsTerms | None]
Choose = Callable[[str], Chosen]
"""What is served to a client that asks for this name (lower case, empty for none), and on which terms."""

_RECEIVE_BYTES: Final = 64 * 1024
# RFC 8446 5.1: what one record holds at most.
_RECORD_BYTES: Final = 16 * 1024
# For so long what still comes is read and dropped: closing with bytes unread would destroy the alert on its way.
_LINGER_SECONDS: Final = 1.0


class TlsStream:
    """A TCP connection under TLS, with the methods that an HTTP connection asks for; one task uses it at a time.

    HTTP says itself where a message ends, so nobody waits for the other side's last word (RFC 9112 9.8).
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "_transport")

    def __init__(self, transport: SocketStream, context: ssl.SSLContext, received: bytes = b"") -> None:
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake_hands(self) -> None:
        """Agree with the client on keys.

        Raises:
            BrokenResourceError: the client does not, or not on what is asked of it; says why.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._receive():
                    raise trio.BrokenResourceError("the client left") from None
            except (ssl.SSLError, ValueError) as error:
                with contextlib.suppress(OSError, trio.BrokenResourceError):
                    await self._say_why()
                raise trio.BrokenResourceError(reason_of(error)) from error
            else:
                await self._flush()
                return

    def session(self, terms: TlsTerms | None) -> TlsSession:
        """What requests are told of it, once hands are shaken.

        Raises:
            BrokenResourceError: the client's certificate names nobody that could be told.
        """
        shown = self._tls.getpeercert(binary_form=True)
        try:
            subject = x509.load_der_x509_certificate(shown).subject.rfc4514_string() if shown else ""
        except ValueError as error:
            # OpenSSL verifies names that it does not read.
            raise trio.BrokenResourceError(f"the subject of the client's certificate is malformed: {error}") from error
        return TlsSession(self._tls.version() or "", terms, subject)

    async def receive_some(self, max_bytes: int) -> bytes:
        """At most that many bytes; none at the end of the stream."""
        while True:
            try:
                return self._tls.read(min(max_bytes, _RECORD_BYTES))
            except ssl.SSLWantReadError:
                # New keys are agreed upon in passing.
                await self._flush()
                if not await self._receive():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""
            except (ssl.SSLError, ValueError) as error:
                raise trio.BrokenResourceError(reason_of(error)) from error

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send everything."""
        try:
            with memoryview(data) as left:
                sent = 0
                while sent < len(left):
                    sent += self._tls.write(left[sent:])
        except (ssl.SSLError, ValueError) as error:
            raise trio.BrokenResourceError(reason_of(error)) from error
        await self._flush()

    async def send_eof(self) -> None:
        """TLS cannot be closed in one direction: the answer's own length says that nothing more comes."""

    async def aclose(self) -> None:
        """Close it now; the client is told that nothing was cut off (RFC 8446 6.1), if there is room to."""
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._transport.send_now(self._outgoing.read())
        await self._transport.aclose()

    async def _receive(self) -> bool:
        data = await self._transport.receive_some(_RECEIVE_BYTES)
        self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._transport.send_all(self._outgoing.read())

    async def _say_why(self) -> None:
        await self._flush()
        with trio.move_on_after(_LINGER_SECONDS):
            await self._transport.send_eof()
            while await self._transport.receive_some(_RECEIVE_BYTES):
                pass


async def accept_tls(transport: SocketStream, choose: Choose) -> tuple[TlsStream, TlsSession]:
    """Take a connection through its handshake, with whatever the name that the client asks for stands for.

    The name is read before OpenSSL comes in, since to switch its context later changes the certificate alone: neither
    the versions that it takes nor whom it asks for certificates.

    Raises:
        BrokenResourceError: no handshake came about; says why.
    """
    received = b""
    try:
        while (name := server_name(received)) is None:
            data = await transport.receive_some(_RECEIVE_BYTES)
            if not data:
                raise trio.BrokenResourceError("the client left")
            received += data
    except NotTlsError as error:
        raise trio.BrokenResourceError(str(error)) from error
    context, terms = choose(name)
    stream = TlsStream(transport, context, received)
    await stream.shake_hands()
    return stream, stream.session(terms)


def reason_of(error: Exception) -> str:
    """What OpenSSL says, in words."""
    words = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(words).replace("_", " ").lower()
