"""What the running side needs of secrets: digests to log in by, and the settings of connections."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from actors.directory.entries import AccessKeyEntry, AppEntry, DeviceEntry, UserEntry
from actors.directory.signing import SigningKey
from actors.errors import ConfigurationError
from config.errors import SecretError
from config.resources import AnyResource, App, Certificate, Connection, Device, User
from config.resources.base import SecretReference
from config.resources.identity import identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.issue import Resolve
from daemon.store.model import StoredResource, StoredSecret
from daemon.vault import Vault


class Credentials:
    """Builds log-in entries and connection settings from the catalog and the vault."""

    def __init__(self, catalog: Catalog, vault: Vault, resolve: Resolve) -> None:
        self._catalog = catalog
        self._vault = vault
        self._resolve = resolve

    def app_entry(self, app: App) -> AppEntry:
        """An app as it logs in. One whose secret was forgotten logs in with none until it is issued again."""
        stored = self._stored(app)
        held = stored.get("secret")
        secret = b"" if held is None else self._open(app, "secret", held)
        codes = (stored[field].value for field in sorted(stored) if field.startswith("app_codes."))
        return AppEntry(
            name=app.name,
            key=app.key or "",
            secret=self._vault.digest(secret) if secret else _nobody(),
            codes=tuple(codes),
            signing_key=SigningKey(secret),
        )

    def user_entry(self, user: User) -> UserEntry:
        """A user as they log in. Access keys that are disabled, or whose secrets were forgotten, sign nothing."""
        stored = self._stored(user)
        password = stored.get("password")
        held = [(one.key, stored.get(f"access_keys.{one.key}")) for one in user.access_keys if one.enabled]
        return UserEntry(
            name=user.name,
            password="" if password is None else self._open(user, "password", password).decode(),
            access_keys=tuple(
                AccessKeyEntry(key, user.name, SigningKey(self._open(user, f"access_keys.{key}", secret)))
                for key, secret in held
                if secret is not None
            ),
            enabled=user.enabled,
        )

    def device_entry(self, device: Device) -> DeviceEntry:
        """A device as it logs in. One whose secret was forgotten logs in with none until it is issued again."""
        held = self._stored(device).get("secret")
        return DeviceEntry(
            product=device.product,
            name=device.name,
            app=device.app,
            secret=_nobody() if held is None else held.value,
            enabled=device.enabled,
            tags=device.tags,
        )

    def digest(self, secret: bytes) -> bytes:
        """The digest of a secret that somebody presents; compare with `hmac.compare_digest`."""
        return self._vault.digest(secret)

    def connection_settings(self, connection: Connection) -> dict[str, Any]:
        """The settings of a connection in the catalog with its secrets in plain text; references are read anew.

        Raises:
            ConfigurationError: a reference cannot be read now.
            SealBrokenError: a secret cannot be opened with this instance key.
        """
        stored = self._catalog.get(identity(connection))
        return dict(connection.settings) if stored is None else self.open_settings(stored)

    def certificate(self, certificate: Certificate) -> tuple[str, str]:
        """Chain and private key of a certificate in the catalog, both PEM; what is written elsewhere is read anew.

        Raises:
            ConfigurationError: a reference cannot be read now, or the key was forgotten.
            SealBrokenError: the key cannot be opened with this instance key.
        """
        held = self._stored(certificate).get("private_key")
        if held is None:
            raise ConfigurationError(f"{identity(certificate)}: its private key was forgotten; apply it again")
        key = self._open(certificate, "private_key", held)
        chain = certificate.chain
        if isinstance(chain, SecretReference):
            chain = self._read(certificate, "chain", msgspec.json.encode(chain))
        return chain, key.decode() if held.form == "sealed" else self._read(certificate, "private_key", key)

    def open_settings(self, stored: StoredResource) -> dict[str, Any]:
        """As `connection_settings`, of one that need not be in the catalog."""
        connection = stored.resource
        settings = dict(connection.settings) if isinstance(connection, Connection) else {}
        for field, held in stored.secrets.items():
            plain = self._open(connection, field, held)
            value = plain.decode() if held.form == "sealed" else self._read(connection, field, plain)
            settings[field.removeprefix("settings.")] = value
        return settings

    def _read(self, resource: AnyResource, field: str, reference: bytes) -> str:
        try:
            return self._resolve(msgspec.json.decode(reference, type=SecretReference))
        except SecretError as error:
            raise ConfigurationError(f"{identity(resource)}: {field}: {error}") from error

    def _stored(self, resource: AnyResource) -> dict[str, StoredSecret]:
        stored = self._catalog.get(identity(resource))
        return {} if stored is None else dict(stored.secrets)

    def _open(self, resource: AnyResource, field: str, held: StoredSecret) -> bytes:
        return self._vault.open(held.value, identity(resource), field)


def _nobody() -> bytes:
    """A digest that no secret has."""
    return os.urandom(32)
