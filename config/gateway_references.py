"""Whom the gateway's resources refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from config.resources import (
    RELEASE,
    AccessList,
    ApiGroup,
    Auth,
    Authorizer,
    Backend,
    Certificate,
    DataBackend,
    Environment,
    GatewayResource,
    Route,
    RouteBackend,
    RouteGrant,
    SignatureKey,
    Throttle,
)
from config.resources.identity import Identity


class Reference(NamedTuple):
    """One resource's mention of another; one that `may_wait` may name what does not exist yet."""

    path: str
    target: Identity
    may_wait: bool = False


def gateway_references(resource: GatewayResource) -> Iterator[Reference]:
    """Everything that a resource of the gateway refers to, its owner apart."""
    match resource:
        case Environment() | Certificate() | SignatureKey():
            pass
        case ApiGroup():
            yield from _of_group(resource)
        case Throttle():
            for i, special in enumerate(resource.special):
                yield Reference(f"$.special[{i}].app", Identity("app", special.app), may_wait=True)
        case AccessList():
            yield from _of_access_list(resource)
        case Authorizer():
            yield Reference("$.function", Identity("function", resource.function))
        case Backend():
            yield from _group_named_by(resource)
            yield from _key_of(resource)
            yield from _asked_by(resource)
            yield from backend_references(resource, "$")
        case Route():
            yield from _of_route(resource)
        case RouteGrant():
            yield from _of_grant(resource)
        case _:
            assert_never(resource)


def _of_group(group: ApiGroup) -> Iterator[Reference]:
    for i, domain in enumerate(group.domains):
        if domain.certificate is not None:
            yield Reference(f"$.domains[{i}].certificate", Identity("certificate", domain.certificate))
    for environment in group.variables:
        if environment != RELEASE:
            yield Reference(f"$.variables.{environment}", Identity("environment", environment))


def _of_access_list(access_list: AccessList) -> Iterator[Reference]:
    for i, app in enumerate(access_list.apps):
        yield Reference(f"$.apps[{i}]", Identity("app", app), may_wait=True)


def _of_route(route: Route) -> Iterator[Reference]:
    yield from _group_named_by(route)
    if route.backend.name is not None:
        yield Reference("$.backend.name", Identity("backend", route.backend.name))
    yield from backend_references(route.backend, "$.backend")
    for i, name in enumerate(route.throttles):
        yield Reference(f"$.throttles[{i}]", Identity("throttle", name))
    for i, name in enumerate(route.access_lists):
        yield Reference(f"$.access_lists[{i}]", Identity("access_list", name))
    yield from _key_of(route)
    if isinstance(route.auth, Auth) and route.auth.custom is not None:
        yield Reference("$.auth.custom", Identity("authorizer", route.auth.custom))
    yield from _asked_by(route)
    for where, function in (("request", route.request.function), ("response", route.response.function)):
        if function is not None:
            yield Reference(f"$.{where}.function", Identity("function", function))


def _key_of(resource: Backend | Route) -> Iterator[Reference]:
    if resource.signature_key is not None:
        yield Reference("$.signature_key", Identity("signature_key", resource.signature_key))


def _asked_by(resource: Backend | Route) -> Iterator[Reference]:
    if resource.backend_authorizer is not None:
        yield Reference("$.backend_authorizer", Identity("authorizer", resource.backend_authorizer))


def backend_references(backend: Backend | RouteBackend, path: str) -> Iterator[Reference]:
    """What a backend works on; `path` is where it stands."""
    if backend.data is not None:
        yield from _of_data(backend.data, f"{path}.data")
    if backend.function is not None:
        yield Reference(f"{path}.function.name", Identity("function", backend.function.name))
    if backend.topic is not None:
        yield Reference(f"{path}.topic.topic", Identity("topic", backend.topic.topic))


def _of_data(data: DataBackend, path: str) -> Iterator[Reference]:
    if data.connection is not None:
        yield Reference(f"{path}.connection", Identity("connection", data.connection))
    for i, statement in enumerate(data.statements):
        yield Reference(f"{path}.statements[{i}].connection", Identity("connection", statement.connection))


def _group_named_by(resource: Backend | Route) -> Iterator[Reference]:
    """An app's default group is there also where it is not written; that of a backend is made with its route."""
    if resource.group is not None and resource.group != resource.app:
        yield Reference("$.group", Identity("api_group", resource.group), may_wait=isinstance(resource, Backend))


def _of_grant(grant: RouteGrant) -> Iterator[Reference]:
    yield Reference("$.to", Identity("app", grant.to), may_wait=True)
    for i, route in enumerate(grant.routes):
        yield Reference(f"$.routes[{i}]", Identity("route", route), may_wait=True)
    if grant.environment != RELEASE:
        yield Reference("$.environment", Identity("environment", grant.environment))
