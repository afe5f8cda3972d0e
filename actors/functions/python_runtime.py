"""Functions in Python: coroutines of plugin modules, called where they are, in the daemon's own loop."""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.errors import (
    ConfigurationError,
    FunctionError,
    FunctionFailedError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
    PenstockError,
)
from actors.functions.context import RunContext
from actors.functions.declaration import FunctionType
from actors.functions.messages import FunctionFailure
from actors.sizes import size_words
from config.resources import Function

FindModule = Callable[[str], FunctionType]
"""The function that a plugin module declares; raises ConfigurationError, which says why there is none."""

# A function that never waits would keep everybody else waiting for a whole batch.
_ITEMS_A_TURN = 64


class PythonProgram:
    """A plugin's function under the limits of one version (a `Program`).

    It is trusted: what it does in the daemon's memory, and how long it goes on without waiting for anything, is not
    bounded. The time that it has is, as soon as it waits.
    """

    def __init__(self, function: Function, version: int, find: FindModule) -> None:
        if function.module is None:
            raise ConfigurationError(f"function {function.name} names no module")
        declared = find(function.module)
        self._call = declared.call
        self._batch = declared.batch
        code = getattr(inspect.unwrap(declared.call), "__code__", None)
        self._file = "" if code is None else str(code.co_filename)
        self._name = function.name
        self._version = version
        self._seconds = function.timeout_ms / 1000
        self._max_bytes = function.max_result_bytes

    async def call(self, data: Any, context: RunContext) -> bytes:
        """Run it once."""
        with trio.move_on_after(self._seconds):
            try:
                result = await self._call(data, context)
            except BaseException as error:
                raise self._failed(error) from error
            return self._encoded(result)
        raise self._too_slow()

    async def call_batch(self, items: Sequence[Any], context: RunContext) -> list[bytes | FunctionFailure]:
        """Run it on several values; without a batch function of its own, each has the time of a call."""
        if self._batch is None:
            return await self._one_by_one(items, context)
        with trio.move_on_after(self._seconds):
            try:
                results = await self._batch(items, context)
            except BaseException as error:
                raise self._failed(error) from error
            return self._judged_all(results, len(items))
        raise self._too_slow()

    def close(self) -> None:
        """Modules stay."""

    async def _one_by_one(self, items: Sequence[Any], context: RunContext) -> list[bytes | FunctionFailure]:
        results: list[bytes | FunctionFailure] = []
        while len(results) < len(items):
            # One scope for all of them; only after a time-out another.
            with trio.CancelScope() as time:
                while len(results) < len(items):
                    time.deadline = trio.current_time() + self._seconds
                    results.append(await self._tried(items[len(results)], context))
                    if len(results) % _ITEMS_A_TURN == 0:
                        time.deadline = math.inf  # what is late now is nobody's who comes next
                        await trio.lowlevel.checkpoint()
            if time.cancelled_caught:
                results.append(FunctionFailure(self._too_slow()))
        return results

    async def _tried(self, item: Any, context: RunContext) -> bytes | FunctionFailure:
        try:
            return self._encoded(await self._call(item, context))
        except FunctionError as error:
            return FunctionFailure(error)
        except BaseException as error:  # noqa: BLE001 - as above
            return FunctionFailure(self._failed(error))

    def _judged_all(self, results: Any, wanted: int) -> list[bytes | FunctionFailure]:
        if not isinstance(results, list | tuple) or len(results) != wanted:
            found = f"{len(results)} of them" if isinstance(results, list | tuple) else type(results).__name__
            reason = f"its batch function must answer with a list of {wanted} results, and answered with {found}"
            raise FunctionFailedError(self._name, self._version, reason)
        return [self._judged(result) for result in results]

    def _judged(self, result: Any) -> bytes | FunctionFailure:
        if isinstance(result, Exception):
            return FunctionFailure(self._failed(result))
        try:
            return self._encoded(result)
        except FunctionError as error:
            return FunctionFailure(error)

    def _encoded(self, result: Any) -> bytes:
        try:
            encoded = msgspec.json.encode(result)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            reason = f"its answer cannot be written as JSON: {error}"
            raise FunctionFailedError(self._name, self._version, reason) from error
        if len(encoded) > self._max_bytes:
            reason = (
                f"its answer has {len(encoded)} bytes, and may have {size_words(self._max_bytes)} (`max_result_bytes`)"
            )
            raise FunctionResultTooLargeError(self._name, self._version, reason)
        return encoded

    def _failed(self, error: BaseException) -> FunctionError:
        """What a function raised, as its own error, whatever it is; a cancellation goes on to whom it is for."""
        if isinstance(error, trio.Cancelled | GeneratorExit):
            raise error
        if isinstance(error, BaseExceptionGroup) and (cancelled := error.split(trio.Cancelled)[0]) is not None:
            raise cancelled
        return FunctionFailedError(self._name, self._version, told(error, self._file))

    def _too_slow(self) -> FunctionError:
        reason = f"it took longer than its `timeout_ms`, {self._seconds * 1000:g}, and was ended"
        return FunctionTimeoutError(self._name, self._version, reason)


def told(error: BaseException, file: str) -> str:
    """What a plugin raised: in words where it came from this program, else with its type and where.

    That is the last place in the folder of the plugin's `file`, which its author knows, and not one in a library.
    """
    frames = traceback.extract_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
        frames = traceback.extract_tb(error.__traceback__) or frames
    if isinstance(error, PenstockError):
        return str(error)
    own = [frame for frame in frames if Path(frame.filename).parent == Path(file).parent] or frames
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    said = str(error)
    return f"{type(error).__name__}: {said}{place}" if said else f"{type(error).__name__}{place}"
