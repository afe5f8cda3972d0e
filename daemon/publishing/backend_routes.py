"""The route that a backend is published as. Pure."""

from __future__ import annotations

import msgspec

from actors.errors import PenstockError
from config.resources import Backend, Parameter, Route, RouteBackend, RouteRequest


class ForeignRouteError(PenstockError):
    """A backend's route cannot be made: another one has its name."""


def route_of(backend: Backend, existing: Route | None) -> Route:
    """A backend's route: made, or made to fit; what else was written into it stays.

    Raises:
        ForeignRouteError: a route of that name is there, and is not that of the backend.
    """
    if existing is None:
        request = RouteRequest(path=backend.path, method=backend.method, parameters=_parameters(backend, ()))
        return Route(
            name=backend.name,
            app=backend.app,
            shared_with=backend.shared_with,
            title=backend.title,
            description=backend.description,
            tags=backend.tags,
            group=backend.group,
            request=request,
            backend=RouteBackend(name=backend.name),
            signature_key=backend.signature_key,
            publish=False,
        )
    if existing.backend.name != backend.name or existing.app != backend.app:
        reason = f"route {existing.name} is there already and is not that of backend {backend.name}; rename one of them"
        raise ForeignRouteError(reason)
    request = msgspec.structs.replace(
        existing.request,
        path=backend.path,
        method=backend.method,
        parameters=_parameters(backend, existing.request.parameters),
    )
    return msgspec.structs.replace(
        existing,
        request=request,
        group=backend.group or existing.group,
        signature_key=backend.signature_key or existing.signature_key,
    )


def _parameters(backend: Backend, written: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Those that are written already, and the backend's inputs that are not among them."""
    known = {(one.name, one.place) for one in written}
    added = (
        Parameter(name=one.name, place=one.place, required=one.required, description=one.description)
        for one in backend.inputs
        if (one.name, one.place) not in known
    )
    return (*written, *added)
