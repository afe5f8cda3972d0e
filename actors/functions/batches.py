"""Batches of which one item may spoil the call for all: it is found by halving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actors.errors import (
    FunctionFailedError,
    FunctionMemoryError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.functions.messages import FunctionCalls, FunctionFailure

# Of these one item may be the reason; of the others (missing, busy, lost) none is.
_BY_AN_ITEM = (FunctionFailedError, FunctionTimeoutError, FunctionMemoryError, FunctionResultTooLargeError)


async def call_each(
    functions: FunctionCalls, name: str, items: Sequence[Any], app: str, between: Callable[[], None] | None = None
) -> list[Any]:
    """Results in order, with a `FunctionFailure` for each item that brings none however it is called.

    A call of several that takes too long, or fails as a whole, is made again in halves. `between` is called before
    each call.

    Raises:
        FunctionError: the function cannot be called now, whatever the items are.
    """
    if between is not None:
        between()
    try:
        return await functions.call_batch(name, items, app)
    except _BY_AN_ITEM as error:
        if len(items) == 1:
            return [FunctionFailure(error)]
    middle = len(items) // 2
    first = await call_each(functions, name, items[:middle], app, between)
    return first + await call_each(functions, name, items[middle:], app, between)
