"""Who is known: apps and devices with the digests of their secrets. Secrets in plain text never come this far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AppEntry:
    """An app as it may log in; `secret` and `codes` are digests under the instance key."""

    name: str
    key: str
    secret: bytes
    codes: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """A device as it may log in; `secret` is a digest under the instance key."""

    product: str
    name: str
    app: str
    secret: bytes
    enabled: bool = True
    tags: tuple[str, ...] = ()
