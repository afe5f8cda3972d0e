"""Batches of which one item spoils the call for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from actors.errors import FunctionBusyError, FunctionError, FunctionMissingError, FunctionTimeoutError
from actors.functions.batches import call_each
from actors.functions.messages import FunctionFailure
from tests.fakes.functions import FakeFunctions


class Hanging(FakeFunctions):
    """Takes too long for any batch with a 13 in it."""

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        self.batches.append(len(items))
        if 13 in items:
            raise FunctionTimeoutError(name, 1, "it took longer than 5000 ms")
        return await super().call_batch(name, items, app, called_by)


async def test_a_batch_that_goes_well_is_one_call() -> None:
    """However many there are."""
    functions = FakeFunctions(double=lambda n: 2 * n)
    assert await call_each(functions, "double", [1, 2, 3], "a") == [2, 4, 6]
    assert functions.batches == [3]


async def test_the_item_that_spoils_it_is_found_by_halving() -> None:
    """It alone fails, the others have their results, in order; whoever asks is told before each call."""
    functions, beats = Hanging(double=lambda n: 2 * n), list[None]()
    results = await call_each(functions, "double", list(range(10, 20)), "a", between=lambda: beats.append(None))
    spoiled = results.pop(3)
    assert isinstance(spoiled, FunctionFailure)
    assert isinstance(spoiled.error, FunctionTimeoutError)
    assert results == [20, 22, 24, 28, 30, 32, 34, 36, 38]
    assert len(beats) > 5


@pytest.mark.parametrize("error", [FunctionBusyError("f", 1, "busy"), FunctionMissingError("f", 0, "not deployed")])
async def test_what_is_no_items_fault_is_told_of_the_whole(error: FunctionError) -> None:
    """Halving would change nothing."""
    functions = FakeFunctions(f=lambda n: n)
    functions.shut["f"] = error
    with pytest.raises(type(error)):
        await call_each(functions, "f", [1, 2], "a")


class Crowded(FakeFunctions):
    """Has room for two items at a time."""

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        results = await super().call_batch(name, items, app, called_by)
        late = FunctionFailure(FunctionTimeoutError(name, 1, "it took longer than 5000 ms"), for_want_of_room=True)
        return results[:2] + [late] * len(results[2:])


async def test_items_for_which_there_was_no_room_are_called_again() -> None:
    """They are not to blame for those before them."""
    functions = Crowded(double=lambda n: 2 * n)
    assert await call_each(functions, "double", [1, 2, 3, 4, 5], "a") == [2, 4, 6, 8, 10]
    assert functions.batches == [5, 3, 1]


class Refusing(Hanging):
    """Is busy for a while after each batch that spoilt it."""

    def __init__(self) -> None:
        super().__init__(double=lambda n: 2 * n)
        self._until = 0.0

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        if trio.current_time() < self._until:
            raise FunctionBusyError(name, 1, "it is refused for another 10 s")
        try:
            return await super().call_batch(name, items, app, called_by)
        except FunctionTimeoutError:
            self._until = trio.current_time() + 10
            raise


async def test_halving_comes_to_an_end_while_a_function_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    """Processes that end for one item have their function refused for a while: it is waited for, not begun anew."""
    results = await call_each(Refusing(), "double", list(range(64)), "a")
    assert [place for place, one in enumerate(results) if isinstance(one, FunctionFailure)] == [13]
