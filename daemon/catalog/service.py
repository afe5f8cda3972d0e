"""Changes to the resources of this instance: planned whole, stored in one transaction, then put to work."""

from __future__ import annotations

import dataclasses
import difflib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog
import trio

from actors.gateway_route.published import Published
from actors.ports import ConnectionReport
from config.errors import ManifestError, Problem
from config.manifest import Document, SettingsTypes, load
from config.resources import Connection, Device, Task, Topic
from config.resources.identity import Identity, identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.commit import Commit
from daemon.catalog.credentials import Credentials
from daemon.catalog.dependents import dependents
from daemon.catalog.errors import InUseError, NotFoundError, UnreachableError, VersionConflictError
from daemon.catalog.issue import Issuer, Resolve, generate
from daemon.catalog.planning import Planner
from daemon.catalog.probing import probe, probe_all
from daemon.catalog.refusals import refuse
from daemon.catalog.secret_fields import Connectors, secret_fields
from daemon.catalog.steps import Step
from daemon.engine import Engine
from daemon.publishing.function_planning import FunctionPlanner, VerifyFunction
from daemon.publishing.planning import PublicationPlanner, Verify
from daemon.publishing.publications import Publications
from daemon.store.model import Meta, Store, StoredResource
from daemon.store.publications import Publication
from daemon.vault import Vault

log = structlog.get_logger()

T = TypeVar("T")

