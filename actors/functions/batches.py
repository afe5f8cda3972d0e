"""Batches of which one item may spoil the call for all: it is found by halving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from actors.errors import (
    FunctionBusyError,
    FunctionError,
    FunctionFailedError,
    FunctionLostError,
    FunctionMemoryError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.functions.messages import FunctionCalls, FunctionFailure
from actors.runtime.backoff import Backoff

# Of these one item may be the reason; of the others (missing, busy) none is.
_BY_AN_ITEM = (FunctionFailedError, FunctionTimeoutError, FunctionMemoryError, FunctionResultTooLargeError)
# A process may end for a reason of its own. That an item is the reason is believed of one that, whole batch or single
# item, has lost so many in a row.
_LOST_IN_A_ROW = 3
_BACKOFF = Backoff(initial=0.1, maximum=2.0)


async def call_each(
    functions: FunctionCalls,
    name: str,
    items: Sequence[Any],
    app: str,
    called_by: str = "",
    *,
    between: Callable[[], None] | None = None,
    waits: Callable[[str], None] | None = None,
) -> list[Any]:
    """Results in order, with a `FunctionFailure` for each item that brings none however it is called.

    A call of several that takes too long, or fails as a whole, is made again in halves; items for which there was no
    room in it are called again by themselves. A call that loses its process is made again, and in halves where that
    comes to nothing; a single item that loses one process after the other has failed.

    `between` is called before each call. `waits` hears what keeps the next one waiting, function and reason, and an
    empty text once it goes on.

    Raises:
        FunctionError: the function cannot be called now, whatever the items are.
    """

    def call(part: Sequence[Any]) -> Awaitable[list[Any]]:
        return functions.call_batch(name, part, app, called_by)

    return await _Batches(call, between or _nothing, waits or _nobody).whole(items)


class _Batches:
    def __init__(
        self,
        call: Callable[[Sequence[Any]], Awaitable[list[Any]]],
        between: Callable[[], None],
        waits: Callable[[str], None],
    ) -> None:
        self._call = call
        self._between = between
        self._waits = waits
        self._waiting = False

    async def whole(self, items: Sequence[Any]) -> list[Any]:
        """All of them: whoever asks waits while the function is busy, for nothing is known of them yet."""
        try:
            return await self._once(items)
        except FunctionLostError as error:
            return await self._part(items, patience=_LOST_IN_A_ROW, lost_before=error)

    async def _once(self, items: Sequence[Any]) -> list[Any]:
        self._between()
        try:
            results = await self._call(items)
        except _BY_AN_ITEM as error:
            self._go_on()
            return [FunctionFailure(error)] if len(items) == 1 else await self._halves(items)
        self._go_on()
        late = [place for place, one in enumerate(results) if isinstance(one, FunctionFailure) and one.for_want_of_room]
        if late:
            again = await self._part([items[place] for place in late])
            for place, result in zip(late, again, strict=True):
                results[place] = result
        return results

    async def _halves(self, items: Sequence[Any]) -> list[Any]:
        middle = len(items) // 2
        return await self._part(items[:middle]) + await self._part(items[middle:])

    async def _part(
        self, items: Sequence[Any], *, patience: int = 1, lost_before: FunctionLostError | None = None
    ) -> list[Any]:
        """Likewise; waits while the function is busy: to begin with the whole batch again would never come to an end.

        A function whose processes were ended for an item is refused for a while, which counts as busy. Several items
        are halved once they have lost `patience` processes.
        """
        tries = lost = 0
        error: FunctionError | None = lost_before
        while True:
            if isinstance(error, FunctionLostError):
                lost += 1
                if len(items) > 1 and lost >= patience:
                    return await self._halves(items)
                if lost >= _LOST_IN_A_ROW:
                    return [_crashing(error, lost)]
            if error is not None:
                tries += 1
                await self._wait(error, tries)
            try:
                return await self._once(items)
            except (FunctionBusyError, FunctionLostError) as caught:
                error = caught

    async def _wait(self, error: FunctionError, tries: int) -> None:
        self._waiting = True
        self._waits(str(error))
        await trio.sleep(_BACKOFF.delay(tries))

    def _go_on(self) -> None:
        if self._waiting:
            self._waiting = False
            self._waits("")


def _crashing(error: FunctionLostError, times: int) -> FunctionFailure:
    reason = f"{error.reason}; so it was {times} times in a row, called with nothing else"
    return FunctionFailure(FunctionLostError(error.function, error.version, reason))


def _nothing() -> None:
    """Nobody is to be told of each call."""


def _nobody(_reason: str) -> None:
    """Nobody asks what is waited for."""
