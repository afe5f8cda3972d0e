"""Throttles: routes that are bound to one follow it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from actors.gateway_route.flow.throttles import Throttles
from config.resources import AnyResource, Throttle
from config.resources.identity import Identity
from daemon.engine import Change


class FlowStage:
    """The stage of throttles; it comes before that of routes, which are not served without theirs."""

    kinds = ("throttle",)

    def __init__(self, throttles: Throttles) -> None:
        self._throttles = throttles

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Know every throttle before the first route is served."""
        for resource in resources:
            if isinstance(resource, Throttle):
                self._throttles.put(resource)

    async def follow(self, change: Change) -> None:
        """Put or remove one; what it has counted stays, where it still means the same."""
        match change.after:
            case Throttle() as throttle:
                self._throttles.put(throttle)
            case _:
                self._throttles.remove(change.identity.name)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What has passed it, and what it has refused."""
        statistics = self._throttles.statistics(identity.name)
        return {} if statistics is None else asdict(statistics)
