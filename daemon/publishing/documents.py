"""OpenAPI documents of what is published, and routes out of such documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import trio

from actors.gateway_route.published import Published
from config.resources import RELEASE, ApiGroup, Route, RouteGrant
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.service import missing
from daemon.publishing.openapi_export import openapi
from daemon.publishing.openapi_import import Target, routes_of
from daemon.publishing.publications import Publications
from daemon.publishing.urls import servers
from daemon.publishing.visibility import is_shown


class Documents:
    """`addresses` are those of the listeners, as they are bound."""

    def __init__(self, catalog: Catalog, publications: Publications, addresses: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._publications = publications
        self._addresses = addresses
        self._threads = trio.CapacityLimiter(1)

    def export(self, name: str, environment: str = RELEASE, app: str | None = None) -> dict[str, Any]:
        """The OpenAPI 3.1 document of a group's routes that are published in an environment, as others get it.

        With `app` as that app gets it, with the private routes that are shown to it.

        Raises:
            NotFoundError: there is no such app or group, nor an app whose default group it would be.
        """
        if app is not None and self._catalog.get(Identity("app", app)) is None:
            raise missing(Identity("app", app))
        stored = self._catalog.get(Identity("api_group", name))
        if stored is None and self._catalog.get(Identity("app", name)) is None:
            raise missing(Identity("api_group", name))
        group = stored.resource if stored is not None and isinstance(stored.resource, ApiGroup) else None
        grants = () if app is None else tuple(self._grants(app))
        published = [
            one
            for one in self._publications
            if one.group == name and one.environment == environment and self._shown(one, app, grants)
        ]
        return openapi(name, group, published, list(servers(group, self._addresses)))

    async def routes(
        self, text: bytes, *, app: str, group: str | None = None, backend: str | None = None
    ) -> list[Route]:
        """The routes that a document describes; nothing is applied.

        Raises:
            NotFoundError: there is no such app.
            ManifestError: with all that cannot be taken.
        """
        if self._catalog.get(Identity("app", app)) is None:
            raise missing(Identity("app", app))
        work = partial(routes_of, text, Target(app, group, backend))
        return await trio.to_thread.run_sync(work, limiter=self._threads)

    def _shown(self, published: Published, app: str | None, grants: Sequence[RouteGrant]) -> bool:
        stored = self._catalog.get(Identity("route", published.route.name))
        if stored is None or not isinstance(stored.resource, Route) or not stored.resource.enabled:
            return False
        return is_shown(published.route, app, grants, published.environment)

    def _grants(self, app: str) -> Iterator[RouteGrant]:
        """Those to an app: routes are many, and grants to all apps too."""
        for stored in self._catalog.of_kind("grant"):
            if isinstance(stored.resource, RouteGrant) and stored.resource.to == app:
                yield stored.resource
