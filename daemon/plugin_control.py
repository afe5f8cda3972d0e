"""Plugin modules while they are in use: which there are, and reading them anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from actors.errors import PenstockError
from config.resources import Connection
from daemon.catalog.catalog import Catalog
from daemon.stages.functions import FunctionStage
from plugins.loader import Plugin, PluginFailure, Plugins

log = structlog.get_logger()


class Rebuilding(Protocol):
    """What builds connections anew."""

    async def rebuild_connection(self, name: str) -> None:
        """Build the connector of a connection anew; raises PenstockError."""


@dataclass(frozen=True, slots=True)
class PluginReload:
    """What reading plugins anew brought: modules by name, and the functions and connections that follow them.

    `problems` are functions that cannot run any more, connections that could not be built anew, and why. `folder` is
    where modules are dropped in.
    """

    added: Sequence[str]
    changed: Sequence[str]
    removed: Sequence[str]
    failed: Sequence[PluginFailure]
    functions: Sequence[str]
    connections: Sequence[str]
    problems: Sequence[str]
    folder: str
    folder_is_there: bool


class PluginControl:
    """Reads plugins anew, one reading at a time.

    Functions of a changed module run as it is now; calls in flight finish with what they began with. Connections of a
    changed connector are built anew as after a change of their settings: tasks that use them wait meanwhile, and a
    query in flight ends with an error that says that the connection was closed. Nothing else is touched. A module that
    fails keeps what it declared before.
    """

    def __init__(self, plugins: Plugins, catalog: Catalog, functions: FunctionStage, engine: Rebuilding) -> None:
        self._plugins = plugins
        self._catalog = catalog
        self._functions = functions
        self._engine = engine
        self._turn = trio.Lock()

    def plugins(self) -> Sequence[Plugin]:
        """Every module, those that failed too."""
        return tuple(self._plugins)

    async def reload(self) -> PluginReload:
        """Pick up what changed."""
        async with self._turn:
            folder = self._plugins.folder
            modules = await trio.to_thread.run_sync(self._plugins.read)
            there = folder is not None and await trio.Path(folder).is_dir()
            # What was imported is to be used whole, also where whoever asked for it has gone.
            with trio.CancelScope(shield=True):
                told = await self._adopt(modules, folder_is_there=there)
            return told  # noqa: RET504 - a cancel scope may end its block early, as far as types can tell

    async def reload_quietly(self) -> None:
        """Pick up what changed; the log tells what became of it."""
        try:
            await self.reload()
        except OSError as error:
            log.error("plugins not read anew", folder=str(self._plugins.folder), reason=str(error))  # noqa: TRY400

    async def _adopt(self, modules: Sequence[Plugin], *, folder_is_there: bool) -> PluginReload:
        told = self._plugins.adopt(modules)
        renewed = self._functions.renew(told.functions)
        functions = [name for name, problem in renewed.items() if not problem]
        problems = [f"function {name} cannot run: {problem}" for name, problem in renewed.items() if problem]
        connections = [
            stored.identity.name
            for stored in self._catalog.of_kind("connection")
            if isinstance(stored.resource, Connection) and stored.resource.connector in told.connectors
        ]
        for name in connections:
            try:
                await self._engine.rebuild_connection(name)
            except PenstockError as error:
                problems.append(str(error))
        reload = PluginReload(
            told.added,
            told.changed,
            told.removed,
            told.failed,
            functions,
            connections,
            problems,
            str(self._plugins.folder or ""),
            folder_is_there,
        )
        log.info(
            "plugins read anew",
            added=told.added,
            changed=told.changed,
            removed=told.removed,
            failed=[one.plugin for one in told.failed],
            functions=functions,
            connections=connections,
            problems=problems,
        )
        return reload
