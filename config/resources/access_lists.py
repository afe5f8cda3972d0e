"""Kind `access_list`: whose calls routes take or refuse, by address or by app."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name

Network = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="an address or a network (CIDR)")]


class AccessList(
    AppResource,
    tag_field="kind",
    tag="access_list",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """`allow` takes only calls of those that are named, `deny` all others; exactly one of addresses and apps."""

    action: Literal["allow", "deny"]
    addresses: tuple[Network, ...] = ()
    apps: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        """Exactly one list must be there."""
        if bool(self.addresses) == bool(self.apps):
            raise ValueError("an access list has exactly one of `addresses` and `apps`")
