"""Who is known: apps, users and devices with the digests of their secrets.

Of secrets in plain text only those come this far that sign requests, and no entry shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.directory.signing import NO_KEY, SigningKey


@dataclass(frozen=True, slots=True)
class AppEntry:
    """An app as it may log in; `secret` and `codes` are digests under the instance key.

    `signing_key` is its secret as it signs; empty where it was forgotten, which signs nothing.
    """

    name: str
    key: str
    secret: bytes
    codes: tuple[bytes, ...] = ()
    signing_key: SigningKey = NO_KEY


@dataclass(frozen=True, slots=True)
class AccessKeyEntry:
    """A key that its user signs with."""

    key: str
    user: str
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A user as they may log in; `password` is an argon2 hash, empty where it was forgotten."""

    name: str
    password: str = field(default="", repr=False)
    access_keys: tuple[AccessKeyEntry, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """A device as it may log in; `secret` is a digest under the instance key."""

    product: str
    name: str
    app: str
    secret: bytes
    enabled: bool = True
    tags: tuple[str, ...] = ()
