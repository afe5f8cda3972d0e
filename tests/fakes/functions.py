"""Functions in memory: Python callables under names, in place of those that are deployed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from actors.errors import FunctionError, FunctionFailedError, FunctionMissingError
from actors.functions.messages import FunctionFailure


class FakeFunctions:
    """A `FunctionCalls`: what a callable raises that is no FunctionError is its own failure."""

    def __init__(self, **functions: Callable[[Any], Any]) -> None:
        self._functions: dict[str, Callable[[Any], Any]] = {}
        self._editions: dict[str, object] = {}
        self.calls: list[tuple[str, Any, str]] = []
        self.batches: list[int] = []
        self.callers: set[str] = set()
        """What of the apps has called."""
        self.shut: dict[str, FunctionError] = {}
        """Functions none of which can be called at all, and why."""
        for name, function in functions.items():
            self.put(name, function)

    def put(self, name: str, function: Callable[[Any], Any]) -> None:
        self._functions[name] = function
        self._editions[name] = object()

    async def call(self, name: str, data: Any, app: str, called_by: str = "") -> Any:
        self._require(name)
        self.callers.add(called_by)
        self.calls.append((name, data, app))
        return await self._run(name, data)

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        self._require(name)
        self.callers.add(called_by)
        self.batches.append(len(items))
        results: list[Any] = []
        for item in items:
            self.calls.append((name, item, app))
            try:
                results.append(await self._run(name, item))
            except FunctionFailedError as error:
                results.append(FunctionFailure(error))
        return results

    def problem(self, name: str, app: str) -> str:
        return "" if name in self._functions and name not in self.shut else f"function {name} is not there for {app}"

    def edition(self, name: str) -> object | None:
        return self._editions.get(name)

    def _require(self, name: str) -> None:
        if name in self.shut:
            raise self.shut[name]
        if name not in self._functions:
            raise FunctionMissingError(name, 0, "there is none of this name")

    async def _run(self, name: str, data: Any) -> Any:
        try:
            answer = self._functions[name](data)
            return await answer if inspect.isawaitable(answer) else answer
        except FunctionError:
            raise
        except Exception as error:
            raise FunctionFailedError(name, 1, f"{type(error).__name__}: {error}") from error
