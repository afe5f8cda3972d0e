"""Kind `user`: a person, or a program that acts as one."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.resources.base import Name, Resource, Secret


class AccessKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A key and a secret to sign with."""

    key: Name
    secret: Secret = None
    enabled: bool = True


class User(
    Resource, tag_field="kind", tag="user", frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A user; the password is kept as an argon2 hash. `enabled: false` ends what the user may do."""

    password: Secret = None
    access_keys: Annotated[tuple[AccessKey, ...], msgspec.Meta(max_length=5)] = ()
    enabled: bool = True
