"""Finds connectors: the built-in ones, those of installed packages, and those dropped into a folder."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import structlog

from actors.errors import ConfigurationError
from config.resources import Connection
from plugins import connectors as built_in
from plugins.api import ConnectorType

ENTRY_POINTS = "penstock.plugins"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Where modules of a drop-in folder stand in sys.modules, so that they shadow nothing.
_NAMESPACE = "penstock_plugins"


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that could not be used: which, in what file and line, and why. `line` is 0 where none can be told."""

    plugin: str
    file: str
    line: int
    reason: str


class Connectors(Mapping[str, ConnectorType]):
    """The connectors that were found, by name, and the plugins that failed; one that fails takes no other with it."""

    def __init__(self, types: Mapping[str, ConnectorType], failures: tuple[PluginFailure, ...] = ()) -> None:
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


class _InvalidError(Exception):
    """A module imports well, and declares something that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    plugin: str
    file: str
    load: Callable[[], Any]


def load_connectors(folder: Path | None = None) -> Connectors:
    """Import every connector: built-in ones, entry points of group `penstock.plugins`, then what lies in `folder`.

    In the folder that is each `*.py` and each package; names that begin with an underscore are theirs to import. The
    first connector of a name stays.

    Imports run whatever the modules do, so call it before the loop runs, or in a thread. Failures are logged, and kept
    in `failures`.
    """
    types: dict[str, ConnectorType] = {}
    failures: list[PluginFailure] = []
    for candidate in (*_built_in(), *_installed(), *_dropped_in(folder)):
        try:
            connector = _checked(candidate.load(), types)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything; it is told below
            failure = _failure(candidate, error)
            structlog.get_logger().error(
                "a plugin cannot be used",
                plugin=failure.plugin,
                file=failure.file,
                line=failure.line,
                reason=failure.reason,
            )
            failures.append(failure)
        else:
            types[connector.name] = connector
    return Connectors(types, tuple(failures))


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


def _built_in() -> Iterator[_Candidate]:
    for module in pkgutil.iter_modules(built_in.__path__):
        name = f"{built_in.__name__}.{module.name}"
        yield _Candidate(name, str(Path(built_in.__path__[0]) / f"{module.name}.py"), partial(_imported, name))


def _imported(name: str) -> Any:
    return importlib.import_module(name)


def _installed() -> Iterator[_Candidate]:
    for point in entry_points(group=ENTRY_POINTS):
        yield _Candidate(f"{point.name} ({point.value})", _file_of(point), point.load)


def _file_of(point: EntryPoint) -> str:
    """Where the entry point's module is, without running it; empty where it cannot be found."""
    try:
        spec = importlib.util.find_spec(point.module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    return (spec.origin or "") if spec else ""


def _dropped_in(folder: Path | None) -> Iterator[_Candidate]:
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py":
            yield _Candidate(path.stem, str(path), partial(_from_file, path.stem, path))
        elif (path / "__init__.py").is_file():
            yield _Candidate(path.name, str(path / "__init__.py"), partial(_from_file, path.name, path / "__init__.py"))


def _from_file(name: str, path: Path) -> ModuleType:
    full_name = f"{_NAMESPACE}.{name}"
    spec = importlib.util.spec_from_file_location(full_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    # Annotations of its classes are looked up there.
    sys.modules[full_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full_name]
        raise
    return module


def _checked(loaded: Any, types: Mapping[str, ConnectorType]) -> ConnectorType:
    connector = getattr(loaded, "CONNECTOR", None) if isinstance(loaded, ModuleType) else loaded
    if not isinstance(connector, ConnectorType):
        found = "nothing" if connector is None else type(connector).__name__
        raise _InvalidError(f"it must declare CONNECTOR = ConnectorType(...), and has {found} there")
    if not isinstance(connector.name, str) or not _NAME.fullmatch(connector.name):
        raise _InvalidError(f"its name {connector.name!r} must be letters, digits and . _ -")
    if connector.name in types:
        raise _InvalidError(f"there is a connector {connector.name} already; choose another name")
    _check_settings(connector)
    if not callable(connector.build):
        raise _InvalidError("its build cannot be called")
    return connector


def _check_settings(connector: ConnectorType) -> None:
    settings = connector.settings
    if not (isinstance(settings, type) and issubclass(settings, msgspec.Struct)):
        raise _InvalidError(f"its settings must be a msgspec.Struct class, not {settings!r}")
    if not settings.__struct_config__.forbid_unknown_fields:
        raise _InvalidError(f"its settings {settings.__name__} must forbid_unknown_fields, so that typing errors show")
    unknown = [name for name in connector.secrets if name not in settings.__struct_encode_fields__]
    if unknown:
        raise _InvalidError(f"its secrets name {', '.join(unknown)}, which its settings do not have")


def _failure(candidate: _Candidate, error: BaseException) -> PluginFailure:
    file, line = _place(candidate.file, error)
    reason = str(error) if isinstance(error, _InvalidError) else f"{type(error).__name__}: {error}"
    return PluginFailure(candidate.plugin, file, line, reason)


def _place(file: str, error: BaseException) -> tuple[str, int]:
    """The file and line that a plugin's author should look at."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    if isinstance(error, _InvalidError):
        return file, _line_of_declaration(file)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return file, (frames[-1].lineno or 0) if frames else 0


def _line_of_declaration(file: str) -> int:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((number for number, line in enumerate(lines, 1) if line.startswith("CONNECTOR")), 1)
