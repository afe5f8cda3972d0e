"""Routes: the gateway serves what is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

import structlog

from actors.errors import ConfigurationError
from actors.gateway_route.counters import RouteStatistics
from actors.gateway_route.gateway import Gateway, RouteCollisionError
from actors.gateway_route.published import Published
from config.resources import AnyResource, ApiGroup, GatewayResource, Route
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.engine import Change
from daemon.publishing.publications import Publications
from daemon.publishing.urls import calls
from daemon.stages.failures import last_failure

log = structlog.get_logger()


class RouteStage:
    """Puts the versions that are served into the gateway, all environments of a route at one moment.

    One that cannot be served is shown as failed, and disturbs no other. Routes that swap their paths are put at one
    moment too, so that no call finds neither.
    """

    kinds = tuple(str(kind.__struct_config__.tag) for kind in get_args(GatewayResource))

    def __init__(self, gateway: Gateway, catalog: Catalog, publications: Publications) -> None:
        self._gateway = gateway
        self._catalog = catalog
        self._publications = publications
        self._problems: dict[str, str] = {}

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Serve every route before the first request comes."""
        known = tuple(resources)
        for resource in known:
            if isinstance(resource, ApiGroup) and resource.domains:
                self.put_group(resource.name, resource)
        for resource in known:
            if isinstance(resource, Route):
                self._put(resource.name)

    def put_group(self, name: str, group: ApiGroup | None) -> None:
        """Serve the routes of a group under its domains, or, without any, under every other name."""
        wanted: dict[str, Sequence[Published]] = {}
        while True:
            try:
                self._gateway.put_routes(wanted, {name: group})
            except RouteCollisionError as error:
                if error.holder not in wanted:
                    wanted[error.holder] = self._wanted(error.holder)
                else:
                    log.error("route cannot be served", route=error.wanted, reason=str(error))  # noqa: TRY400 - says all
                    self._problems[error.wanted] = str(error)
                    wanted[error.wanted] = ()
            else:
                return

    async def follow(self, change: Change) -> None:
        """Put, replace or remove a route; requests in flight finish as they began."""
        name = change.identity.name
        if change.identity.kind != "route":
            return
        if change.after is None:
            self._problems.pop(name, None)
            self._gateway.remove_route(name)
        else:
            self._put(name)

    def settle(self) -> None:
        """Try those again that could not be served, once all of a change is done: others may have made way."""
        for waiting in tuple(self._problems):
            self._put(waiting)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What is served of the route, and what it has answered so far."""
        if identity.kind == "backend":
            return self._deployment(identity.name)
        if identity.kind != "route":
            return {}
        served = self._publications.served(identity.name)
        versions = {environment: published.version for environment, published in sorted(served.items())}
        problem = self._problems.get(identity.name)
        if problem is not None:
            return {"state": "failed", "reason": problem, "versions": versions}
        statistics = self._gateway.statistics_of(identity.name)
        state = {"state": "served" if versions else "not served", "versions": versions}
        return state | ({} if statistics is None else route_status(statistics))

    def calls(self, name: str, addresses: Mapping[str, str]) -> list[str]:
        """Method and URL of everything that is served of a route, at listeners that are bound to `addresses`."""
        found: list[str] = []
        for published in self._wanted(name):
            stored = self._catalog.get(Identity("api_group", published.group))
            group = stored.resource if stored is not None and isinstance(stored.resource, ApiGroup) else None
            found += calls(published, group, addresses)
        return found

    def _deployment(self, name: str) -> Mapping[str, Any]:
        deployed, stored = self._publications.deployed(name), self._catalog.get(Identity("backend", name))
        if deployed is None or stored is None:
            return {"state": "not deployed"}
        same = deployed.backend == stored.resource
        return {"state": "deployed" if same else "changed since it was deployed", "deployed_version": deployed.version}

    def _put(self, name: str) -> None:
        try:
            self._put_with_those_in_the_way({name: self._wanted(name)})
        except ConfigurationError as error:
            if self._problems.get(name) != str(error):
                log.error("route cannot be served", route=name, reason=str(error))  # noqa: TRY400 - says all
            self._problems[name] = str(error)
            # What it was before is not wanted any more, and may be in the way of another.
            self._gateway.remove_route(name)
        else:
            self._problems.pop(name, None)

    def _put_with_those_in_the_way(self, wanted: dict[str, Sequence[Published]]) -> None:
        """Whoever holds a place that is to be another's is about to leave it: all of them move together."""
        while True:
            try:
                self._gateway.put_routes(wanted)
            except RouteCollisionError as error:
                if error.holder in wanted:
                    raise
                wanted[error.holder] = self._wanted(error.holder)
            else:
                return

    def _wanted(self, name: str) -> Sequence[Published]:
        """What is to be served of a route now."""
        stored = self._catalog.get(Identity("route", name))
        if stored is None or not isinstance(stored.resource, Route) or not stored.resource.enabled:
            return ()
        return tuple(one.bound_as(stored.resource) for one in self._publications.served(name).values())


def route_status(statistics: RouteStatistics) -> dict[str, Any]:
    """What a route has done, ready for JSON; latencies in milliseconds, to within a bucket."""
    shown = {name: value for name, value in asdict(statistics).items() if not name.startswith("class_")}
    quantiles = {f"p{percent}": statistics.quantile(percent / 100) for percent in (50, 90, 99)}
    shown["latency_ms"] = {name: None if value is None else round(1000 * value, 3) for name, value in quantiles.items()}
    shown["statuses"] = {str(status): count for status, count in statistics.statuses.items()}
    del shown["last_failure"]
    if statistics.cache is None:
        del shown["cache"]
    else:
        shown["cache"] = statistics.cache._asdict()
    return shown | last_failure(statistics.last_failure)
