"""Certificates of authorities that exist for one test."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# RFC 5758 3.2: ecdsa-with-SHA256.
_SIGNED_BY = bytes.fromhex("300a06082a8648ce3d040302")


class Pair:
    """A chain and its key, as a manifest has them."""

    def __init__(self, made: trustme.LeafCert) -> None:
        self.made = made
        self.chain = "".join(blob.bytes().decode() for blob in made.cert_chain_pems)
        self.key = made.private_key_pem.bytes().decode()

    def manifest(self, name: str, app: str = "a") -> str:
        """As a resource."""
        texts = f"chain: {json.dumps(self.chain)}\nprivate_key: {json.dumps(self.key)}\n"
        return f"---\nkind: certificate\napp: {app}\nname: {name}\n{texts}"


class Authority:
    """A CA; its clients believe it and nobody else."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.pem = self.ca.cert_pem.bytes().decode()

    def issue(
        self,
        *names: str,
        subject: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Pair:
        """A certificate for these names."""
        made = self.ca.issue_cert(*names, common_name=subject, not_before=not_before, not_after=not_after)
        return Pair(made)

    def issue_unreadable(self) -> Pair:
        """A certificate whose subject is no text, as old ones have it that hold Latin-1: OpenSSL takes it."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        signer = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "readable")]))
            .issuer_name(x509.load_pem_x509_certificate(self.pem.encode()).subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=99))
            .sign(signer, hashes.SHA256())
        )
        # A UTF8String becomes a TeletexString (X.680 8.6).
        body = built.tbs_certificate_bytes.replace(b"\x0c\x08readable", b"\x14\x08r\xe9adable")
        signature = signer.sign(body, ec.ECDSA(hashes.SHA256()))
        whole = _der(0x30, body + _SIGNED_BY + _der(0x03, b"\0" + signature))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(trustme.LeafCert(private, ssl.DER_cert_to_PEM_cert(whole).encode(), []))

    def client(self, shown: Pair | None = None, *, most: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A client that believes this authority, and shows a certificate."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if shown is not None:
            shown.made.configure_cert(context)
        if most is not None:
            context.maximum_version = most
        return context

    def file(self, folder: Path) -> Path:
        """Its certificate as a file."""
        path = folder / "authority.pem"
        path.write_text(self.pem)
        return path


def _der(tag: int, content: bytes) -> bytes:
    """A value as X.690 8.1 writes it."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content
