"""What a route is published as: complete by itself, and never changed again."""

from __future__ import annotations

import msgspec

from config.resources import RELEASE, Route, RouteBackend
from config.resources.backends import BackendInput


class Published(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One version of a route in one environment.

    `backend` is never a name: a backend that the route names stands here as it was deployed, with what it takes in
    `inputs`, the signature key that it asks for in `backend_key`, and its app in `backend_app`. `backend_authorizer` is
    the route's, or else the backend's. The environment's variables are filled in.
    Versions of a route count from 1 over all environments.

    What a route binds by name (throttles, access lists, a signature key), the domains of its group and `enabled` are
    not part of it: they apply to every version as they are now.
    """

    route: Route
    backend: RouteBackend
    inputs: tuple[BackendInput, ...] = ()
    backend_key: str | None = None
    backend_app: str | None = None
    backend_authorizer: str | None = None
    environment: str = RELEASE
    version: int = 0

    def bound_as(self, route: Route) -> Published:
        """This version with what the route binds now, and shared with whom it is shared with now."""
        bound = msgspec.structs.replace(
            self.route,
            throttles=route.throttles,
            access_lists=route.access_lists,
            signature_key=route.signature_key,
            shared_with=route.shared_with,
        )
        return msgspec.structs.replace(self, route=bound)

    @property
    def group(self) -> str:
        """The API group that it belongs to."""
        return self.route.group_name