_MOST_COMPARED = 1000


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, or as a plan would do: one step for each resource, with the warnings about it.

    `published` are the versions of routes that came of it.
    """

    steps: tuple[Step, ...]
    published: tuple[Published, ...] = ()


def now_in_milliseconds() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class CatalogService:
    """The one way in which resources change; one change at a time.

    What is refused changes nothing. What is stored is handed to the engine even when the caller has gone meanwhile.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: Store,
        vault: Vault,
        engine: Engine,
        connectors: Connectors,
        resolve: Resolve,
        publications: Publications | None = None,
        verify: Verify = lambda _: None,
        verify_function: VerifyFunction = lambda _: None,
        clock: Callable[[], int] = now_in_milliseconds,
    ) -> None:
        self.catalog = catalog
        self.publications = Publications() if publications is None else publications
        self.publication_planner = PublicationPlanner(catalog, self.publications, verify)
        self.function_planner = FunctionPlanner(self.publications, verify_function)
        self._engine = engine
        self._commit = Commit(catalog, self.publications, store, engine)
        self._connectors = connectors
        self._issuer = Issuer(vault, resolve)
        self._planner = Planner(catalog, self._issuer, connectors)
        self._credentials = Credentials(catalog, vault, resolve)
        self._clock = clock
        self._turn = trio.Lock()
        self._threads = trio.CapacityLimiter(2)

    async def apply(
        self, text: bytes, *, file: str = "manifest", plan: bool = False, allow_unreachable: bool = False
    ) -> Applied:
        """Make the instance hold what a manifest says; resources that it does not name stay as they are.

        Args:
            text: the manifest, in YAML.
            file: its name in error messages.
            plan: only say what would change.
            allow_unreachable: apply connections that fail their test, with a warning.

        Raises:
            ManifestError: with all that is wrong.
            UnreachableError: a new or changed connection failed its test.
            StorageError: the store did not take it; nothing has changed.
        """
        documents = await self._load(text, file)
        async with self._turn:
            steps, publication = await self._plan(documents)
            if plan:
                return Applied(tuple(steps), _versions(publication))
            return await self._apply(steps, publication, allow_unreachable=allow_unreachable)

    async def put(
        self, target: Identity, text: bytes, *, versions: Sequence[int] | None = None, allow_unreachable: bool = False
    ) -> Applied:
        """Create or replace one resource; `versions` are those that may be replaced, None means any.

        Raises:
            VersionConflictError: the resource has another version.
            ManifestError, UnreachableError, StorageError: as `apply`.
        """
        documents = await self._load(text, "request body")
        if [document.identity for document in documents] != [target]:
            found = ", ".join(str(document.identity) for document in documents) or "nothing"
            raise ManifestError([Problem(f"expected {target}, as the path says, and found {found}", path="$.name")])
        async with self._turn:
            self._match(target, versions)
            steps, publication = await self._plan(documents)
            return await self._apply(steps, publication, allow_unreachable=allow_unreachable)

    async def delete(self, target: Identity, *, versions: Sequence[int] | None = None) -> None:
        """Delete a resource; the files of a topic stay.

        Raises:
            NotFoundError: there is none.
            InUseError: something refers to it.
            VersionConflictError: it has another version.
        """
        async with self._turn:
            stored = self._match(target, versions)
            if stored is None:
                raise missing(target)
            if users := dependents(target, self.catalog, self.publications):
                raise InUseError(target, users)
            await self._commit.put([], [stored])

    async def have_topic(self, topic: Topic) -> None:
        """Create a topic that the daemon itself needs, where there is none of that name.

        Raises:
            StorageError: the store did not take it.
        """
        async with self._turn:
            if self.catalog.get(identity(topic)) is None:
                now = self._clock()
                await self._commit.put([Step("created", None, StoredResource(topic, Meta(1, now, now)))], [])

    async def delete_data(self, topic: str) -> bool:
        """Delete the files of a topic that is no longer a resource; False where there were none."""
        async with self._turn:
            if self.catalog.get(Identity("topic", topic)) is not None:
                raise InUseError(Identity("topic", topic), [Identity("topic", topic)])
            return await self._engine.delete_topic_data(topic)

    async def set_task_enabled(self, name: str, *, enabled: bool) -> None:
        """Start or stop a task, now and at every start of the daemon from now on.

        Raises:
            NotFoundError: there is none.
        """
        target = Identity("task", name)
        async with self._turn:
            stored = self.require(target)
            task = stored.resource
            if isinstance(task, Task) and task.enabled != enabled:
                after = dataclasses.replace(
                    stored, resource=msgspec.structs.replace(task, enabled=enabled), meta=self._next(stored.meta)
                )
                await self._commit.put([Step("changed", stored, after, ("enabled",))], [])
            await (self._engine.start_task(name) if enabled else self._engine.stop_task(name))

    async def rotate_secret(self, target: Identity) -> str:
        """Give a device a new secret, which is returned this once; its living session ends.

        Raises:
            NotFoundError: there is none.
        """
        async with self._turn:
            stored = self.require(target)
            secret = generate()
            if not isinstance(stored.resource, Device):
                raise missing(target)
            (field,) = secret_fields(stored.resource, self._connectors)
            kept = self._issuer.store(target, field, secret)
            after = StoredResource(stored.resource, self._next(stored.meta), {field.field: kept})
            await self._commit.put([Step("changed", stored, after, ("secret",), (field.field,))], [])
            return secret

    async def test(self, name: str) -> ConnectionReport:
        """Test a stored connection.

        Raises:
            NotFoundError: there is none.
        """
        return await self._probe(self.require(Identity("connection", name)))

    async def test_unsaved(self, text: bytes, *, file: str = "manifest") -> ConnectionReport:
        """Test a connection that need not be stored.

        Raises:
            ManifestError: the manifest is wrong, or is not one connection.
        """
        documents = await self._load(text, file)
        if [type(document.resource) for document in documents] != [Connection]:
            raise ManifestError([Problem("expected one document of kind connection", file=file)])
        (wanted,) = await self._aside(partial(self._planner.settle, documents))
        return await self._probe(wanted)

    def require(self, target: Identity) -> StoredResource:
        """A resource.

        Raises:
            NotFoundError: there is none.
        """
        stored = self.catalog.get(target)
        if stored is None:
            raise missing(target, self.catalog)
        return stored

    async def _load(self, text: bytes, file: str) -> list[Document]:
        # Plugins may have been read anew since.
        types: SettingsTypes = {name: one.settings for name, one in self._connectors.items()}
        return await self._aside(partial(load, text, file, settings_types=types))

    async def change(
        self, plan: Callable[[int], Publication], switched: Mapping[tuple[str, int], Published] | None = None
    ) -> Publication:
        """Change what is published, in turn with everything else; `plan` is given the time in milliseconds.

        `switched` has the older versions that the plan serves again, by route and number.

        Raises:
            PenstockError: what `plan` raises; nothing has changed then.
        """
        async with self._turn:
            publication = await self._aside(partial(plan, self._clock()))
            await self._commit.put([], [], publication, switched)
            return publication

    async def _plan(self, documents: Sequence[Document]) -> tuple[list[Step], Publication]:
        # Only who holds the turn changes the catalog, so the thread sees it whole.
        return await self._aside(partial(self._planned, documents, self._clock()))

    def _planned(self, documents: Sequence[Document], now: int) -> tuple[list[Step], Publication]:
        steps = self._planner.plan(documents, now)
        planned = self.publication_planner.follow(steps, now)
        functions = self.function_planner.follow(steps, now)
        refuse(documents, planned.refused, functions.refused)
        publication = dataclasses.replace(planned.publication, functions=functions.deployed, running=functions.deployed)
        warnings = planned.warnings
        warned = [_warned(step, warnings.get(step.identity.name, "") if _is_route(step) else "") for step in steps]
        return warned, publication

    async def _aside(self, work: Callable[[], T]) -> T:
        # A large manifest takes seconds, and devices must not notice; secrets may have to be read from files.
        return await trio.to_thread.run_sync(work, limiter=self._threads)

    async def _apply(self, steps: Sequence[Step], publication: Publication, *, allow_unreachable: bool) -> Applied:
        tested = await self._test(steps, allow_unreachable=allow_unreachable)
        changed = [step for step in tested if step.action != "unchanged"]
        trouble = await self._commit.put(changed, [], publication)
        warned = [_warned(step, trouble) if step.action != "unchanged" else step for step in tested]
        return Applied(tuple(warned), _versions(publication))

    async def _test(self, steps: Sequence[Step], *, allow_unreachable: bool) -> list[Step]:
        wanted = {step.identity: step.after for step in steps if step.action != "unchanged" and step.wants_test}
        reports = await probe_all(self._probe, wanted)
        failed = {identity: report for identity, report in reports.items() if not report.connected}
        if failed and not allow_unreachable:
            raise UnreachableError(list(failed.items()))
        return [
            _warned(step, f"the test failed: {failed[step.identity].problem}") if step.identity in failed else step
            for step in steps
        ]

    async def _probe(self, stored: StoredResource) -> ConnectionReport:
        return await probe(self._engine, self._open_settings, stored)

    async def _open_settings(self, stored: StoredResource) -> dict[str, Any]:
        return await self._aside(partial(self._credentials.open_settings, stored))

    def _match(self, target: Identity, versions: Sequence[int] | None) -> StoredResource | None:
        stored = self.catalog.get(target)
        if versions is not None and (stored is None or (versions and stored.meta.version not in versions)):
            found = "does not exist" if stored is None else f"has version {stored.meta.version}"
            raise VersionConflictError(f"{target} {found}, which is not the one that was read; read it again")
        return stored

    def _next(self, meta: Meta) -> Meta:
        return Meta(meta.version + 1, meta.created, self._clock())


def missing(target: Identity, catalog: Catalog | None = None) -> NotFoundError:
    """The error for a resource that is not there; with a catalog, it tells what there is of its kind."""
    names = [] if catalog is None else [one.identity.name for one in catalog.of_kind(target.kind)]
    # Where there are thousands, as of devices, to look for it takes too long for an error.
    near = difflib.get_close_matches(target.name, names, 1) if len(names) <= _MOST_COMPARED else []
    shown = f"; `penstock get {target.kind}` shows those there are" if names else ""
    return NotFoundError(f"there is no {target}" + (f"; did you mean {near[0]}?" if near else shown))


def _is_route(step: Step) -> bool:
    return step.identity.kind == "route"


def _versions(publication: Publication) -> tuple[Published, ...]:
    return tuple(version.published for version in publication.versions)


def _warned(step: Step, warning: str) -> Step:
    return dataclasses.replace(step, warnings=(*step.warnings, warning)) if warning else step
