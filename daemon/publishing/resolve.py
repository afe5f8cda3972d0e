"""From a route as it was written to what is published of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from actors.errors import PenstockError
from actors.gateway_route.published import Published
from config.gateway_soundness import gateway_flaws
from config.resources import ApiGroup, Backend, Route, RouteBackend
from config.variables import filled_in

FindBackend = Callable[[str], Backend | None]
"""A backend that may be published, by its name: as it was deployed, or, for a test, as it is saved."""


class UnpublishableError(PenstockError):
    """A route cannot be published as it is; `path` says which part of it is the reason."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path


def resolve(route: Route, environment: str, group: ApiGroup | None, find_backend: FindBackend) -> Published:
    """What a route is published as in an environment; its version is not given yet.

    Raises:
        UnpublishableError: its backend is not deployed, or a variable is not defined, or makes no path.
    """
    values = {} if group is None else group.variables.get(environment, {})
    backend, found = _backend(route.backend, find_backend)
    where = f"in environment {environment} of group {route.group_name}"
    path = _filled(route.request.path, values, "$.request.path", where)
    request = msgspec.structs.replace(route.request, path=path)
    # Whether it is enabled, and how it is published, is not part of what is published.
    settled = msgspec.structs.replace(route, request=request, enabled=True, publish=True)
    for flaw in gateway_flaws(settled):
        if not flaw.warning and path != route.request.path:
            raise UnpublishableError(flaw.path, f"{flaw.reason} (the path is {path} {where})")
    if backend.topic is not None and backend.topic.key is not None:
        key = _filled(backend.topic.key, values, "$.backend.topic.key", where)
        backend = msgspec.structs.replace(backend, topic=msgspec.structs.replace(backend.topic, key=key))
    published = Published(
        route=settled, backend=backend, backend_authorizer=route.backend_authorizer, environment=environment
    )
    if found is None:
        return published
    return msgspec.structs.replace(
        published,
        inputs=found.inputs,
        backend_key=found.signature_key,
        backend_app=found.app,
        backend_authorizer=route.backend_authorizer or found.backend_authorizer,
    )


def _backend(written: RouteBackend, find_backend: FindBackend) -> tuple[RouteBackend, Backend | None]:
    if written.name is None:
        return written, None
    found = find_backend(written.name)
    if found is None:
        reason = (
            f"backend {written.name} is not deployed, and only what is deployed can be published: "
            f"penstock backend deploy {written.name} (or give the route `publish: false` until it is)"
        )
        raise UnpublishableError("$.backend.name", reason)
    forms = {name: getattr(found, name) for name in RouteBackend.__struct_fields__ if name != "name"}
    if found.data is not None:
        forms["data"] = msgspec.structs.replace(found.data, returns=found.returns, format=found.format)
    return RouteBackend(**forms), found


def _filled(text: str, values: Mapping[str, str], path: str, where: str) -> str:
    try:
        return filled_in(text, values)
    except KeyError as error:
        name = error.args[0]
        reason = f"the variable #{name}# is not defined {where}; add it to the group's `variables`"
        raise UnpublishableError(path, reason) from None
