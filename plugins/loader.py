"""The plugins that are there: found, imported, and read anew when somebody asks for it."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from actors.errors import ConfigurationError
from config.resources import Connection
from plugins.api import ConnectorType, FunctionType
from plugins.candidates import Candidate, Origin, candidates, forget_helpers, helpers_fingerprint, importing
from plugins.declared import Declared, InvalidError, declared, line_of_connector


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that could not be used: which, in what file and line, and why. `line` is 0 where none can be told.

    `kept` says that it serves on as it was before it was changed.
    """

    plugin: str
    file: str
    line: int
    reason: str
    kept: bool = False

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Plugin:
    """One module: what it declares, and why it could not be used as it is now.

    Both are there where a changed module failed: then what it declared before is still in use. `loaded` is when what
    it declares was imported, in seconds since the epoch (0: never).
    """

    name: str
    origin: Origin
    file: str
    declared: Declared | None
    failure: PluginFailure | None
    loaded: float
    fingerprint: str = ""

    @property
    def state(self) -> str:
        """`loaded`, `failed`, or `kept` where it is the module as it was before it was changed."""
        if self.failure is None:
            return "loaded"
        return "failed" if self.declared is None else "kept"


class Connectors(Mapping[str, ConnectorType]):
    """The connectors that there are, by name, and the plugins that failed; one that fails takes no other with it.

    It follows its `Plugins` when these are read anew.
    """

    def __init__(self, types: Mapping[str, ConnectorType], failures: tuple[PluginFailure, ...] = ()) -> None:
        self.become(types, failures)

    def become(self, types: Mapping[str, ConnectorType], failures: tuple[PluginFailure, ...] = ()) -> None:
        """Have these from now on."""
        self._types = dict(sorted(types.items()))
        self.failures = failures

    def __getitem__(self, name: str) -> ConnectorType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def known(self) -> tuple[str, ...]:
        """The names, sorted."""
        return tuple(self._types)

    def named(self, name: str) -> ConnectorType:
        """The connector of a name.

        Raises:
            ConfigurationError: there is none; names those that there are, and the plugins that failed.
        """
        found = self._types.get(name)
        if found is None:
            failed = "".join(f"; plugin {failure.plugin} failed: {failure.reason}" for failure in self.failures)
            raise ConfigurationError(f"there is no connector {name}; there are {', '.join(self._types)}{failed}")
        return found


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What reading plugins anew brought: names of modules that came, changed (also for the worse) and went.

    `connectors` are the names of those whose module changed or went, `functions` those of the modules with a function
    likewise. `failed` are the failures of modules that came or changed, or that are still wrong.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    connectors: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    failed: tuple[PluginFailure, ...] = ()


