"""What applying, publishing and switching change about what is served: decided whole, before anything is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from actors.errors import ConfigurationError
from actors.gateway_route.published import Published
from config.gateway_references import backend_references
from config.gateway_soundness import path_shape
from config.references import references
from config.resources import RELEASE, AnyResource, ApiGroup, Backend, Route
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.steps import Step
from daemon.publishing.publications import Publications
from daemon.publishing.resolve import UnpublishableError, resolve
from daemon.store.publications import Publication, Served, Version

Verify = Callable[[Published], object]
"""Tries whether a version can be served; raises ConfigurationError."""


class Refusal(NamedTuple):
    """A route that cannot be published: where the reason stands, and what it is."""

    route: str
    path: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class PublicationPlan:
    """What would be published, or why it is refused; `warnings` by route."""

    publication: Publication
    refused: tuple[Refusal, ...] = ()
    warnings: Mapping[str, str] = dataclasses.field(default_factory=dict)


class PublicationPlanner:
    """Compares what is wanted with what is served."""

    def __init__(self, catalog: Catalog, publications: Publications, verify: Verify) -> None:
        self._catalog = catalog
        self._publications = publications
        self._verify = verify

    def follow(self, steps: Sequence[Step], now: int) -> PublicationPlan:
        """What an apply publishes to RELEASE: routes that say so, where they or variables of their group changed."""
        after = {step.identity: step.after.resource for step in steps if step.action != "unchanged"}
        wanted: dict[str, Published] = {}
        refused: list[Refusal] = []
        for route in self._followers(steps, after):
            try:
                published = self._resolved(route, RELEASE, after)
            except UnpublishableError as error:
                refused.append(Refusal(route.name, error.path, str(error)))
                continue
            served = self._publications.served(route.name).get(RELEASE)
            if served is None or _same(served, published) is False:
                wanted[route.name] = published
        again = [resource.name for resource in after.values() if isinstance(resource, Route) and resource.enabled]
        again += self._moved(steps)
        refused += self._collisions(wanted, after, again)
        return PublicationPlan(_published(wanted.values(), now, "applied"), tuple(refused), self._left_behind(steps))

    def publish(self, route: Route, environment: str, now: int, remark: str) -> Publication:
        """A route as it is applied, as a new version in an environment.

        Raises:
            UnpublishableError: it cannot be.
        """
        published = self._resolved(route, environment, {})
        self._refuse_collision(published)
        return _published([published], now, remark)

    def switch(self, published: Published) -> Publication:
        """An older version, served again.

        Raises:
            UnpublishableError: it cannot be.
        """
        self._try(published)
        self._refuse_collision(published)
        return Publication(served=(Served(published.route.name, published.environment, published.version),))

    def saved(self, route: Route, environment: str) -> Published:
        """A route as it would be published, with its backend as it is saved: for a test.

        Raises:
            UnpublishableError: it cannot be.
        """
        group = self._group(route, {})
        return resolve(route, environment, group, self._saved_backend)

    def _resolved(self, route: Route, environment: str, after: Mapping[Identity, AnyResource]) -> Published:
        published = resolve(route, environment, self._group(route, after), self._deployed_backend)
        self._try(published)
        return msgspec.structs.replace(published, version=self._publications.last(route.name) + 1)

    def _try(self, published: Published) -> None:
        try:
            self._verify(published)
        except ConfigurationError as error:
            raise UnpublishableError("$", str(error)) from error

    def _followers(self, steps: Sequence[Step], after: Mapping[Identity, AnyResource]) -> Iterator[Route]:
        """Routes that are published as applied, and that a change concerns."""
        groups = {resource.name for resource in after.values() if isinstance(resource, ApiGroup)}
        for step in steps:
            route = step.after.resource
            # One that was taken offline does not come back for being enabled.
            if step.identity in after and isinstance(route, Route) and route.publish and step.fields != ("enabled",):
                yield route
        if not groups:
            return
        for stored in self._catalog.of_kind("route"):
            route = stored.resource
            if stored.identity in after or not isinstance(route, Route):
                continue
            if route.publish and route.group_name in groups and RELEASE in self._publications.served(route.name):
                yield route

    def _moved(self, steps: Sequence[Step]) -> Iterator[str]:
        """Served routes that come to be called by other names: their group got its first domains, or lost its last."""
        moved = {
            step.identity.name
            for step in steps
            if isinstance(step.after.resource, ApiGroup)
            and bool(step.after.resource.domains)
            is not _has_domains(None if step.before is None else step.before.resource)
        }
        yield from {one.route.name for one in self._publications if one.group in moved}

    def _left_behind(self, steps: Sequence[Step]) -> dict[str, str]:
        """Routes that become drafts, and of which something is served that no apply will change any more."""
        warnings = {}
        for step in steps:
            route, before = step.after.resource, step.before and step.before.resource
            if not isinstance(route, Route) or route.publish or not isinstance(before, Route) or not before.publish:
                continue
            served = self._publications.served(route.name)
            if served:
                where = ", ".join(f"{name} (version {one.version})" for name, one in sorted(served.items()))
                warnings[route.name] = (
                    f"with `publish: false` it goes on being served as it was published, in {where}: "
                    f"penstock route offline {route.name} ends that, penstock route publish {route.name} changes it"
                )
        return warnings

    def _refuse_collision(self, published: Published) -> None:
        for refusal in self._collisions({published.route.name: published}, {}, ()):
            raise UnpublishableError(refusal.path, refusal.reason)

    def _collisions(
        self, wanted: Mapping[str, Published], after: Mapping[Identity, AnyResource], again: Sequence[str]
    ) -> list[Refusal]:
        """Routes that want what another one has once all is done; `again` are served ones that may be enabled anew."""
        if not wanted and not again:
            return []
        newest = {(one.route.name, one.environment): one for one in wanted.values()}
        served = {(one.route.name, one.environment): one for one in self._publications}
        holders: dict[tuple[str, ...], str] = {}
        late = []
        for key, published in (served | newest).items():
            if not self._enabled(published.route.name, after):
                continue
            if key in newest or published.route.name in again:
                late.append(published)
            else:
                holders[self._place(published, after)] = published.route.name
        refused = []
        for published in late:
            holder = holders.setdefault(self._place(published, after), published.route.name)
            if holder != published.route.name:
                request = published.route.request
                place = f"{request.method} {request.path}"
                reason = f"{place} is served by route {holder} already in environment {published.environment}"
                refused.append(Refusal(published.route.name, "$.request", reason))
        return refused

    def _place(self, published: Published, after: Mapping[Identity, AnyResource]) -> tuple[str, ...]:
        """What no two routes may share: groups without domains are called by the same names."""
        request = published.route.request
        group = self._group(published.route, after)
        space = published.group if group is not None and group.domains else ""
        return published.environment, space, request.method, request.match, path_shape(request)

    def _enabled(self, name: str, after: Mapping[Identity, AnyResource]) -> bool:
        identity = Identity("route", name)
        stored = self._catalog.get(identity)
        route = after.get(identity) or (stored and stored.resource)
        return isinstance(route, Route) and route.enabled

    def _group(self, route: Route, after: Mapping[Identity, AnyResource]) -> ApiGroup | None:
        identity = Identity("api_group", route.group_name)
        stored = self._catalog.get(identity)
        group = after.get(identity) or (stored and stored.resource)
        return group if isinstance(group, ApiGroup) else None

    def _deployed_backend(self, name: str) -> Backend | None:
        deployed = self._publications.deployed(name)
        return None if deployed is None else deployed.backend

    def _saved_backend(self, name: str) -> Backend | None:
        stored = self._catalog.get(Identity("backend", name))
        return stored.resource if stored is not None and isinstance(stored.resource, Backend) else None


def _has_domains(group: AnyResource | None) -> bool:
    return isinstance(group, ApiGroup) and bool(group.domains)


def mentions(published: Published, target: Identity) -> bool:
    """Whether what is served of a route refers to a resource."""
    if target == Identity("environment", published.environment):
        return True
    found = (*references(published.route), *backend_references(published.backend, "$.backend"))
    return any(reference.target == target for reference in found)


def _same(served: Published, published: Published) -> bool:
    return msgspec.structs.replace(published, version=served.version) == served


def _published(versions: Iterable[Published], now: int, remark: str) -> Publication:
    new = tuple(versions)
    return Publication(
        versions=tuple(Version(one, now, remark) for one in new),
        served=tuple(Served(one.route.name, one.environment, one.version) for one in new),
    )
