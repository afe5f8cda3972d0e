"""Whether the gateway's resources make sense by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never
from urllib.parse import quote, unquote

import msgspec

from config.answer_soundness import answer_flaws
from config.flaws import Flaw
from config.flow_soundness import flow_flaws, throttle_flaws
from config.identity_soundness import access_list_flaws, grant_flaws, route_auth_flaws
from config.mapping_soundness import data_flaws, key_flaws, route_mapping_flaws
from config.resources import (
    AccessList,
    ApiGroup,
    Backend,
    Certificate,
    Environment,
    GatewayResource,
    Route,
    RouteBackend,
    RouteGrant,
    RouteRequest,
    SignatureKey,
    Throttle,
)
from config.variables import filled_in, stray_mark

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PLAIN = "!$&'()*+,;=:@~"
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]*")


def gateway_flaws(resource: GatewayResource) -> Iterator[Flaw]:
    """Everything about a resource of the gateway that can be told to be wrong without looking at another."""
    match resource:
        case Environment() | SignatureKey():
            pass
        case AccessList():
            yield from access_list_flaws(resource)
        case RouteGrant():
            yield from grant_flaws(resource)
        case Throttle():
            yield from throttle_flaws(resource)
        case Certificate():
            if resource.private_key is None:
                yield Flaw("$", "the field `private_key` is missing")
        case ApiGroup():
            yield from _group(resource)
        case Backend():
            yield from path_flaws(resource.path, "$.path")
            yield from _backend(resource)
        case Route():
            yield from path_flaws(resource.request.path, "$.request.path")
            yield from _route(resource)
            yield from route_auth_flaws(resource)
            yield from flow_flaws(resource)
            yield from answer_flaws(resource)
        case _:
            assert_never(resource)


def path_shape(request: RouteRequest) -> str:
    """A route's path, with what tells no two of them apart made alike: routes of one shape collide."""
    path = request.path.removesuffix("/") if request.match == "prefix" else request.path
    segments = [_PARAMETER.sub("{}", segment) for segment in path.split("/")]
    # Each is told apart by what it says, not by how much of it is encoded.
    return "/".join(one if one == "{}" or "%" not in one else quote(unquote(one), safe=_PLAIN) for one in segments)


def path_flaws(path: str, where: str) -> Iterator[Flaw]:
    """Why a path cannot be a route's; variables of an environment may stand anywhere in it."""
    if stray_mark(path):
        yield Flaw(where, "a `#` belongs to no variable; one is written #name#")
        return
    seen: set[str] = set()
    plain = filled_in(path, _AnyValue())
    for segment in plain.split("/")[1:]:
        parameter = _PARAMETER.fullmatch(segment)
        if parameter is None and not _SEGMENT.fullmatch(segment):
            reason = f"'{segment}' is neither plain text of a URL (RFC 3986 3.3) nor one {{parameter}}"
            yield Flaw(where, reason)
        elif parameter is not None and parameter[1] in seen:
            yield Flaw(where, f"the parameter {{{parameter[1]}}} stands there twice")
        elif parameter is not None:
            seen.add(parameter[1])


class _AnyValue(dict[str, str]):
    """Has a value for each variable: one that is plain text wherever it stands."""

    def __missing__(self, _name: str) -> str:
        return "x"


def _group(group: ApiGroup) -> Iterator[Flaw]:
    names = [domain.name.lower() for domain in group.domains]
    for i, domain in enumerate(group.domains):
        if names[i] in names[:i]:
            yield Flaw(f"$.domains[{i}].name", f"the domain {domain.name} stands there twice")
        if domain.redirect and domain.certificate is None:
            yield Flaw(f"$.domains[{i}].redirect", "there is nothing to redirect to: the domain has no `certificate`")
        for field, asked in (
            ("minimum_tls", domain.minimum_tls != "1.2"),
            ("client_authorities", domain.client_authorities),
        ):
            if asked and domain.certificate is None:
                yield Flaw(
                    f"$.domains[{i}].{field}", "is asked of those who connect by TLS: add the domain's `certificate`"
                )


def _route(route: Route) -> Iterator[Flaw]:
    named = set(_PARAMETER.findall(route.request.path))
    seen: set[tuple[str, str]] = set()
    for i, parameter in enumerate(route.request.parameters):
        path = f"$.request.parameters[{i}]"
        key = (parameter.name.lower() if parameter.place == "header" else parameter.name, parameter.place)
        if key in seen:
            yield Flaw(f"{path}.name", f"the parameter {parameter.name} in {parameter.place} is written twice")
        if parameter.place == "path" and parameter.name not in named:
            yield Flaw(f"{path}.name", f"the path {route.request.path} has no {{{parameter.name}}}")
        seen.add(key)
    for field, names in (("throttles", route.throttles), ("access_lists", route.access_lists)):
        for i, name in enumerate(names):
            if name in names[:i]:
                yield Flaw(f"$.{field}[{i}]", f"{name} is named twice")
    yield from route_mapping_flaws(route)
    yield from _forms(route.backend, "$.backend")


def _forms(form: RouteBackend, path: str) -> Iterator[Flaw]:
    if form.data is not None:
        yield from data_flaws(form.data, f"{path}.data")
    if form.topic is not None and form.topic.key is not None:
        yield from key_flaws(form.topic.key, f"{path}.topic.key")


def _backend(backend: Backend) -> Iterator[Flaw]:
    for i, one in enumerate(backend.inputs):
        if (one.name, one.place) in [(other.name, other.place) for other in backend.inputs[:i]]:
            yield Flaw(f"$.inputs[{i}].name", f"the input {one.name} in {one.place} is written twice")
    data = backend.data
    told = data if data is None else msgspec.structs.replace(data, returns=backend.returns)
    yield from _forms(RouteBackend(data=told, mock=backend.mock, topic=backend.topic, device=backend.device), "$")
    if data is not None and (data.returns != "json" or data.format):
        yield Flaw("$.data", "`returns` and `format` of a backend stand beside `data`, not in it")
