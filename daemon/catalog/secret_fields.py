"""Where secrets stand in resources: they are cut out before a resource is stored or shown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from config.resources import (
    AnyResource,
    App,
    Certificate,
    Connection,
    Device,
    Secret,
    SignatureKey,
    User,
)
from plugins.api import ConnectorType

MASK = "***"
"""Stands for a secret wherever resources are shown; written back, it means: keep the one there is."""

Connectors = Mapping[str, ConnectorType]
Use = Literal["check", "hold", "hash", "connect"]


class SecretField(NamedTuple):
    """One secret of a resource as it was written.

    `field` names it in the store (`app_codes.0`), `path` where it was written (`$.app_codes[0]`). `use` tells what
    becomes of it: `check` keeps only a digest, `hold` keeps it sealed, `hash` keeps an argon2 hash of it, sealed, and
    `connect` keeps it sealed, references as such.
    """

    field: str
    path: str
    given: Secret
    use: Use


def secret_fields(resource: AnyResource, connectors: Connectors, current: Collection[str] = ()) -> list[SecretField]:
    """Every secret that a resource is to have; `given` is None where it is to be kept, or generated.

    `current` are the fields that the store holds: AppCodes that were left out stay as many as there are, and a new app
    gets one.
    """
    match resource:
        case App():
            held = sum(field.startswith("app_codes.") for field in current)
            codes = (None,) * (held if current else 1) if resource.app_codes is None else resource.app_codes
            return [
                SecretField("secret", "$.secret", resource.secret, "hold"),
                *(SecretField(f"app_codes.{i}", f"$.app_codes[{i}]", code, "check") for i, code in enumerate(codes)),
            ]
        case Device() | SignatureKey():
            use: Use = "check" if isinstance(resource, Device) else "hold"
            return [SecretField("secret", "$.secret", resource.secret, use)]
        case Connection():
            return [
                SecretField(f"settings.{name}", f"$.settings.{name}", _setting(resource.settings[name]), "connect")
                for name in _secret_names(resource, connectors)
                if resource.settings.get(name) is not None
            ]
        case Certificate():
            return [SecretField("private_key", "$.private_key", resource.private_key, "connect")]
        case User():
            return _of_user(resource)
        case _:
            return []


def without_secrets(resource: AnyResource, connectors: Connectors) -> AnyResource:
    """The resource as it is stored: no secret in it, nor where it comes from."""
    match resource:
        case App():
            return msgspec.structs.replace(resource, secret=None, app_codes=None)
        case Device() | SignatureKey():
            return msgspec.structs.replace(resource, secret=None)
        case Connection():
            secret = _secret_names(resource, connectors)
            open_settings = {name: value for name, value in resource.settings.items() if name not in secret}
            return msgspec.structs.replace(resource, settings=open_settings)
        case Certificate():
            return msgspec.structs.replace(resource, private_key=None)
        case User():
            keys = tuple(msgspec.structs.replace(key, secret=None) for key in resource.access_keys)
            return msgspec.structs.replace(resource, password=None, access_keys=keys)
        case _:
            return resource


def masked(resource: AnyResource, fields: Collection[str]) -> dict[str, Any]:
    """A stored resource ready for JSON, with `***` for each secret that the store holds."""
    shown: dict[str, Any] = msgspec.to_builtins(resource)
    for field in sorted(fields):
        owner, _, last = field.partition(".")
        if not last:
            shown[field] = MASK
        elif owner == "app_codes":
            shown.setdefault("app_codes", []).append(MASK)
        elif owner == "access_keys":
            for key in shown.get("access_keys", ()):
                if key["key"] == last:
                    key["secret"] = MASK
        else:
            shown.setdefault(owner, {})[last] = MASK
    return shown


def _of_user(user: User) -> list[SecretField]:
    return [
        SecretField("password", "$.password", user.password, "hash"),
        *(
            SecretField(f"access_keys.{key.key}", f"$.access_keys[{i}].secret", key.secret, "hold")
            for i, key in enumerate(user.access_keys)
        ),
    ]


def _secret_names(connection: Connection, connectors: Connectors) -> tuple[str, ...]:
    connector = connectors.get(connection.connector)
    return () if connector is None else connector.secrets


def _setting(value: Any) -> Secret:
    secret: Secret = msgspec.convert(value, Secret)
    return secret
