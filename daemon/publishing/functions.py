"""What one does with functions by hand: test, deploy, switch, look at their runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actors.errors import ConfigurationError
from actors.functions.library import Functions, Tried
from actors.functions.runs import Run
from actors.ports import AuditEntry, AuditTrail
from config.resources import Function
from config.resources.identity import Identity
from daemon.catalog.errors import NotFoundError
from daemon.catalog.service import CatalogService, missing
from daemon.publishing.resolve import UnpublishableError
from daemon.store.function_versions import FunctionEntry, FunctionVersion
from daemon.store.model import Store
from daemon.store.publications import Publication


class FunctionLife:
    """The life of functions; each method raises PenstockError with a text for a person."""

    def __init__(self, service: CatalogService, store: Store, functions: Functions, audit: AuditTrail) -> None:
        self._service = service
        self._store = store
        self._functions = functions
        self._audit = audit

    async def deploy(self, name: str, remark: str = "") -> FunctionVersion:
        """Run a function as it is saved from now on; the version that runs, which is the old one if that is the same.

        Raises:
            NotFoundError: there is no such function.
            UnpublishableError: it could not run.
        """
        before = self._service.publications.running(name)

        def plan(now: int) -> Publication:
            function = self._saved(name)
            with _told_of(f"function {name} is not deployed"):
                return self._service.function_planner.deploy(function, now, remark)

        await self._service.change(plan)
        return await self._changed(name, "deploy", before, remark)

    async def versions(self, name: str) -> Sequence[FunctionEntry]:
        """The versions of a function that are kept, the newest first.

        Raises:
            NotFoundError: there is no such function.
        """
        self._saved(name)
        return await self._store.load_function_versions(name)

    async def switch(self, name: str, version: int) -> FunctionVersion:
        """Run another version of a function from now on.

        Raises:
            NotFoundError: there is no such function, or no such version any more.
            UnpublishableError: it could not run any more.
        """
        self._saved(name)
        wanted = await self._store.load_function_version(name, version)
        if wanted is None:
            shows = f"`penstock function versions {name}` shows those that are kept"
            raise NotFoundError(f"function {name} has no version {version}; {shows}")
        before = self._service.publications.running(name)

        def plan(_now: int) -> Publication:
            self._saved(name)
            with _told_of(f"version {version} of function {name} cannot run any more"):
                return self._service.function_planner.switch(wanted)

        await self._service.change(plan)
        return await self._changed(name, "switch", before, "")

    async def test(self, name: str, data: Any) -> Tried:
        """Run a function as it is saved, deployed or not, as its own app would; what it does is done.

        Raises:
            NotFoundError: there is no such function.
            UnpublishableError: its code is not there, or cannot be read.
        """
        function = self._saved(name)
        try:
            return await self._functions.trial(function, data)
        except ConfigurationError as error:
            raise UnpublishableError("$", f"function {name} cannot run: {error}") from error

    def problem(self, name: str) -> str:
        """Why the version that was deployed does not run; empty where it does."""
        _, problem = self._functions.state(name)
        return problem

    def runs(self, name: str, *, failed: bool = False) -> Sequence[Run]:
        """The last runs of a function, the newest first; or the last that failed.

        Raises:
            NotFoundError: there is no such function.
        """
        self._saved(name)
        history = self._functions.history(name)
        return [] if history is None else history.runs(failed=failed)

    def run(self, name: str, number: int) -> Run:
        """One of the last runs.

        Raises:
            NotFoundError: there is no such function, or it does not remember this run.
        """
        self._saved(name)
        history = self._functions.history(name)
        found = None if history is None else history.run(number)
        if found is None:
            shows = f"`penstock function runs {name}` shows those that are kept"
            raise NotFoundError(f"function {name} remembers no run {number}; {shows}")
        return found

    async def _changed(self, name: str, action: str, before: FunctionVersion | None, remark: str) -> FunctionVersion:
        running = self._service.publications.running(name)
        if running is None:
            raise missing(Identity("function", name))
        if running != before:
            entry = AuditEntry(
                at=time.time_ns() // 1_000_000,
                by="operator",
                subject=f"function {name}",
                action=action,
                before="" if before is None else f"version {before.version}",
                after=f"version {running.version}",
                reason=remark,
            )
            await self._audit.record(entry)
        return running

    def _saved(self, name: str) -> Function:
        target = Identity("function", name)
        resource = self._service.require(target).resource
        if not isinstance(resource, Function):
            raise missing(target)
        return resource


@contextmanager
def _told_of(what: str) -> Iterator[None]:
    """Say first what did not come about, then why."""
    try:
        yield
    except UnpublishableError as error:
        raise UnpublishableError(error.path, f"{what}: {error}") from error
