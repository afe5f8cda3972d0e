"""Functions in JavaScript, as the library calls them: by the runtime that lives now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from actors.errors import ConfigurationError, FunctionBusyError, FunctionError, FunctionFailedError, PenstockError
from actors.functions.context import RunContext
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.javascript.runtime import JavaScriptRuntime
from actors.functions.messages import FunctionFailure
from actors.functions.program import SAVED
from actors.functions.script_host import ScriptHost
from config.resources import Function
from config.settings import JavaScriptSettings

log = structlog.get_logger()

# A script is the body of a function (see the prelude): it is read as one, and not run.
_READER = "function execute(data) { new Function(JSON.parse(data)); return true }"
# Where it cannot be read is told by what loads it. Before a script, this sees to it that nothing of it runs even so.
_NEVER = "throw 0;"


class _NoHost:
    """For what asks for nothing (see `actors.functions.javascript.messages.Host`)."""

    def begun(self, waited: float) -> None:
        """Nobody asks."""

    def log(self, message: str) -> None:
        """Nobody listens."""

    def left_out(self, count: int) -> None:
        """Nor of those that were too many."""

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """There is nothing to be had."""
        raise PenstockError(f"nothing is to be asked for here, {operation} with {len(arguments)} arguments neither")


class JavaScript:
    """The runtime of scripts, which is another one after each of its lives."""

    def __init__(self, settings: JavaScriptSettings) -> None:
        self._settings = settings
        self._runtime: JavaScriptRuntime | None = None

    def runtime(self) -> JavaScriptRuntime:
        """A fresh runtime, for the supervisor; calls go to it from now on."""
        self._runtime = JavaScriptRuntime(self._settings)
        return self._runtime

    @property
    def now(self) -> JavaScriptRuntime | None:
        """The runtime that lives now; None before its first life."""
        return self._runtime

    async def syntax_problem(self, function: Function) -> str:
        """Why V8 cannot read a script; empty where it can, or where nobody can be asked now. Nothing of it is run."""
        runtime = self._runtime
        if runtime is None or function.source is None:
            return ""
        host = _NoHost()

        async def failure(source: str, data: object) -> str:
            reader = FunctionVersion(function.app, function.name, SAVED, source)
            try:
                await runtime.call(reader, msgspec.json.encode(data), host)
            except FunctionFailedError as error:
                return error.reason
            except FunctionError as error:
                log.warning("script not checked", function=function.name, reason=error.reason)
            return ""

        problem = await failure(_READER, function.source)
        if not problem:
            return ""
        placed = await failure(_NEVER + function.source, None)
        return f"the script cannot be read: {placed if placed.startswith('SyntaxError') else problem}"

    def forget(self, app: str, name: str) -> None:
        """A function is gone, or has another version: its script need not stay loaded."""
        if self._runtime is not None:
            self._runtime.forget(app, name)


class JavaScriptProgram:
    """A script under the limits of one version (a `Program`)."""

    def __init__(self, function: Function, version: int, javascript: JavaScript) -> None:
        if function.source is None:
            raise ConfigurationError(f"function {function.name} has no source")
        limits = Limits(function.timeout_ms / 1000, function.max_memory, function.max_result_bytes)
        self._version = FunctionVersion(function.app, function.name, version, function.source, limits)
        self._javascript = javascript

    async def call(self, data: Any, context: RunContext) -> bytes:
        """Run the script once."""
        return await self._runtime().call(self._version, self._encoded(data), ScriptHost(context))

    async def call_batch(self, items: Sequence[Any], context: RunContext) -> list[bytes | FunctionFailure]:
        """Run the script on each of several values, one after the other, in one process."""
        encoded = [self._encoded(item) for item in items]
        return await self._runtime().call_batch(self._version, encoded, ScriptHost(context))

    def close(self) -> None:
        """Unload the script, wherever it is loaded; one that was only tested makes room by itself."""
        if self._version.version != SAVED:
            self._javascript.forget(self._version.app, self._version.name)

    def _runtime(self) -> JavaScriptRuntime:
        runtime = self._javascript.now
        if runtime is None:
            name, number = self._version.name, self._version.version
            raise FunctionBusyError(name, number, "what runs JavaScript is being started; it did not run")
        return runtime

    def _encoded(self, data: Any) -> bytes:
        try:
            return msgspec.json.encode(data)
        except (TypeError, ValueError, RecursionError) as error:
            name, number = self._version.name, self._version.version
            raise FunctionFailedError(name, number, f"what it was called with is no JSON: {error}") from error