class Plugins:
    """The modules of one daemon: built-in ones, entry points of group `penstock.plugins`, and those in `folder`.

    Reading imports whatever the modules do, so it belongs into a thread; what it found is then taken over at one moment
    by `adopt`, where its users are. Failures are logged, and kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        # Tracebacks name files by their whole paths, and so does what is told of them.
        self.folder = folder and folder.absolute()
        self.connectors = Connectors({})
        self._modules: tuple[Plugin, ...] = ()
        self._functions: dict[str, FunctionType] = {}
        self._helpers = ""

    @classmethod
    def read_all(cls, folder: Path | None = None) -> Plugins:
        """Find and import all of them; blocks."""
        plugins = cls(folder)
        plugins.adopt(plugins.read())
        return plugins

    def __iter__(self) -> Iterator[Plugin]:
        """Every module, those that failed too."""
        return iter(self._modules)

    def function(self, module: str) -> FunctionType:
        """The function that a module declares.

        Raises:
            ConfigurationError: there is no such module, it failed, or it declares none; says which.
        """
        found = self._functions.get(module)
        if found is not None:
            return found
        for plugin in self._modules:
            if plugin.name == module and plugin.failure is not None:
                failure = plugin.failure
                mend = "mend it and run penstock plugins reload"
                raise ConfigurationError(f"plugin {module} failed: {failure.place}: {failure.reason}; {mend}")
            if plugin.name == module:
                raise ConfigurationError(
                    f"plugin {module} ({plugin.file}) declares no function: @function before an `async def`"
                )
        known = ", ".join(sorted(self._functions)) or "none"
        where = f"drop {module}.py into {self.folder} and run penstock plugins reload" if self.folder else "install it"
        raise ConfigurationError(f"there is no plugin module {module}; those with a function: {known}; {where}")

    def read(self) -> tuple[Plugin, ...]:
        """Import what is new, changed, or failed before; what did not change stays as it is. Blocks.

        Modules of installed packages, and built-in ones, are imported once; a new version of them takes a new start.
        """
        before = {(one.origin, one.name, one.file): one for one in self._modules}
        helpers = helpers_fingerprint(self.folder)
        if helpers != self._helpers:
            forget_helpers()
        self._helpers = helpers
        with importing(self.folder):
            return _without_doubles(
                [_read(one, before.get((one.origin, one.name, one.file))) for one in candidates(self.folder)]
            )

    def adopt(self, modules: Sequence[Plugin]) -> Reloaded:
        """Use these from now on; says what became of those before."""
        before = {(one.origin, one.name): one for one in self._modules}
        now = {(one.origin, one.name): one for one in modules}
        changed = [one for key, one in now.items() if key in before and _differs(before[key], one)]
        removed = [one for key, one in before.items() if key not in now]
        # A module that failed and is kept brings nothing new.
        renewed = [before[one.origin, one.name] for one in changed if one.state != "kept"] + removed
        renewed += [one for one in changed if one.state != "kept"] + [
            one for key, one in now.items() if key not in before
        ]
        self._modules = tuple(modules)
        usable = [(one.name, one.declared) for one in modules if one.declared is not None]
        failures = tuple(one.failure for one in modules if one.failure is not None)
        types = {declares.connector.name: declares.connector for _, declares in usable if declares.connector}
        self.connectors.become(types, failures)
        self._functions = {name: declares.function for name, declares in usable if declares.function}
        return Reloaded(
            added=tuple(one.name for key, one in now.items() if key not in before),
            changed=tuple(one.name for one in changed),
            removed=tuple(one.name for one in removed),
            connectors=_names(
                one.declared.connector.name for one in renewed if one.declared and one.declared.connector
            ),
            functions=_names(one.name for one in renewed if one.declared and one.declared.function),
            failed=failures,
        )


def load_connectors(folder: Path | None = None) -> Connectors:
    """The connectors of all plugins, for whoever needs nothing else of them. Blocks."""
    return Plugins.read_all(folder).connectors


def settings_of(
    connection: Connection, connector: ConnectorType, settings: Mapping[str, Any] | None = None
) -> msgspec.Struct:
    """The settings of a connection as its connector wants them; `settings` stands for its own, secrets filled in.

    Raises:
        ConfigurationError: they do not fit; names the connection, the reason and the path (`$.settings.port`).
    """
    given = connection.settings if settings is None else dict(settings)
    try:
        return msgspec.convert(given, connector.settings)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        where = f"$.settings{path.rstrip('`')}"
        raise ConfigurationError(f"connection {connection.name}: {reason} - at `{where}`") from error


async def prepare(connector: ConnectorType) -> None:
    """Have a connector import what it needs for connections, in a thread; to be called before its `build`.

    Raises:
        ConfigurationError: it cannot; says why.
    """
    if connector.prepare is None:
        return
    try:
        await trio.to_thread.run_sync(connector.prepare, limiter=trio.CapacityLimiter(1))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"connector {connector.name} cannot be used: {reason}") from error


def _read(candidate: Candidate, before: Plugin | None) -> Plugin:
    """A module as it is now; as it was before, where it has not changed, or fails."""
    if before is not None and before.failure is None and before.fingerprint == candidate.fingerprint:
        return before
    try:
        found = declared(candidate.load())
    except BaseException as error:  # a plugin may raise anything; it is told below
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        failure = replace(_failure(candidate, error), kept=before is not None and before.declared is not None)
        _tell(failure)
        kept = (None, 0.0) if before is None else (before.declared, before.loaded)
        return Plugin(
            candidate.name, candidate.origin, candidate.file, kept[0], failure, kept[1], candidate.fingerprint
        )
    return Plugin(candidate.name, candidate.origin, candidate.file, found, None, time.time(), candidate.fingerprint)


def _without_doubles(modules: Sequence[Plugin]) -> tuple[Plugin, ...]:
    """The first connector of a name stays, and the first module."""
    connectors: set[str] = set()
    names: set[str] = set()
    kept = []
    for one in modules:
        connector = one.declared.connector if one.declared is not None else None
        reason = ""
        if connector is not None and connector.name in connectors:
            reason = f"there is a connector {connector.name} already; choose another name"
        elif one.name in names:
            reason = f"there is a plugin {one.name} already; choose another name"
        if reason and one.declared is not None:
            line = line_of_connector(one.file) if connector is not None else 1
            failure = PluginFailure(one.name, one.file, line, reason)
            _tell(failure)
            kept.append(replace(one, declared=None, failure=failure))
            continue
        names.add(one.name)
        if connector is not None:
            connectors.add(connector.name)
        kept.append(one)
    return tuple(kept)


def _differs(before: Plugin, now: Plugin) -> bool:
    return (before.fingerprint, before.loaded, before.failure) != (now.fingerprint, now.loaded, now.failure)


def _names(found: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))


def _tell(failure: PluginFailure) -> None:
    kept = "a plugin that was changed cannot be used; it serves on as it was"
    structlog.get_logger().error(
        kept if failure.kept else "a plugin cannot be used",
        plugin=failure.plugin,
        file=failure.file,
        line=failure.line,
        reason=failure.reason,
    )


def _failure(candidate: Candidate, error: BaseException) -> PluginFailure:
    file, line = _place(candidate.file, error)
    return PluginFailure(candidate.plugin, file, line, _reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, InvalidError):
        return str(error)
    # The text of a syntax error has file and line once more.
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _place(file: str, error: BaseException) -> tuple[str, int]:
    """The file and line that a plugin's author should look at."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    if isinstance(error, InvalidError):
        return file, error.line or line_of_connector(file)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return file, (frames[-1].lineno or 0) if frames else 0
