"""What is served and deployed, in memory, as the store holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.gateway_route.published import Published
from config.resources.identity import Identity
from daemon.store.function_versions import FunctionVersion
from daemon.store.publications import Deployed, Publication, StoredPublications


class Publications:
    """Read by everybody, written only after the store has taken a change."""

    def __init__(self, stored: StoredPublications | None = None) -> None:
        stored = stored or StoredPublications()
        self._served: dict[str, dict[str, Published]] = {}
        self._last = dict(stored.last)
        self._deployed = dict(stored.deployed)
        self._running = dict(stored.running)
        self._last_functions = dict(stored.last_functions)
        for published in stored.served:
            self._served.setdefault(published.route.name, {})[published.environment] = published

    def __iter__(self) -> Iterator[Published]:
        """Everything that is served."""
        for served in self._served.values():
            yield from served.values()

    def served(self, route: str) -> Mapping[str, Published]:
        """What is served of a route, by environment."""
        return self._served.get(route, {})

    def last(self, route: str) -> int:
        """The number of a route's last version, 0 where it has none."""
        return self._last.get(route, 0)

    def deployed(self, backend: str) -> Deployed | None:
        """A backend as it was deployed, or None."""
        return self._deployed.get(backend)

    def running(self, function: str) -> FunctionVersion | None:
        """The version of a function that runs, or None where it was never deployed."""
        return self._running.get(function)

    def last_function(self, function: str) -> int:
        """The number of a function's last version, 0 where it has none."""
        return self._last_functions.get(function, 0)

    def put(self, publication: Publication, switched: Mapping[tuple[str, int], Published] | None = None) -> None:
        """Know of this from now on; `switched` has the older versions that are served again, by route and number."""
        known = dict(switched or {})
        for version in publication.versions:
            published = version.published
            known[published.route.name, published.version] = published
            self._last[published.route.name] = published.version
        for route, environment, number in publication.served:
            served = self._served.setdefault(route, {})
            if number is None:
                served.pop(environment, None)
            else:
                served[environment] = known[route, number]
        for deployed in publication.deployed:
            self._deployed[deployed.backend.name] = deployed
        for new in publication.functions:
            self._last_functions[new.function.name] = new.version
        for running in publication.running:
            self._running[running.function.name] = running

    def forget(self, identity: Identity) -> None:
        """Forget what there was of a resource that is gone."""
        if identity.kind == "route":
            self._served.pop(identity.name, None)
            self._last.pop(identity.name, None)
        elif identity.kind == "backend":
            self._deployed.pop(identity.name, None)
        elif identity.kind == "function":
            self._running.pop(identity.name, None)
            self._last_functions.pop(identity.name, None)
