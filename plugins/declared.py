"""What a plugin module declares, and whether it can be used: a connector, a function, or both."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from plugins.api import ConnectorType, FunctionType

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class InvalidError(Exception):
    """A module imports well, and declares something that cannot be used; `line` is 0 where none can be told."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, slots=True)
class Declared:
    """What a module brings."""

    connector: ConnectorType | None = None
    function: FunctionType | None = None

    def words(self) -> str:
        """For people: `connector sqlite`, `function`."""
        parts = [] if self.connector is None else [f"connector {self.connector.name}"]
        if self.function is not None:
            parts.append("function with a batch of its own" if self.function.batch else "function")
        return ", ".join(parts)


def declared(loaded: Any) -> Declared:
    """What a module declares, or an entry point that names one thing of a module.

    Raises:
        InvalidError: it declares nothing, or something that cannot be used; says what is wrong.
    """
    connector, function = _found(loaded)
    if connector is None and function is None:
        wanted = "CONNECTOR = ConnectorType(...), or an `async def` under @function"
        raise InvalidError(f"it must declare {wanted}, and has nothing of the kind")
    if connector is not None:
        _check_connector(connector)
    if function is not None:
        _check_call(function.call, "data")
        if function.batch is not None:
            _check_call(function.batch, "items")
    return Declared(connector, function)


def line_of_connector(file: str) -> int:
    """Where a module declares its connector; its first line where that is not to be seen, 0 where nothing is."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    return next((number for number, line in enumerate(lines, 1) if line.startswith("CONNECTOR")), 1)


def _found(loaded: Any) -> tuple[ConnectorType | None, FunctionType | None]:
    if isinstance(loaded, ConnectorType):
        return loaded, None
    if isinstance(loaded, FunctionType):
        return None, loaded
    if not isinstance(loaded, ModuleType):
        raise InvalidError(f"it must name a module, a ConnectorType or a function, and names {type(loaded).__name__}")
    connector = getattr(loaded, "CONNECTOR", None)
    if connector is not None and not isinstance(connector, ConnectorType):
        reason = f"it must declare CONNECTOR = ConnectorType(...), and has {type(connector).__name__} there"
        raise InvalidError(reason)
    functions = dict(_functions(loaded))
    if len(functions) > 1:
        names = ", ".join(functions.values())
        raise InvalidError(f"it declares several functions ({names}), and a module has one: make a module of each")
    return connector, next(iter(functions), None)


def _functions(module: ModuleType) -> Iterator[tuple[FunctionType, str]]:
    """Those of the module itself, and what a package takes from its own modules; not what it imports from elsewhere."""
    for name, value in vars(module).items():
        if isinstance(value, FunctionType):
            home = str(getattr(value.call, "__module__", module.__name__))
            if home == module.__name__ or home.startswith(f"{module.__name__}."):
                yield value, name


def _check_connector(connector: ConnectorType) -> None:
    if not isinstance(connector.name, str) or not _NAME.fullmatch(connector.name):
        raise InvalidError(f"its name {connector.name!r} must be letters, digits and . _ -")
    _check_settings(connector)
    if not callable(connector.build):
        raise InvalidError("its build cannot be called")


def _check_settings(connector: ConnectorType) -> None:
    settings = connector.settings
    if not (isinstance(settings, type) and issubclass(settings, msgspec.Struct)):
        raise InvalidError(f"its settings must be a msgspec.Struct class, not {settings!r}")
    if not settings.__struct_config__.forbid_unknown_fields:
        raise InvalidError(f"its settings {settings.__name__} must forbid_unknown_fields, so that typing errors show")
    unknown = [name for name in connector.secrets if name not in settings.__struct_encode_fields__]
    if unknown:
        raise InvalidError(f"its secrets name {', '.join(unknown)}, which its settings do not have")


def _check_call(call: Callable[..., Any], first: str) -> None:
    code = getattr(call, "__code__", None)
    name = getattr(call, "__name__", type(call).__name__)
    line = 0 if code is None else int(code.co_firstlineno)
    if not callable(call):
        raise InvalidError(f"its function cannot be called: it is {call!r}", line)
    # An object that can be called has its coroutine in `__call__`.
    if not any(map(inspect.iscoroutinefunction, (call, getattr(call, "__call__", None)))):  # noqa: B004 - not a test
        raise InvalidError(f"its function {name} must be `async def`, for it runs in the daemon's own loop", line)
    try:
        inspect.signature(call).bind(None, None)
    except TypeError:
        raise InvalidError(f"its function {name} must take two arguments, `{first}` and `context`", line) from None
