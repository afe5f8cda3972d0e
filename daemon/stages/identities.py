"""Users, grants, access lists, authorizers: whom the gateway lets in follows them at once, also for standing routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.errors import ConfigurationError
from actors.gateway_route.auth.compile import Identities
from config.resources import AccessList, AnyResource, Authorizer, RouteGrant, User
from config.resources.identity import Identity
from daemon.catalog.credentials import Credentials
from daemon.engine import Change
from daemon.stages.failures import last_failure


class IdentityStage:
    """The stage of those who call routes, apps apart, and of what they may."""

    kinds = ("user", "grant", "access_list", "authorizer")

    def __init__(self, identities: Identities, credentials: Credentials) -> None:
        self._identities = identities
        self._credentials = credentials

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Know everybody before the first request comes."""
        for resource in resources:
            self._put(resource)

    async def follow(self, change: Change) -> None:
        """Put or remove; the next request feels it."""
        if change.after is not None:
            self._put(change.after)
            return
        match change.identity.kind:
            case "user":
                self._identities.users.remove(change.identity.name)
            case "grant":
                self._identities.grants.remove(change.identity.name)
            case "access_list":
                self._identities.access_lists.remove(change.identity.name)
            case "authorizer" if self._identities.authorizers is not None:
                self._identities.authorizers.remove(change.identity.name)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What an authorizer has decided so far, and why its function failed last; none of the others runs."""
        authorizers = self._identities.authorizers
        running = None
        if identity.kind == "authorizer" and authorizers is not None:
            running = authorizers.get(identity.name)
        if running is None:
            return {}
        return running.statistics()._asdict() | last_failure(running.failures.last)

    def _put(self, resource: AnyResource) -> None:
        match resource:
            case User():
                self._identities.users.put(self._credentials.user_entry(resource))
            case RouteGrant():
                self._identities.grants.put(resource)
            case AccessList():
                self._put_list(resource)
            case Authorizer() if self._identities.authorizers is not None:
                self._identities.authorizers.put(resource)
            case _:
                pass

    def _put_list(self, resource: AccessList) -> None:
        try:
            self._identities.access_lists.put(resource)
        except ValueError as error:
            # What it said before does not hold any more; without it, its routes let nobody through.
            self._identities.access_lists.remove(resource.name)
            raise ConfigurationError(f"access_list {resource.name}: {error}") from error
