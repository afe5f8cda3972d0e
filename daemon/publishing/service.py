"""What one does with routes and backends by hand: test, deploy, publish, switch, take offline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from actors.errors import ConfigurationError
from actors.gateway_route.gateway import Gateway
from actors.gateway_route.published import Published
from actors.ports import AuditEntry, AuditTrail
from config.gateway_references import backend_references
from config.manifest import dump
from config.references import references
from config.resources import RELEASE, AnyResource, ApiGroup, Backend, Route, RouteBackend, RouteRequest
from config.resources.identity import Identity
from daemon.catalog.errors import NotFoundError
from daemon.catalog.service import CatalogService, missing
from daemon.publishing.backend_routes import route_of
from daemon.publishing.resolve import UnpublishableError
from daemon.publishing.trial import TrialCall, TrialError, Tried, try_out
from daemon.store.model import Store
from daemon.store.publications import Deployed, Publication, Served, VersionEntry

R = TypeVar("R", Route, Backend)


class Publishing:
    """The life of routes and backends; each method raises PenstockError with a text for a person."""

    def __init__(self, service: CatalogService, store: Store, gateway: Gateway, audit: AuditTrail) -> None:
        self._service = service
        self._store = store
        self._gateway = gateway
        self._audit = audit

    async def publish(self, name: str, environment: str = RELEASE, remark: str = "") -> Published:
        """Serve a route as it is applied now, as a new version in an environment.

        Raises:
            NotFoundError: there is no such route or environment.
            UnpublishableError: it cannot be published; what was served before still is.
        """
        self._known(environment)
        before = self._served(name, environment)

        def plan(now: int) -> Publication:
            return self._service.publication_planner.publish(self._of(Route, name), environment, now, remark)

        (version,) = (await self._service.change(plan)).versions
        number = version.published.version
        await self._record(f"route {name}", "publish", environment, before=before, after=number, remark=remark)
        return version.published

    async def versions(self, name: str) -> Sequence[VersionEntry]:
        """The versions of a route that are kept, the newest first.

        Raises:
            NotFoundError: there is no such route.
        """
        self._of(Route, name)
        return await self._store.load_versions(name)

    async def switch(self, name: str, version: int, environment: str = RELEASE) -> Published:
        """Serve another version of a route in an environment, one that was published there before.

        Raises:
            NotFoundError: there is no such route, or no such version any more.
            UnpublishableError: it was published in another environment, or what it works on is gone.
        """
        self._of(Route, name)
        published = await self._store.load_version(name, version)
        if published is None:
            raise NotFoundError(f"route {name} has no version {version}: penstock route versions {name}")
        if published.environment != environment:
            reason = (
                f"version {version} of route {name} was published in environment {published.environment}, whose "
                f"variables are in it; it cannot be served in {environment}"
            )
            raise UnpublishableError("$.environment", reason)
        before = self._served(name, environment)

        def plan(_now: int) -> Publication:
            self._complete(published)
            return self._service.publication_planner.switch(published)

        await self._service.change(plan, {(name, version): published})
        await self._record(f"route {name}", "switch", environment, before=before, after=version, remark="")
        return published

    async def offline(self, name: str, environment: str = RELEASE) -> None:
        """Serve a route no more in an environment; its versions are kept.

        Raises:
            NotFoundError: there is no such route, or it is not served there.
        """
        self._of(Route, name)
        before = self._served(name, environment)

        def plan(_now: int) -> Publication:
            if environment not in self._service.publications.served(name):
                raise NotFoundError(f"route {name} is not published in environment {environment}")
            return Publication(served=(Served(name, environment, None),))

        await self._service.change(plan)
        await self._record(f"route {name}", "offline", environment, before=before, after=None, remark="")

    async def test(self, name: str, asked: TrialCall, environment: str = RELEASE) -> Tried:
        """Call a route as it is applied now, whether or not it is published, with its backend as it is saved.

        Raises:
            NotFoundError: there is no such route or environment.
            UnpublishableError: a variable is not defined.
            TrialError: the call does not fit the route.
        """
        self._known(environment)
        return await self._try(self._service.publication_planner.saved(self._of(Route, name), environment), asked)

    async def deploy(self, name: str) -> Deployed:
        """Make a backend as it is saved the one that is published from now on; what is served does not change.

        Raises:
            NotFoundError: there is no such backend.
        """

        def plan(now: int) -> Publication:
            stored = self._service.require(Identity("backend", name))
            return Publication(deployed=(Deployed(self._of(Backend, name), stored.meta.version, now),))

        before = self._service.publications.deployed(name)
        (deployed,) = (await self._service.change(plan)).deployed
        was = None if before is None else before.version
        await self._record(f"backend {name}", "deploy", "", before=was, after=deployed.version, remark="")
        return deployed

    async def publish_backend(self, name: str, environment: str = RELEASE, remark: str = "") -> Published:
        """Make or update the route of a backend as it is deployed, and its group, and publish it.

        Raises:
            NotFoundError: there is no such backend or environment.
            UnpublishableError: it is not deployed, or its route cannot be published.
            ForeignRouteError: another route has its name.
            ManifestError: its route or group would not be sound.
        """
        self._known(environment)
        self._of(Backend, name)
        deployed = self._service.publications.deployed(name)
        if deployed is None:
            reason = f"backend {name} is not deployed, and only what is deployed can be published"
            raise UnpublishableError("$", f"{reason}: penstock backend deploy {name}")
        backend, catalog = deployed.backend, self._service.catalog
        existing = catalog.get(Identity("route", name))
        route = route_of(backend, existing.resource if existing and isinstance(existing.resource, Route) else None)
        wanted: list[AnyResource] = [route]
        group = Identity("api_group", route.group_name)
        if catalog.get(group) is None:
            wanted.insert(0, ApiGroup(name=group.name, app=backend.app))
        # What would be refused is refused before anything is written.
        self._service.publication_planner.publish(route, environment, 0, remark)
        await self._service.apply(dump(wanted).encode(), file=f"backend {name}")
        return await self.publish(name, environment, remark)

    async def test_backend(self, name: str, inputs: Mapping[str, str], environment: str = RELEASE) -> Tried:
        """Call a backend as it is saved; inputs that are left out have their `test_default`.

        Raises:
            NotFoundError: there is no such backend or environment.
            TrialError: an input is missing, or not one of the backend's.
        """
        self._known(environment)
        backend = self._of(Backend, name)
        request = RouteRequest(path=backend.path, method=backend.method)
        route = Route(
            name=name,
            app=backend.app,
            group=backend.group,
            request=request,
            backend=RouteBackend(name=name),
            auth="none",
        )
        published = self._service.publication_planner.saved(route, environment)
        return await self._try(published, _asked(backend, inputs))

    async def _try(self, published: Published, asked: TrialCall) -> Tried:
        try:
            return await try_out(self._gateway, published, asked)
        except ConfigurationError as error:
            raise TrialError(str(error)) from error

    def _of(self, kind: type[R], name: str) -> R:
        target = Identity(str(kind.__struct_config__.tag), name)
        resource = self._service.require(target).resource
        if not isinstance(resource, kind):
            raise missing(target)
        return resource

    def _known(self, environment: str) -> None:
        if environment != RELEASE and self._service.catalog.get(Identity("environment", environment)) is None:
            raise missing(Identity("environment", environment))

    def _served(self, name: str, environment: str) -> int | None:
        served = self._service.publications.served(name).get(environment)
        return None if served is None else served.version

    def _complete(self, published: Published) -> None:
        """An old version may work on what is no longer there."""
        self._known(published.environment)
        for reference in (*references(published.route), *backend_references(published.backend, "$.backend")):
            named = published.route.backend.name
            of_backend = reference.target == Identity("backend", named) if named else False
            if not reference.may_wait and not of_backend and self._service.catalog.get(reference.target) is None:
                reason = f"version {published.version} needs {reference.target}, which is no longer there"
                raise UnpublishableError(reference.path, reason)

    async def _record(
        self, subject: str, action: str, environment: str, *, before: int | None, after: int | None, remark: str
    ) -> None:
        entry = AuditEntry(
            at=time.time_ns() // 1_000_000,
            by="operator",
            subject=subject,
            action=f"{action} {environment}".strip(),
            before=_version(before),
            after=_version(after),
            reason=remark,
        )
        await self._audit.record(entry)


def _version(number: int | None) -> str:
    return "" if number is None else f"version {number}"


def _asked(backend: Backend, inputs: Mapping[str, str]) -> TrialCall:
    known = {one.name: one for one in backend.inputs}
    path = [segment[1:-1] for segment in backend.path.split("/") if segment.startswith("{")]
    unknown = sorted(inputs.keys() - known.keys() - set(path))
    if unknown and backend.inputs:
        raise TrialError(f"backend {backend.name} has no input {', '.join(unknown)}; it has {', '.join(known)}")
    given: dict[str, str | int | float | bool] = {
        name: one.test_default for name, one in known.items() if one.test_default is not None
    }
    given |= inputs
    missing_ones = [name for name, one in known.items() if one.required and name not in given]
    if missing_ones:
        raise TrialError(f"backend {backend.name} needs {', '.join(missing_ones)}, which has no test_default")
    headers = {name: str(value) for name, value in given.items() if name in known and known[name].place == "header"}
    return TrialCall(
        parameters={name: value for name, value in given.items() if name in path},
        query={name: value for name, value in given.items() if name not in path and name not in headers},
        headers=headers,
    )


def decoded_call(body: Mapping[str, object]) -> TrialCall:
    """A test as it came over the wire.

    Raises:
        TrialError: it is none.
    """
    try:
        return msgspec.convert(body, TrialCall)
    except msgspec.ValidationError as error:
        raise TrialError(f"the test cannot be made: {error}") from None
