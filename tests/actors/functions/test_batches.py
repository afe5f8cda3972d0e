"""Batches of which one item spoils the call for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from actors.errors import (
    FunctionBusyError,
    FunctionError,
    FunctionLostError,
    FunctionMissingError,
    FunctionTimeoutError,
)
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


class Crashing(FakeFunctions):
    """Has its process crash on a 13, and whenever it is told to."""

    def __init__(self, crashes: int = 0, refused: int = 0) -> None:
        super().__init__(double=lambda n: 2 * n)
        self._crashes = crashes
        self._refused = refused
        self.lost: list[int] = []

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        if self.lost and self._refused:
            self._refused -= 1
            raise FunctionBusyError(name, 1, "it is refused for another 2 s")
        if 13 in items or len(self.lost) < self._crashes:
            self.lost.append(len(items))
            raise FunctionLostError(name, 1, "its process ended under it, by signal SIGSEGV")
        return await super().call_batch(name, items, app, called_by)


async def test_a_batch_that_was_lost_is_called_again(autojump_clock: trio.testing.MockClock) -> None:
    """A process may end for a reason of its own: nothing fails for that, and nothing is halved at first."""
    functions = Crashing(crashes=2)
    assert await call_each(functions, "double", [1, 2, 3], "a") == [2, 4, 6]
    assert (functions.lost, functions.batches) == ([3, 3], [3])


@pytest.mark.parametrize("refused", [0, 5])
async def test_the_item_that_crashes_its_process_is_found_and_fails_alone(
    refused: int, autojump_clock: trio.testing.MockClock
) -> None:
    """After three times whole, by halving; and then only once it has lost three processes in a row, by itself.

    That the function is refused in between, for the processes that it has cost, changes nothing.
    """
    functions = Crashing(refused=refused)
    results = await call_each(functions, "double", list(range(10, 18)), "a")
    spoiled = results.pop(3)
    assert isinstance(spoiled, FunctionFailure)
    assert isinstance(spoiled.error, FunctionLostError)
    assert spoiled.error.reason == (
        "its process ended under it, by signal SIGSEGV; so it was 3 times in a row, called with nothing else"
    )
    assert results == [20, 22, 24, 28, 30, 32, 34]
    assert functions.lost == [8, 8, 8, 4, 2, 1, 1, 1]


async def test_a_single_item_that_crashes_its_process_once_has_its_result(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It was the process, and not the item."""
    assert await call_each(Crashing(crashes=2), "double", [5], "a") == [10]


async def test_a_lost_batch_waits_for_as_long_as_the_function_cannot_be_called(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Where no process starts any more, or the daemon is about to end, no item is to blame, and none fails."""
    functions = Crashing(crashes=1, refused=10**9)
    with trio.move_on_after(3600) as scope:
        await call_each(functions, "double", [5], "a")
    assert scope.cancelled_caught
    assert functions.lost == [1]


async def test_whoever_asks_hears_what_it_waits_for(autojump_clock: trio.testing.MockClock) -> None:
    """Function and reason, each time, and that it goes on once it does."""
    told: list[str] = []
    functions = Crashing(crashes=1, refused=2)
    await call_each(functions, "double", [5, 6], "a", waits=told.append)
    lost = "function double version 1: its process ended under it, by signal SIGSEGV"
    busy = "function double version 1: it is refused for another 2 s"
    assert told == [lost, busy, busy, ""]
