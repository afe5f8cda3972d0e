"""What listeners serve TLS with, and TLS in front of an HTTP connection."""

from __future__ import annotations

import socket
import ssl
from functools import partial
from pathlib import Path

import structlog
import trio

from actors.errors import ConfigurationError
from config.settings import TlsSettings

log = structlog.get_logger()


class ServerTls:
    """The TLS of one listener, made anew when its files change: connections that there are keep what they have.

    `section` names the settings in errors; paths that are not absolute are in the folder `data`.
    """

    def __init__(self, settings: TlsSettings, data: Path, section: str) -> None:
        self._make = partial(server_context, settings, data, section)
        self._section = section
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection; there once it was loaded."""
        assert self._context is not None, "it is loaded before anything is served"  # noqa: S101
        return self._context

    async def load(self) -> None:
        """Read certificate and key.

        Raises:
            ConfigurationError: they cannot be used; says which and why.
        """
        self._context = await trio.to_thread.run_sync(self._make)

    async def begin(self) -> None:
        """Load at the start of a listener; one that starts anew goes on with what it had, where it must.

        Raises:
            ConfigurationError: there is nothing to serve with.
        """
        await (self.load() if self._context is None else self.reload())

    async def reload(self) -> None:
        """Load anew; what cannot be used is told, and the certificate before it goes on being served."""
        if self._context is None:
            return
        try:
            await self.load()
        except ConfigurationError as error:
            log.error("certificate not read anew", listener=self._section, reason=str(error))  # noqa: TRY400
        else:
            log.info("certificate read anew", listener=self._section)


def server_context(tls: TlsSettings, folder: Path, section: str) -> ssl.SSLContext:
    """What a listener serves TLS 1.2 and 1.3 with; it blocks. `section` names the settings in errors.

    Raises:
        ConfigurationError: the files cannot be used; says which and why.
    """
    certificate, key = folder / tls.certificate, folder / tls.key
    for path, name in ((certificate, "certificate"), (key, "key")):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{section}.tls.{name}: {path} cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password at hand nobody must be asked for one: a daemon has no terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigurationError(
            f"{section}.tls: {certificate} and {key} are no certificate chain and its key without a password, "
            f"both as PEM: {reason}"
        ) from error
    return context


class TlsStream:
    """A connected TCP socket under TLS, with the methods that an HTTP connection asks for."""

    __slots__ = ("_stream",)

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        transport = trio.SocketStream(trio.socket.from_stdlib_socket(connected))
        # HTTP says itself where a message ends: nobody waits for the other side's last word (RFC 9112 9.8).
        self._stream = trio.SSLStream(transport, context, server_side=True, https_compatible=True)

    async def shake_hands(self) -> None:
        """Agree with the client on keys; BrokenResourceError where that fails."""
        await self._stream.do_handshake()

    async def receive_some(self, max_bytes: int) -> bytes | bytearray:
        """At most that many bytes; none at the end of the stream."""
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send everything."""
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        """TLS cannot be closed in one direction: the answer's own length says that nothing more comes."""

    async def aclose(self) -> None:
        """Close it now."""
        await self._stream.aclose()
