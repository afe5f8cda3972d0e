"""Where routes are found: those of a group with domains under these, all others under every other name and address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from actors.gateway_route.domains import BoundDomain, ByDomain, bound
from actors.gateway_route.router import Router
from config.resources import ApiGroup

T = TypeVar("T")


class Spaces(Generic[T]):
    """Routers by environment: one set for each group with domains, and `everywhere`, which the others share.

    `domains` is None where no group has any, which costs no call more than to see that.
    """

    def __init__(self) -> None:
        self.everywhere: dict[str, Router[T]] = {}
        self.domains: ByDomain[BoundDomain] | None = None
        self._own: dict[str, dict[str, Router[T]]] = {}
        self._groups: dict[str, ApiGroup] = {}

    def stages(self, group: str) -> dict[str, Router[T]]:
        """The routers of a group, by environment."""
        return self._own.get(group, self.everywhere)

    def bind(self, groups: Mapping[str, ApiGroup | None]) -> dict[str, ApiGroup | None]:
        """Know of the domains of these groups from now on; returns what was known before.

        None of their routes may be in a router meanwhile.
        """
        if not groups:
            return {}
        before = {name: self._groups.get(name) for name in groups}
        for name, group in groups.items():
            self._own.pop(name, None)
            self._groups.pop(name, None)
            if group is not None and group.domains:
                self._groups[name] = group
                self._own[name] = {}
        domains = {name: domain for group in self._groups.values() for name, domain in bound(group).items()}
        self.domains = ByDomain(domains) if domains else None
        return before
