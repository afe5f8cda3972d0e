"""What listeners serve TLS with."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import trio

from actors.errors import ConfigurationError
from config.settings import AUTO, ClientCertificates, TlsSettings
from daemon.authority import CertificateAuthority
from daemon.listeners.tls_stream import Chosen

log = structlog.get_logger()

_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - nothing is bound here
# Addresses that nobody has (RFC 5737, RFC 3849): from which of its own would this machine reach them?
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class ServerTls:
    """The TLS of one listener, made anew when its certificate changes: connections that there are keep what they have.

    `section` names the settings in errors; `host` is where it listens; `protocols` are what ALPN offers (RFC 7301).
    """

    def __init__(
        self,
        settings: TlsSettings,
        data: Path,
        section: str,
        *,
        host: str,
        authority: CertificateAuthority,
        protocols: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._data = data
        self._section = section
        self._host = host
        self._authority = authority
        self._protocols = protocols
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection; there once it was loaded."""
        assert self._context is not None, "it is loaded before anything is served"  # noqa: S101
        return self._context

    def choose(self, _name: str) -> Chosen:
        """The same for every name that a client may ask for."""
        return self.context, None

    async def load(self) -> None:
        """Read certificate and key, or make or renew them where they are `auto`.

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

    def _make(self) -> ssl.SSLContext:
        context = server_context(self._protocols)
        if self._settings.certificate == AUTO:
            names = auto_names(self._host, self._settings.names)
            context.load_cert_chain(self._authority.server_file(self._section, names))
        else:
            self._load_own(context)
        if isinstance(self._settings, ClientCertificates) and self._settings.client_ca is not None:
            self._believe(context, self._settings, self._settings.client_ca)
        return context

    def _load_own(self, context: ssl.SSLContext) -> None:
        certificate, key = self._data / self._settings.certificate, self._data / (self._settings.key or "")
        for path, name in ((certificate, "certificate"), (key, "key")):
            _check_readable(path, f"{self._section}.{name}")
        try:
            # Without a password at hand nobody must be asked for one: a daemon has no terminal.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise ConfigurationError(
                f"{self._section}: {certificate} and {key} are no certificate chain and its key without a password, "
                f"both as PEM: {reason}"
            ) from error

    def _believe(self, context: ssl.SSLContext, settings: ClientCertificates, client_ca: str) -> None:
        if client_ca == AUTO:
            context.load_verify_locations(cadata=self._authority.certificate().decode())
        else:
            path = self._data / client_ca
            _check_readable(path, f"{self._section}.client_ca")
            try:
                context.load_verify_locations(path)
            except ssl.SSLError as error:
                raise ConfigurationError(
                    f"{self._section}.client_ca: {path} holds no certificates as PEM: {error.reason or error}"
                ) from error
        required = settings.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL


def server_context(protocols: Sequence[str] = ()) -> ssl.SSLContext:
    """A context for servers without a certificate yet: TLS 1.2 or 1.3; `protocols` are what ALPN offers (RFC 7301)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def auto_names(host: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The names that a certificate for a listener at this host is good for: localhost, this machine, and `more`."""
    own = _own_addresses() if host in _EVERYWHERE else (host,)
    names = ("localhost", "127.0.0.1", "::1", socket.gethostname(), *own, *more)
    return tuple(dict.fromkeys(name for name in names if name))


def _own_addresses() -> tuple[str, ...]:
    """The addresses by which this machine reaches others; nothing is sent for it."""
    found = []
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                found.append(probe.getsockname()[0])
        except OSError:
            continue
    return tuple(found)


def _check_readable(path: Path, name: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{name}: {path} cannot be read: {error.strerror}") from error
