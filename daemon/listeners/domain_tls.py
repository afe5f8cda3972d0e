"""TLS of a listener that serves many domains, each with its own certificate and on its own terms."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Final

from actors.errors import ConfigurationError
from actors.gateway_route.domains import ByDomain, host_name
from actors.wire.http.tls import TlsTerms
from daemon.listeners.tls import ServerTls, server_context
from daemon.listeners.tls_stream import Chosen, reason_of

HTTP_1_1: Final = ("http/1.1",)
"""What ALPN offers where nothing newer is spoken."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class DomainTls:
    """Chooses by the name that a client asks for; to whoever asks for none that is known the listener's own is served.

    What is put here counts for the next handshake; connections that there are keep what they have.
    """

    def __init__(self, default: ServerTls) -> None:
        self._default = default
        self._domains: ByDomain[Chosen] = ByDomain({})

    async def begin(self) -> None:
        """Load the listener's own certificate.

        Raises:
            ConfigurationError: there is none to serve with.
        """
        await self._default.begin()

    def choose(self, name: str) -> Chosen:
        """What is served to a client that asks for this name, and on which terms."""
        found = self._domains.find(host_name(name)) if name else None
        return found or self._default.choose(name)

    def put(self, domains: Mapping[str, Chosen]) -> None:
        """Serve these domains from now on, and no others."""
        self._domains = ByDomain(domains)


def domain_context(chain: str, key: str, terms: TlsTerms) -> ssl.SSLContext:
    """What domains of the same certificate and terms are served with; texts are PEM.

    Raises:
        ConfigurationError: OpenSSL does not take them; says why.
    """
    context = server_context(HTTP_1_1)
    context.minimum_version = _VERSIONS[terms.minimum]
    try:
        _load(context, chain, key)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"the certificate cannot be served: {reason_of(error)}") from error
    if terms.authorities:
        try:
            context.load_verify_locations(cadata=terms.authorities)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigurationError(f"the client authorities cannot be used: {reason_of(error)}") from error
        # Who is named is believed, also one that was itself signed by another.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, chain: str, key: str) -> None:
    """OpenSSL reads keys from files, and this one must never be in any: it lies in memory, under a name of /proc."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{chain}\n{key}\n".encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
