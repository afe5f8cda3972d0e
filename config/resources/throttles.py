"""Kind `throttle`: how often routes may be called."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name
from config.resources.topics import Duration

Calls = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class SpecialLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A limit of one app's own."""

    app: Name
    limit: Calls


class Throttle(
    AppResource,
    tag_field="kind",
    tag="throttle",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """At most `limit` calls in any time as long as `period` (1s to 365d), counted by what `by` names; others get 429.

    `burst` lets so many more come at once where there were fewer before. `shared` counts all its routes together, else
    each counts alone, in each environment. `special` apps count by themselves, against their own limit. An address of
    IPv6 counts with all of its /64. Who has no name counts by address where apps or users are counted. With
    `by: parameter`, `parameter` says which one of path, query or headers. What is counted is forgotten at a restart.
    """

    limit: Calls
    period: Duration = "1s"
    by: Literal["route", "app", "user", "address", "parameter"] = "route"
    parameter: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    burst: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    shared: bool = False
    special: tuple[SpecialLimit, ...] = ()
