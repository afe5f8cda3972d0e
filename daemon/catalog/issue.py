"""From a secret as it was written to what the store keeps of it: kept, changed, or generated."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from config.errors import SecretError
from config.resources.base import SecretReference
from config.resources.identity import Identity
from daemon.catalog.secret_fields import MASK, SecretField
from daemon.passwords import hash_password, is_password
from daemon.store.model import StoredSecret
from daemon.vault import SealBrokenError, Vault

GENERATED_BYTES = 24
MAX_CHARACTERS = 16 * 1024

Resolve = Callable[[SecretReference], str]
"""Reads a secret that is written elsewhere; raises SecretError."""


def generate() -> str:
    """A strong secret (192 bits) that travels through URLs, headers and shells unharmed."""
    return secrets.token_urlsafe(GENERATED_BYTES)


class Refusal(NamedTuple):
    """A secret that cannot be used: where it was written, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Issued:
    """What became of a resource's secrets.

    `plain` holds those that were written or generated, by field: for a connection's test, and to show generated ones.
    """

    secrets: dict[str, StoredSecret] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    generated: dict[str, str] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


class Issuer:
    """Turns written secrets into stored ones, under one vault."""

    def __init__(self, vault: Vault, resolve: Resolve) -> None:
        self._vault = vault
        self._resolve = resolve

    def issue(self, identity: Identity, fields: Sequence[SecretField], current: Mapping[str, StoredSecret]) -> Issued:
        """Decide about each secret: a written one that equals the stored one leaves the stored one as it is."""
        issued = Issued()
        for one in fields:
            try:
                self._decide(identity, one, current.get(one.field), issued)
            except SecretError as error:
                issued.refused.append(Refusal(one.path, str(error)))
        issued.changed += [name for name in current if name not in {one.field for one in fields}]
        return issued

    def store(self, identity: Identity, one: SecretField, plain: str) -> StoredSecret:
        """A secret in the form that its use asks for."""
        if one.use == "check":
            return StoredSecret("digest", self._vault.digest(plain.encode()))
        kept = hash_password(plain) if one.use == "hash" else plain
        return StoredSecret("sealed", self._vault.seal(kept.encode(), identity, one.field))

    def reveal(self, identity: Identity, field: str, kept: StoredSecret) -> str:
        """A secret that is kept sealed; where a reference is kept, what it refers to now.

        Raises:
            SecretError: the reference cannot be read.
            SealBrokenError: it was sealed under another instance key.
        """
        plain = self._vault.open(kept.value, identity, field)
        return (
            plain.decode() if kept.form == "sealed" else self.resolve(msgspec.json.decode(plain, type=SecretReference))
        )

    def resolve(self, written: str | SecretReference) -> str:
        """A text that may be written elsewhere.

        Raises:
            SecretError: it cannot be read there.
        """
        return self._resolve(written) if isinstance(written, SecretReference) else written

    def _decide(self, identity: Identity, one: SecretField, current: StoredSecret | None, issued: Issued) -> None:
        if current is not None and one.given in (None, MASK):
            issued.secrets[one.field] = current
            return
        if one.given == MASK:
            raise SecretError(f"`{MASK}` stands for a secret that is stored, and none is; write it, or leave it out")
        plain = self._plain(one)
        if one.given is None:
            issued.generated[one.field] = plain
        if current is not None and self._is_same(identity, one, plain, current):
            issued.secrets[one.field] = current
            return
        issued.changed.append(one.field)
        issued.secrets[one.field] = self._keep(identity, one, plain)

    def _plain(self, one: SecretField) -> str:
        if one.given is None:
            return generate()
        plain = self._resolve(one.given) if isinstance(one.given, SecretReference) else one.given
        if not plain and one.use != "connect":
            raise SecretError("a secret must not be empty; left out, it is generated")
        if len(plain) > MAX_CHARACTERS:
            raise SecretError(f"a secret has at most {MAX_CHARACTERS} characters, this one {len(plain)}")
        if not plain.isascii() and plain != plain.encode(errors="replace").decode():
            # A variable of the environment may hold any bytes.
            raise SecretError("a secret must be UTF-8 text")
        return plain

    def _keep(self, identity: Identity, one: SecretField, plain: str) -> StoredSecret:
        if isinstance(one.given, SecretReference) and one.use == "connect":
            return StoredSecret("reference", self._vault.seal(msgspec.json.encode(one.given), identity, one.field))
        return self.store(identity, one, plain)

    def _is_same(self, identity: Identity, one: SecretField, plain: str, current: StoredSecret) -> bool:
        try:
            match current.form:
                case "digest":
                    return one.use == "check" and hmac.compare_digest(current.value, self._vault.digest(plain.encode()))
                case "sealed":
                    held = self._vault.open(current.value, identity, one.field)
                    if one.use == "hash":
                        return is_password(held.decode(), plain)
                    reference = isinstance(one.given, SecretReference) and one.use == "connect"
                    return not reference and hmac.compare_digest(held, plain.encode())
                case "reference":
                    held = self._vault.open(current.value, identity, one.field)
                    return isinstance(one.given, SecretReference) and held == msgspec.json.encode(one.given)
        except SealBrokenError:
            return False
