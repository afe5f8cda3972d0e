"""Domains and certificates: which group a Host is for, and what HTTPS is served with for it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog
import trio

from actors.errors import ConfigurationError, PenstockError
from actors.gateway_route.domains import terms_of
from actors.wire.http.tls import TlsTerms
from config.resources import AnyResource, ApiGroup, Certificate, Domain
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.certificates import CertificateFacts, read_pair, utc_now
from daemon.catalog.credentials import Credentials
from daemon.engine import Change
from daemon.listeners.domain_tls import DomainTls, domain_context
from daemon.listeners.tls_stream import Chosen
from daemon.stages.routes import RouteStage

log = structlog.get_logger()


class _Read(NamedTuple):
    """A certificate as it was read last: chain and key, and what it says."""

    chain: str
    key: str
    facts: CertificateFacts


class _Ingredients(NamedTuple):
    """What a context is made of; domains of which all this is the same share one."""

    chain: str
    key: str
    minimum: str
    authorities: str


class DomainStage:
    """Follows groups and certificates: new handshakes get what is applied now, connections that there are go on.

    A certificate that cannot be read any more is told, and what was read of it before is served on.
    """

    kinds = ("certificate", "api_group")

    def __init__(
        self,
        routes: RouteStage,
        tls: DomainTls,
        catalog: Catalog,
        credentials: Credentials,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._routes = routes
        self._tls = tls
        self._catalog = catalog
        self._credentials = credentials
        self._now = now
        self._read: dict[str, _Read] = {}
        self._problems: dict[str, str] = {}
        # What has not changed stays, so that its clients may resume their sessions.
        self._contexts: dict[_Ingredients, ssl.SSLContext] = {}
        self._turn = trio.Lock()
        self._threads = trio.CapacityLimiter(1)

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Read every certificate before the first connection comes."""
        for certificate in resources:
            if isinstance(certificate, Certificate):
                self._keep(certificate.name, self._try_to_read(certificate))
        wanted = dict(self._wanted())
        self._serve(wanted, self._made(self._missing(wanted)))

    async def follow(self, change: Change) -> None:
        """Have new calls and handshakes follow a group or a certificate."""
        name = change.identity.name
        match change.after:
            case Certificate() as certificate:
                await self._follow([certificate])
            case ApiGroup() as group:
                self._routes.put_group(name, group)
                await self._follow([])
            case _ if change.identity.kind == "api_group":
                self._routes.put_group(name, None)
                await self._follow([])
            case _:
                self._read.pop(name, None)
                self._problems.pop(name, None)

    async def renew(self) -> None:
        """Read anew what is written elsewhere; raises nothing."""
        certificates = [stored.resource for stored in self._catalog.of_kind("certificate")]
        before = dict(self._read)
        await self._follow([one for one in certificates if isinstance(one, Certificate)])
        for name, read in self._read.items():
            if before.get(name) != read:
                log.info("certificate read anew", certificate=name)

    def status(self, target: Identity) -> Mapping[str, Any]:
        """Of a certificate: for whom it is, how long, and which domains are served with it."""
        if target.kind != "certificate":
            return {}
        status: dict[str, Any] = {}
        read, problem = self._read.get(target.name), self._problems.get(target.name)
        if read is not None:
            facts = read.facts
            status = {
                "state": facts.expiry(self._now()),
                "names": list(facts.names),
                "subject": facts.subject,
                "issuer": facts.issuer,
                "not_before": facts.not_before.isoformat(),
                "not_after": facts.not_after.isoformat(),
                "fingerprint": facts.fingerprint,
            }
        if problem is not None:
            status |= {"state": "failed", "reason": problem}
        return status | {"domains": [domain.name for domain in self._secured() if domain.certificate == target.name]}

    async def _follow(self, certificates: Iterable[Certificate]) -> None:
        async with self._turn:
            for certificate in certificates:
                read = await trio.to_thread.run_sync(self._try_to_read, certificate, limiter=self._threads)
                self._keep(certificate.name, read)
            wanted = dict(self._wanted())
            made = await trio.to_thread.run_sync(self._made, self._missing(wanted), limiter=self._threads)
            self._serve(wanted, made)

    def _try_to_read(self, certificate: Certificate) -> _Read | str:
        """Chain and key as they are now, or why there are none."""
        try:
            chain, key = self._credentials.certificate(certificate)
            return _Read(chain, key, read_pair(chain, key))
        except PenstockError as error:
            return str(error)

    def _keep(self, name: str, read: _Read | str) -> None:
        if isinstance(read, str):
            if self._problems.get(name) != read:
                log.error("certificate cannot be read", certificate=name, reason=read)
            self._problems[name] = read
            return
        self._read[name] = read
        self._problems.pop(name, None)
        warning = read.facts.warning(self._now())
        if warning:
            log.warning("certificate wants to be renewed", certificate=name, reason=warning)

    def _wanted(self) -> Iterator[tuple[str, tuple[_Ingredients, TlsTerms]]]:
        """What each domain that has a certificate is to be served with."""
        for domain in self._secured():
            read, terms = self._read.get(domain.certificate or ""), terms_of(domain)
            if read is not None:
                yield domain.name, (_Ingredients(read.chain, read.key, terms.minimum, terms.authorities), terms)

    def _missing(self, wanted: Mapping[str, tuple[_Ingredients, TlsTerms]]) -> set[_Ingredients]:
        return {ingredients for ingredients, _ in wanted.values()} - self._contexts.keys()

    def _made(self, missing: Iterable[_Ingredients]) -> dict[_Ingredients, ssl.SSLContext | str]:
        """New contexts, or why there are none."""
        made: dict[_Ingredients, ssl.SSLContext | str] = {}
        for one in missing:
            try:
                made[one] = domain_context(one.chain, one.key, TlsTerms("", one.minimum, one.authorities))
            except ConfigurationError as error:
                made[one] = str(error)
        return made

    def _serve(
        self,
        wanted: Mapping[str, tuple[_Ingredients, TlsTerms]],
        made: Mapping[_Ingredients, ssl.SSLContext | str],
    ) -> None:
        contexts: dict[_Ingredients, ssl.SSLContext] = {}
        served: dict[str, Chosen] = {}
        for domain, (ingredients, terms) in wanted.items():
            context = self._contexts.get(ingredients) or made[ingredients]
            if isinstance(context, str):
                # Whoever asks for this name is shown the listener's own certificate, which is good for no strict terms.
                log.error("domain cannot be served", domain=domain, reason=context)
                continue
            contexts[ingredients] = context
            served[domain] = context, terms
        self._contexts = contexts
        self._tls.put(served)

    def _secured(self) -> Iterator[Domain]:
        for stored in self._catalog.of_kind("api_group"):
            domains = stored.resource.domains if isinstance(stored.resource, ApiGroup) else ()
            yield from (domain for domain in domains if domain.certificate is not None)
