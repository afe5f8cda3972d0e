"""Which apps may call routes that they do not own. Pure."""

from __future__ import annotations

from config.resources import RouteGrant

_Place = tuple[str, str, str, str]
"""Owner, route, environment, and who is let in."""


class Grants:
    """Grants as they are now; what an app may is looked up in O(1), however many there are."""

    def __init__(self) -> None:
        self._grants: dict[str, RouteGrant] = {}
        self._names: dict[_Place, dict[str, RouteGrant]] = {}

    def put(self, grant: RouteGrant) -> None:
        """Add a grant, or replace the one of that name."""
        self.remove(grant.name)
        self._grants[grant.name] = grant
        for place in _places(grant):
            self._names.setdefault(place, {})[grant.name] = grant

    def remove(self, name: str) -> None:
        """Take a grant away, where it is there."""
        grant = self._grants.pop(name, None)
        for place in () if grant is None else _places(grant):
            holders = self._names.get(place, {})
            holders.pop(name, None)
            if not holders:
                self._names.pop(place, None)

    def allow(self, app: str, owner: str, route: str, environment: str) -> bool:
        """Whether an app may call a route there. A grant by anybody but the route's owner grants nothing."""
        return (owner, route, environment, app) in self._names

    def allow_debugging(self, app: str, owner: str, route: str, environment: str) -> bool:
        """Whether a grant lets it look inside, too."""
        return any(grant.debug for grant in self._names.get((owner, route, environment, app), {}).values())


def _places(grant: RouteGrant) -> list[_Place]:
    return [(grant.app, route, grant.environment, grant.to) for route in grant.routes]
