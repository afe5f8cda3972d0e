"""Kind `grant`: which routes an app may call that it does not own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.resources.base import AppResource, Name
from config.resources.routes import RELEASE


class RouteGrant(
    AppResource,
    tag_field="kind",
    tag="grant",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """`app`, which owns the routes, lets the app `to` call them in one environment.

    With `debug` it may also ask what its calls took, by `X-Apig-Mode: debug`.
    """

    to: Name
    routes: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    environment: Name = RELEASE
    debug: bool = False
