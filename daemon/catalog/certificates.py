"""Certificates, read before they are ever served: whether chain and key belong together, for whom, and how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

from actors.errors import ConfigurationError, PenstockError
from actors.gateway_route.domains import ByDomain
from actors.wire.http.tls import TlsTerms
from config.errors import Problem, SecretError
from config.manifest import Document
from config.resources import ApiGroup, Certificate, Secret, SecretReference
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.secret_fields import MASK
from daemon.listeners.domain_tls import domain_context

SOON = timedelta(days=21)
"""A certificate that ends within this time wants to be renewed."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


_ANY_TERMS = TlsTerms("")


class CertificateError(ConfigurationError):
    """A certificate that cannot be served; `path` is where the reason stands."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class CertificateFacts(NamedTuple):
    """What the first certificate of a chain says; `names` are the domains and addresses that it is for."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str

    def covers(self, domain: str) -> bool:
        """Whether clients take it for a domain, which may be a wildcard."""
        return ByDomain(dict.fromkeys(self.names, True)).find(domain.lower()) is not None

    def expiry(self, now: datetime) -> str:
        """`valid`, `expires soon`, `expired` or `not valid yet`."""
        if now >= self.not_after:
            return "expired"
        if now < self.not_before:
            return "not valid yet"
        return "expires soon" if self.not_after - now < SOON else "valid"

    def warning(self, now: datetime) -> str:
        """What there is to say of its time, if anything."""
        match self.expiry(now):
            case "expired":
                return f"the certificate expired on {self.not_after:%Y-%m-%d %H:%M} UTC: clients refuse it"
            case "not valid yet":
                return f"the certificate is valid from {self.not_before:%Y-%m-%d %H:%M} UTC on: clients refuse it"
            case "expires soon":
                days = (self.not_after - now).days
                return f"the certificate expires on {self.not_after:%Y-%m-%d %H:%M} UTC, in {days} days; renew it"
        return ""


def read_pair(chain: str, key: str) -> CertificateFacts:
    """Check that a chain and its key can be served.

    Raises:
        CertificateError: they cannot; says what is wrong with which of them.
    """
    certificates = _certificates(chain)
    public = _public_key(key)
    owner = next((i for i, one in enumerate(certificates) if _key_of(one) == public), None)
    if owner is None:
        raise CertificateError("$.private_key", "the key does not belong to the certificate: their public keys differ")
    if owner:
        reason = f"the key belongs to certificate {owner + 1} of the chain; that one comes first, then who signed it"
        raise CertificateError("$.chain", reason)
    _check_order(certificates)
    return _facts(certificates[0])


def read_chain(chain: str) -> CertificateFacts:
    """What a chain says, without its key.

    Raises:
        CertificateError: it is none.
    """
    return _facts(_certificates(chain)[0])


class CertificateChecks:
    """Looks at the certificates of a manifest, and at the domains that want to be served with one.

    `key_of` has the private key of a certificate that is to be stored, `resolve` reads what is written elsewhere.
    """

    def __init__(
        self,
        key_of: Callable[[Document], str],
        resolve: Callable[[str | SecretReference], str],
        catalog: Catalog,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._key_of = key_of
        self._resolve = resolve
        self._catalog = catalog
        self._now = now

    def findings(self, documents: Sequence[Document]) -> Iterator[Problem]:
        """What is wrong with them, and what, as a warning, is odd."""
        facts: dict[str, CertificateFacts] = {}
        for document in documents:
            if isinstance(document.resource, Certificate):
                yield from self._certificate(document, document.resource, facts)
        for document in documents:
            if isinstance(document.resource, ApiGroup):
                yield from self._group(document, document.resource, facts)

    @classmethod
    def of_manifest(cls, documents: Sequence[Document]) -> Iterator[Problem]:
        """What a manifest shows by itself: what is written elsewhere is left for its daemon to read."""
        whole = [
            one
            for one in documents
            if not isinstance(one.resource, Certificate)
            or (isinstance(one.resource.chain, str) and _is_written(one.resource.private_key))
        ]
        yield from cls(_written_key, str, Catalog()).findings(whole)

    def _certificate(
        self, document: Document, certificate: Certificate, facts: dict[str, CertificateFacts]
    ) -> Iterator[Problem]:
        try:
            chain = self._resolve(certificate.chain)
        except SecretError as error:
            yield document.problem("$.chain", str(error))
            return
        try:
            key = self._key_of(document)
            found = facts[certificate.name] = read_pair(chain, key)
            domain_context(chain, key, _ANY_TERMS)
        except CertificateError as error:
            yield document.problem(error.path, str(error))
        except (PenstockError, SecretError) as error:
            yield document.problem("$.private_key", str(error))
        else:
            if found.warning(self._now()):
                yield document.problem("$.chain", found.warning(self._now()), warning=True)

    def _group(self, document: Document, group: ApiGroup, facts: dict[str, CertificateFacts]) -> Iterator[Problem]:
        for i, domain in enumerate(group.domains):
            path = f"$.domains[{i}]"
            try:
                if domain.client_authorities is not None:
                    _certificates(domain.client_authorities)
            except CertificateError as error:
                yield document.problem(f"{path}.client_authorities", str(error))
            found = facts.get(domain.certificate or "") or self._stored(domain.certificate)
            if found is not None and not found.covers(domain.name):
                names = ", ".join(found.names) or "no name at all"
                reason = f"certificate {domain.certificate} is for {names}: clients of {domain.name} refuse it"
                yield document.problem(f"{path}.certificate", reason, warning=True)

    def _stored(self, name: str | None) -> CertificateFacts | None:
        stored = None if name is None else self._catalog.get(Identity("certificate", name))
        if stored is None or not isinstance(stored.resource, Certificate):
            return None
        try:
            return read_chain(self._resolve(stored.resource.chain))
        except (PenstockError, SecretError):
            return None  # its own status says what is wrong with it


def _is_written(key: Secret) -> bool:
    return isinstance(key, str) and key != MASK


def _written_key(document: Document) -> str:
    key = document.resource.private_key if isinstance(document.resource, Certificate) else None
    return key if isinstance(key, str) else ""


def _certificates(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("$.chain", f"expected certificates as PEM: {error}") from None


def _public_key(text: str) -> bytes:
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise CertificateError("$.private_key", "the key has a password; write it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        # What a library says of a key may quote it.
        raise CertificateError("$.private_key", "expected a private key as PEM, without a password") from None
    return _bytes(key.public_key())


def _key_of(certificate: x509.Certificate) -> bytes:
    try:
        return _bytes(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("$.chain", f"a certificate has a key of an unknown kind: {error}") from None


def _bytes(key: object) -> bytes:
    public: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind of public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


def _check_order(certificates: Sequence[x509.Certificate]) -> None:
    """RFC 8446 4.4.2: each certificate certifies the one before it."""
    for i, (one, issuer) in enumerate(pairwise(certificates), 1):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            reason = f"certificate {i} was not signed by certificate {i + 1} of the chain; put each before its issuer"
            raise CertificateError("$.chain", reason) from None


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = (
            *found.get_values_for_type(x509.DNSName),
            *map(str, found.get_values_for_type(x509.IPAddress)),
        )
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        names = ()
    try:
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    except ValueError as error:
        raise CertificateError("$.chain", f"its subject or issuer is malformed: {error}") from None
    return CertificateFacts(
        subject=subject,
        issuer=issuer,
        names=names,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":"),
    )
