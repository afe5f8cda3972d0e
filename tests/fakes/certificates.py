"""Certificates of authorities that exist for one test."""

from __future__ import annotations

import json
import ssl
from datetime import datetime
from pathlib import Path

import trustme


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
