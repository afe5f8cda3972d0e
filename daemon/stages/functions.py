"""Functions: the deployed version of each runs, and what they reach stays open for as long as they are there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import structlog
import trio

from actors.functions.javascript_program import JavaScript
from actors.functions.library import Functions
from actors.runtime.child import ChildSpec
from actors.runtime.supervisor import Supervisor
from config.resources import AnyResource, Function
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.engine import Change
from daemon.outgoing import OutgoingHttp
from daemon.publishing.function_planning import bound, same_code
from daemon.publishing.publications import Publications
from daemon.script_connections import ScriptConnections
from daemon.stages.failures import shown_time

log = structlog.get_logger()

# For calls in flight; less than what the stage has to drain.
_DRAIN_SECONDS = 12.0


class FunctionStage:
    """Makes what runs follow functions as they are applied and deployed, and plugins as they are read anew."""

    kinds = ("function",)

    def __init__(
        self,
        functions: Functions,
        catalog: Catalog,
        publications: Publications,
        *,
        outgoing: OutgoingHttp,
        scripts: ScriptConnections,
        javascript: JavaScript,
    ) -> None:
        self._functions = functions
        self._catalog = catalog
        self._publications = publications
        self._outgoing = outgoing
        self._scripts = scripts
        self._javascript = javascript

    def supervisor(self) -> Supervisor:
        """A fresh supervisor of what functions need at hand."""
        entries = [
            ChildSpec("reach", lambda: _Reach(self._outgoing, self._scripts)),
            # Whoever calls a script while it is started anew is told so.
            ChildSpec("javascript", self._javascript.runtime, shutdown=_DRAIN_SECONDS),
        ]
        return Supervisor("functions", entries)

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Have every function ready before the first caller comes."""
        for resource in resources:
            if isinstance(resource, Function):
                self._put(resource)

    async def follow(self, change: Change) -> None:
        """Run what is deployed now; calls in flight finish with what they began with."""
        match change.after:
            case Function() as function:
                self._put(function)
            case _:
                self._functions.remove(change.identity.name)

    def renew(self, modules: Collection[str]) -> dict[str, str]:
        """Run functions of these plugin modules as the modules are now; answers the functions, and why they cannot."""
        renewed = {}
        for stored in self._catalog.of_kind("function"):
            running = self._publications.running(stored.identity.name)
            function = stored.resource
            if running is not None and running.function.module in modules and isinstance(function, Function):
                self._put(function, anew=True)
                _, problem = self._functions.state(function.name)
                renewed[function.name] = problem if function.enabled else ""
        return renewed

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """Which version runs, and what it has done since the start."""
        stored, running = self._catalog.get(identity), self._publications.running(identity.name)
        function = stored.resource if stored is not None else None
        if not isinstance(function, Function):
            return {}
        statistics = self._functions.statistics(identity.name)
        counted = {} if statistics is None else asdict(statistics) | {"errors": statistics.errors}
        return (
            self._state(function)
            | ({} if running is None else {"version": running.version})
            | counted
            | self._last(identity.name)
        )

    def _state(self, function: Function) -> dict[str, Any]:
        running = self._publications.running(function.name)
        if running is None:
            return {"state": "not deployed"}
        if not function.enabled:
            return {"state": "disabled"}
        _, problem = self._functions.state(function.name)
        if problem:
            return {"state": "failed", "reason": problem}
        return {"state": "deployed" if same_code(running, function) else "changed since it was deployed"}

    def _last(self, name: str) -> dict[str, Any]:
        history = self._functions.history(name)
        failed = [] if history is None else history.runs(failed=True)[:1]
        if not failed:
            return {}
        one = failed[0]
        return {"last_failure": {"at": shown_time(one.at), "run": one.number, "reason": one.reason}}

    def _put(self, function: Function, *, anew: bool = False) -> None:
        running = self._publications.running(function.name)
        if running is None:
            self._functions.put(function, 0)
            return
        self._functions.put(bound(running, function), running.version, anew=anew)
        version, problem = self._functions.state(function.name)
        if not version and function.enabled:
            log.error("function cannot run", function=function.name, version=running.version, reason=problem)


class _Reach:
    """Holds the connections to other systems and databases that functions have opened."""

    def __init__(self, outgoing: OutgoingHttp, scripts: ScriptConnections) -> None:
        self._outgoing = outgoing
        self._scripts = scripts
        self._ending = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._scripts.sweep)
                started()
                await self._ending.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._scripts.close()
                await self._outgoing.close()

    def stop(self) -> None:
        self._ending.set()
