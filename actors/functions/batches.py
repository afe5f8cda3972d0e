"""Batches of which one item may spoil the call for all: it is found by halving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio

from actors.errors import (
    FunctionBusyError,
    FunctionFailedError,
    FunctionMemoryError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.functions.messages import FunctionCalls, FunctionFailure
from actors.runtime.backoff import Backoff

# Of these one item may be the reason; of the others (missing, busy, lost) none is.
_BY_AN_ITEM = (FunctionFailedError, FunctionTimeoutError, FunctionMemoryError, FunctionResultTooLargeError)
_BACKOFF = Backoff(initial=0.1, maximum=2.0)


async def call_each(  # noqa: PLR0917 - those of `call_batch`, and what halving needs
    functions: FunctionCalls,
    name: str,
    items: Sequence[Any],
    app: str,
    called_by: str = "",
    between: Callable[[], None] | None = None,
) -> list[Any]:
    """Results in order, with a `FunctionFailure` for each item that brings none however it is called.

    A call of several that takes too long, or fails as a whole, is made again in halves; items for which there was no
    room in it are called again by themselves. `between` is called before each call.

    Raises:
        FunctionError: the function cannot be called now, whatever the items are.
    """
    if between is not None:
        between()
    try:
        results = await functions.call_batch(name, items, app, called_by)
    except _BY_AN_ITEM as error:
        if len(items) == 1:
            return [FunctionFailure(error)]
        middle = len(items) // 2
        first = await _call_part(functions, name, items[:middle], app, called_by, between)
        return first + await _call_part(functions, name, items[middle:], app, called_by, between)
    late = [place for place, one in enumerate(results) if isinstance(one, FunctionFailure) and one.for_want_of_room]
    if late:
        again = await _call_part(functions, name, [items[place] for place in late], app, called_by, between)
        for place, result in zip(late, again, strict=True):
            results[place] = result
    return results


async def _call_part(  # noqa: PLR0917 - as above
    functions: FunctionCalls,
    name: str,
    items: Sequence[Any],
    app: str,
    called_by: str,
    between: Callable[[], None] | None,
) -> list[Any]:
    """Likewise; waits while the function is busy: to begin with the whole batch again would never come to an end.

    A function whose processes were ended for an item is refused for a while, which counts as busy.
    """
    failures = 0
    while True:
        try:
            return await call_each(functions, name, items, app, called_by, between)
        except FunctionBusyError:
            failures += 1
        await trio.sleep(_BACKOFF.delay(failures))
