"""Whether the gateway's resources make sense by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never

from config.flaws import Flaw
from config.flow_soundness import flow_flaws, throttle_flaws
from config.resources import (
    AccessList,
    ApiGroup,
    Backend,
    Certificate,
    Environment,
    GatewayResource,
    Route,
    RouteGrant,
    SignatureKey,
    Throttle,
)

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]*")


def gateway_flaws(resource: GatewayResource) -> Iterator[Flaw]:
    """Everything about a resource of the gateway that can be told to be wrong without looking at another."""
    match resource:
        case Environment() | Certificate() | ApiGroup() | SignatureKey() | AccessList() | RouteGrant():
            pass
        case Throttle():
            yield from throttle_flaws(resource)
        case Backend():
            yield from _path(resource.path, "$.path")
        case Route():
            yield from _path(resource.request.path, "$.request.path")
            yield from flow_flaws(resource)
        case _:
            assert_never(resource)


def path_shape(path: str) -> str:
    """A route's path with its parameters made alike: routes of one shape collide."""
    return _PARAMETER.sub("{}", path)


def _path(path: str, where: str) -> Iterator[Flaw]:
    seen: set[str] = set()
    for segment in path.split("/")[1:]:
        parameter = _PARAMETER.fullmatch(segment)
        if parameter is None and not _SEGMENT.fullmatch(segment):
            reason = f"'{segment}' is neither plain text of a URL (RFC 3986 3.3) nor one {{parameter}}"
            yield Flaw(where, reason)
        elif parameter is not None and parameter[1] in seen:
            yield Flaw(where, f"the parameter {{{parameter[1]}}} stands there twice")
        elif parameter is not None:
            seen.add(parameter[1])
