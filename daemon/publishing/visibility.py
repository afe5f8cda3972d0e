"""Which routes are shown to whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from config.resources import Route, RouteGrant


def is_shown(route: Route, app: str | None, grants: Iterable[RouteGrant], environment: str | None = None) -> bool:
    """Whether a route is shown to an app; None is anybody. With an environment, only grants for it count.

    A public one is shown to everybody. A private one is shown to its own app, to those it is shared with, and to those
    that were granted it, since they are to call it.
    """
    if route.visibility == "public":
        return True
    if app is None:
        return False
    return app in {route.app, *route.shared_with} or any(
        grant.app == route.app
        and grant.to == app
        and route.name in grant.routes
        and environment in {None, grant.environment}
        for grant in grants
    )
