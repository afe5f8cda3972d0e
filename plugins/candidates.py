"""Where plugin modules come from: built-in ones, those of installed packages, and those dropped into a folder."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from plugins import connectors as built_in

ENTRY_POINTS = "penstock.plugins"
NAMESPACE = "penstock_plugins"
"""Where modules of a drop-in folder stand in sys.modules, so that they shadow nothing; a package for their imports."""

Origin = Literal["built-in", "package", "file"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A module that may be a plugin, not yet imported.

    `name` is what manifests call it by, `plugin` what people are told of it by. `fingerprint` tells whether its text
    has changed; it is empty where a change takes a new start of the daemon.
    """

    name: str
    plugin: str
    origin: Origin
    file: str
    load: Callable[[], Any]
    fingerprint: str = ""


def candidates(folder: Path | None) -> Iterator[Candidate]:
    """All of them; of the folder each `*.py` and each package whose name begins with neither `_` nor a dot."""
    yield from _built_in()
    yield from _installed()
    yield from _dropped_in(folder)


@contextmanager
def importing(folder: Path | None) -> Iterator[None]:
    """Around imports: finds what lies in the folder now, and leaves no compiled files there."""
    importlib.invalidate_caches()
    writes_nothing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    if folder is not None:
        package = sys.modules.setdefault(NAMESPACE, ModuleType(NAMESPACE))
        package.__path__ = [str(folder)]
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing


def forget_helpers() -> None:
    """What begins with an underscore is imported anew by the next module that asks for it."""
    package = sys.modules.get(NAMESPACE, ModuleType(NAMESPACE))
    for name in tuple(sys.modules):
        if name.startswith(f"{NAMESPACE}._"):
            del sys.modules[name]
            vars(package).pop(name.removeprefix(f"{NAMESPACE}."), None)


def helpers_fingerprint(folder: Path | None) -> str:
    """Tells whether any of the modules changed that those of the folder share."""
    if folder is None or not folder.is_dir():
        return ""
    return _digest(path for path in sorted(folder.iterdir()) if path.name.startswith("_"))


def _built_in() -> Iterator[Candidate]:
    for module in pkgutil.iter_modules(built_in.__path__):
        full_name = f"{built_in.__name__}.{module.name}"
        file = str(Path(built_in.__path__[0]) / f"{module.name}.py")
        yield Candidate(module.name, full_name, "built-in", file, partial(importlib.import_module, full_name))


def _installed() -> Iterator[Candidate]:
    for point in entry_points(group=ENTRY_POINTS):
        yield Candidate(point.name, f"{point.name} ({point.value})", "package", _file_of(point), point.load)


def _file_of(point: EntryPoint) -> str:
    """Where the entry point's module is, without running it; empty where it cannot be found."""
    try:
        spec = importlib.util.find_spec(point.module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    return (spec.origin or "") if spec else ""


def _dropped_in(folder: Path | None) -> Iterator[Candidate]:
    if folder is None or not folder.is_dir():
        return
    helpers = helpers_fingerprint(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        start = path / "__init__.py"
        if path.suffix == ".py":
            name, file = path.stem, path
        elif start.is_file():
            name, file = path.name, start
        else:
            continue
        yield Candidate(name, name, "file", str(file), partial(_from_file, name, file), helpers + _digest([path]))


def _digest(paths: Any) -> str:
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file}\0".encode())
            try:
                digest.update(file.read_bytes())
            except OSError as error:  # importing it will tell
                digest.update(str(error).encode())
    return digest.hexdigest()


def _from_file(name: str, path: Path) -> ModuleType:
    """Import a file under its name in the namespace; if it fails, what stood there before stands there again."""
    full_name = f"{NAMESPACE}.{name}"
    spec = importlib.util.spec_from_file_location(full_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    before = {one: sys.modules.pop(one) for one in _of(full_name)}
    # Annotations of its classes are looked up there.
    sys.modules[full_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for one in _of(full_name):
            del sys.modules[one]
        sys.modules.update(before)
        raise
    return module


def _of(full_name: str) -> list[str]:
    return [one for one in sys.modules if one == full_name or one.startswith(f"{full_name}.")]
