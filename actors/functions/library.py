"""The functions that run: by name, the deployed version of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from actors.errors import FunctionMissingError
from config.resources import Function


class Program(Protocol):
    """The code of one version of one function, ready to be called, in either language."""

    async def call(self, data: Any, context: Any) -> Any:
        """Run it once."""


class Functions:
    """Calls functions by name (a `FunctionCalls`)."""

    async def call(self, name: str, data: Any, app: str) -> Any:
        """Run a function on one JSON value, for an app (see `FunctionCalls.call`)."""
        raise FunctionMissingError(name, 0, f"there is none that app {app} may call with {type(data).__name__}")

    async def call_batch(self, name: str, items: Sequence[Any], app: str) -> list[Any]:
        """Run a function on several values (see `FunctionCalls.call_batch`)."""
        raise FunctionMissingError(name, 0, f"there is none that app {app} may call with {len(items)} items")

    def problem(self, name: str, app: str) -> str:
        """Why a function could not be called by an app now; empty where it can."""
        return f"there is no function {name} that app {app} may call"

    def put(self, function: Function, version: int) -> None:
        """Run this version from now on."""
        raise NotImplementedError
