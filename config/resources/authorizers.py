"""Kind `authorizer`: a function that decides who may call a route."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name


class IdentitySource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A part of a request that tells callers apart: decisions are remembered by all of them together."""

    place: Literal["header", "query"] = msgspec.field(name="in", default="header")
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Authorizer(
    AppResource,
    tag_field="kind",
    tag="authorizer",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A function that is asked before a route answers.

    A `front` one decides whether a call is let in (`auth: {custom: NAME}`); a `back` one tells a backend who calls it.
    Its function gets the call's headers, query, path, method and source address, with `send_body` the body, and
    `user_data` as it stands here; it answers `{"status": "allow" | "deny", "context": {...}}`. A decision is remembered
    for `ttl` seconds (0: not at all) for calls that agree in all `identities`; behind, of the same caller only.
    """

    type: Literal["front", "back"] = "front"
    function: Name
    ttl: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    identities: tuple[IdentitySource, ...] = ()
    send_body: bool = False
    user_data: Annotated[str, msgspec.Meta(max_length=2048)] = ""
