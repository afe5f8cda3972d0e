"""Domains of API groups: which one a call is for, and whether the connection that it came by is good for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from actors.http_calls.errors import MISDIRECTED, PROTOCOL, CallRefusedError
from actors.wire.http.messages import Request, Response
from actors.wire.http.tls import TlsTerms
from config.resources import ApiGroup, Domain
from config.resources.routes import Protocol

T = TypeVar("T")

_HTTPS_PORT = 443
_WILDCARD = "*."
# RFC 9110 15.4.2: to send others on could make them another method on their way.
_REDIRECTED = frozenset({"GET", "HEAD"})


class BoundDomain(msgspec.Struct, frozen=True):
    """A domain of a group; `redirect` sends those who come over http to https, where they and the route can."""

    group: str
    redirect: bool
    terms: TlsTerms


class ByDomain(Generic[T]):
    """Something for each domain, found by the names that callers use.

    The name itself goes before a wildcard, which stands for exactly one label (RFC 9525 6.3).
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    def find(self, host: str) -> T | None:
        """What is under a host name, which is in lower case and has no port."""
        found = self._values.get(host)
        if found is None:
            label, _, parent = host.partition(".")
            found = self._values.get(_WILDCARD + parent) if label else None
        return found


def host_name(header: str) -> str:
    """The name in a Host header (RFC 9110 7.2), as names are compared: lower case, no port, no dot at the end."""
    name = header.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")


def terms_of(domain: Domain) -> TlsTerms:
    """What a domain asks of connections."""
    return TlsTerms(domain.name.lower(), domain.minimum_tls, domain.client_authorities or "")


def bound(group: ApiGroup) -> dict[str, BoundDomain]:
    """The domains of a group, by name."""
    return {domain.name: BoundDomain(group.name, domain.redirect, terms_of(domain)) for domain in group.domains}


def check_connection(
    domain: BoundDomain, request: Request, protocol: Protocol | None, https_port: int | None
) -> Response | None:
    """See that a call of a domain came by a connection that is good for it; an answer sends its caller elsewhere.

    `protocol` is that of the route, None where there is none; `https_port` that of the listener for https, if there is
    one.

    Raises:
        CallRefusedError: 421, the connection was made for another domain, or on other terms; 400, it is not encrypted.
    """
    if request.tls is not None:
        # Whoever asked for another name in the handshake was not asked for what this domain asks for (RFC 9110 7.4).
        if domain.terms.strict and request.tls.terms != domain.terms:
            raise CallRefusedError(MISDIRECTED, "the TLS connection was not made for the name in Host; make one for it")
        return None
    may_come_again = https_port is not None and protocol in {"https", "both"} and request.method in _REDIRECTED
    if domain.redirect and may_come_again:
        return _redirect(request, https_port)
    if domain.terms.authorities:
        # Its callers show certificates, which is possible under TLS alone.
        raise CallRefusedError(PROTOCOL, "https")
    return None


def _redirect(request: Request, port: int | None) -> Response:
    host = host_name(request.header("host") or "")
    place = host if port == _HTTPS_PORT else f"{host}:{port}"
    query = f"?{request.query}" if request.query else ""
    return Response(301, (("Location", f"https://{place}{request.path}{query}"),))
