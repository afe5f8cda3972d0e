"""Routes: the gateway serves what is applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, get_args

import structlog

from actors.errors import ConfigurationError
from actors.gateway_route.gateway import Gateway
from config.resources import AnyResource, GatewayResource, Route
from config.resources.identity import Identity
from daemon.engine import Change

log = structlog.get_logger()


class RouteStage:
    """Puts routes into the gateway; one that cannot be served is shown as failed, and disturbs no other.

    It is tried again with each change of another one: routes that swap their paths get in each other's way only until
    both have been followed.
    """

    kinds = tuple(str(kind.__struct_config__.tag) for kind in get_args(GatewayResource))

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._problems: dict[str, str] = {}
        self._waiting: dict[str, Route] = {}

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Serve every route before the first request comes."""
        for resource in resources:
            if isinstance(resource, Route):
                self._put(resource)

    async def follow(self, change: Change) -> None:
        """Put, replace or remove a route; requests in flight finish as they began."""
        match change.after:
            case Route() as route:
                self._put(route)
            case _ if change.identity.kind == "route":
                self._problems.pop(change.identity.name, None)
                self._waiting.pop(change.identity.name, None)
                self._gateway.remove_route(change.identity.name)
            case _:
                return
        for route in tuple(self._waiting.values()):
            self._put(route)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What the route has answered so far."""
        if identity.kind != "route":
            return {}
        problem = self._problems.get(identity.name)
        if problem is not None:
            return {"state": "failed", "reason": problem}
        statistics = self._gateway.statistics().routes.get(identity.name)
        return {} if statistics is None else asdict(statistics)

    def _put(self, route: Route) -> None:
        try:
            self._gateway.put_route(route)
        except ConfigurationError as error:
            if self._problems.get(route.name) != str(error):
                log.error("route cannot be served", route=route.name, reason=str(error))  # noqa: TRY400 - says all
            self._problems[route.name] = str(error)
            self._waiting[route.name] = route
            # What it was before is not wanted any more, and may be in the way of another.
            self._gateway.remove_route(route.name)
        else:
            self._problems.pop(route.name, None)
            self._waiting.pop(route.name, None)
