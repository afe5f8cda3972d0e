"""The instance's own certificate authority, in `DIR/ca`: what `certificate: auto` stands for.

    ca.pem          the authority's certificate: what clients are given to believe in
    ca.key          its private key (mode 0600)
    <section>.pem   a listener's private key and certificate (mode 0600)

All keys are EC P-256, without a password. Who has an authority already puts its key and certificate there.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors.errors import ConfigurationError

FOLDER: Final = "ca"
"""Where it is in the data folder."""
AUTHORITY_VALID: Final = timedelta(days=3650)
SERVER_VALID: Final = timedelta(days=365)
CLIENT_VALID: Final = timedelta(days=3650)
# A certificate is renewed when less than this part of its time is left: whoever keeps a daemon running for months, and
# whoever starts one every few months, both have one that holds.
_RENEWED_AT: Final = 1 / 3
# Clocks of devices may be behind.
_BACKDATED: Final = timedelta(days=1)
# RFC 5280, ub-common-name.
_COMMON_NAME_CHARACTERS: Final = 64


class Issued(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class _Issuer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class CertificateAuthority:
    """Makes itself when it is first asked; every method reads and writes files, and so blocks.

    Several processes may use one at a time.

    Raises (all methods):
        ConfigurationError: its files cannot be used; says which, why, and what to do.
    """

    def __init__(self, data: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder = data / FOLDER
        self.path = self.folder / "ca.pem"
        """The authority's certificate; there once it was asked for."""
        self._key_path = self.folder / "ca.key"
        self._now = now

    def certificate(self) -> bytes:
        """The authority's certificate as PEM: public, and what clients need."""
        with self._explained(), self._locked():
            return self._issuer().certificate.public_bytes(serialization.Encoding.PEM)

    def server_file(self, section: str, names: Sequence[str]) -> Path:
        """A file with a private key, and a certificate for these host names and addresses.

        What was made before is kept until a third of its time is left, or the names change.
        """
        path = self.folder / f"{section}.pem"
        with self._explained(), self._locked():
            issuer = self._issuer()
            if not self._serves(path, issuer, names):
                issued = self._issue(issuer, names[0], _alternatives(names), SERVER_VALID, _SERVER)
                _write(path, issued.key + issued.certificate, 0o600)
        return path

    def issue_client(self, product: str, device: str, valid: timedelta = CLIENT_VALID) -> Issued:
        """A certificate that a device logs in with instead of a password; its key is nowhere but in what is returned.

        The device stands in the common name, where that is long enough, and in a URI.
        """
        name = f"{product}/{device}"
        uri = f"penstock:/{quote(product, safe='')}/{quote(device, safe='')}"
        common_name = name if len(name) <= _COMMON_NAME_CHARACTERS else "device"
        with self._explained(), self._locked():
            alternatives = [x509.UniformResourceIdentifier(uri)]
            return self._issue(self._issuer(), common_name, alternatives, valid, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issuer(self) -> _Issuer:
        if not self._key_path.exists():
            if self.path.exists():
                raise ConfigurationError(
                    f"{self.path} is there, but its key {self._key_path} is not: put the key back, or remove the "
                    "certificate for a new authority, which clients then have to be given"
                )
            _write(self._key_path, _key_bytes(ec.generate_private_key(ec.SECP256R1())), 0o600)
        key = _load_key(self._key_path)
        if not self.path.exists():
            return _Issuer(self._certify_itself(key, _self_name()), key)
        certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        if certificate.public_key() != key.public_key():
            raise ConfigurationError(f"{self.path} and {self._key_path} do not belong together")
        if certificate.not_valid_after_utc - self._now() < SERVER_VALID:
            # The same name and key: what it has signed stays good, and clients that have the old one go on until its
            # end.
            certificate = self._certify_itself(key, certificate.subject)
        return _Issuer(certificate, key)

    def _certify_itself(self, key: ec.EllipticCurvePrivateKey, name: x509.Name) -> x509.Certificate:
        builder = self._builder(name, name, key.public_key(), AUTHORITY_VALID)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        _write(self.path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return certificate

    def _issue(
        self,
        issuer: _Issuer,
        common_name: str,
        alternatives: Sequence[x509.GeneralName],
        valid: timedelta,
        usage: x509.ObjectIdentifier,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_COMMON_NAME_CHARACTERS])])
        builder = self._builder(name, issuer.certificate.subject, key.public_key(), valid)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([usage]), False),
            (x509.SubjectAlternativeName(alternatives), False),
            (authority_key, False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(issuer.key, hashes.SHA256())
        return Issued(certificate.public_bytes(serialization.Encoding.PEM), _key_bytes(key))

    def _builder(
        self, name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta
    ) -> x509.CertificateBuilder:
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + valid)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    def _serves(self, path: Path, issuer: _Issuer, names: Sequence[str]) -> bool:
        """Whether what is there may still be served."""
        try:
            pem = path.read_bytes()
            certificate = x509.load_pem_x509_certificate(pem)
            key = serialization.load_pem_private_key(pem, password=None)
            certificate.verify_directly_issued_by(issuer.certificate)
            alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one is made
            return False
        whole = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        left = certificate.not_valid_after_utc - self._now()
        same_key = key.public_key() == certificate.public_key()
        return same_key and list(alternatives) == _alternatives(names) and left > whole * _RENEWED_AT

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"{error.filename or self.folder} cannot be used: {error.strerror or error}"
            raise ConfigurationError(f"the certificate authority in {self.folder}: {reason}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            reason = f"ca.pem and ca.key are not a certificate and its EC key without a password, both as PEM: {error}"
            raise ConfigurationError(f"the certificate authority in {self.folder}: {reason}") from error


_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


def _self_name() -> x509.Name:
    # Clients may know several instances: their authorities must not have one name.
    name = f"Penstock CA {secrets.token_hex(4)}"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_alternative(name) for name in dict.fromkeys(names)]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode() if not name.isascii() else name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path.name} is no EC key")
    return key


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable for others than `mode` says."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
