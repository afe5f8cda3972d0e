"""Turns at the connections of a pool, in virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from plugins.api import ConnectionBusyError, NothingDoneError
from plugins.sql.turns import Turns


class Room:
    """Holds turns of several for as long as it is told."""

    def __init__(self, turns: Turns, nursery: trio.Nursery) -> None:
        self.turns = turns
        self.nursery = nursery
        self.inside: list[str] = []
        self._leave: dict[str, trio.Event] = {}

    async def enter(self, name: str) -> None:
        """`a1` and `a2` are two calls of `a`."""
        self._leave[name] = trio.Event()
        self.nursery.start_soon(self._hold, name)
        await wait_all_tasks_blocked()

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await wait_all_tasks_blocked()

    async def _hold(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.inside.append(name)
            await self._leave[name].wait()
            self.inside.remove(name)


async def test_the_last_place_is_for_others() -> None:
    """However often one is called, it never has every place; another one gets in at once."""
    async with trio.open_nursery() as nursery:
        room = Room(Turns(3, 10, "db"), nursery)
        for name in ("a1", "a2", "a3", "a4"):
            await room.enter(name)
        assert room.inside == ["a1", "a2"]
        await room.enter("b1")
        assert room.inside == ["a1", "a2", "b1"]
        nursery.cancel_scope.cancel()


async def test_a_free_place_goes_to_who_has_the_fewest() -> None:
    """Who came later and has nothing goes before who has much; among equals, the first one."""
    async with trio.open_nursery() as nursery:
        room = Room(Turns(3, 10, "db"), nursery)
        for name in ("a1", "a2", "b1", "a3", "c1", "d1"):
            await room.enter(name)
        await room.leave("a1")
        assert room.inside == ["a2", "b1", "c1"]
        await room.leave("b1")
        assert room.inside == ["a2", "c1", "d1"]
        await room.leave("c1")
        assert room.inside == ["a2", "d1"], "a3 may not have the last place beside a2"
        await room.leave("d1")
        assert room.inside == ["a2", "a3"]
        nursery.cancel_scope.cancel()


async def test_one_place_is_had_in_turn() -> None:
    """With a single place everybody gets it, one after the other."""
    async with trio.open_nursery() as nursery:
        room = Room(Turns(1, 10, "db"), nursery)
        for name in ("a1", "a2", "b1"):
            await room.enter(name)
        for name in ("a1", "a2", "b1"):
            assert room.inside == [name]
            await room.leave(name)
        assert not room.inside


async def test_the_line_ends_somewhere() -> None:
    """Who finds it full is refused at once, having done nothing; the daemon itself never is."""
    turns = Turns(1, 2, "db")
    async with trio.open_nursery() as nursery:
        room = Room(turns, nursery)
        for name in ("a1", "a2", "a3"):
            await room.enter(name)
        assert turns.waiting == 2
        with pytest.raises(ConnectionBusyError, match="db is busy: 2 queries wait") as refused:
            async with turns.turn("b"):
                pass
        assert isinstance(refused.value, NothingDoneError)

        async def system() -> None:
            async with turns.turn():
                pass

        nursery.start_soon(system)
        await wait_all_tasks_blocked()
        assert turns.waiting == 3
        nursery.cancel_scope.cancel()
    assert turns.waiting == 0


async def test_who_stops_waiting_holds_nobody_up(autojump_clock: MockClock) -> None:
    """A cancelled wait leaves the line; one that was granted meanwhile hands its place on."""
    turns = Turns(1, 10, "db")
    got: list[str] = []

    async def take(name: str, seconds: float) -> None:
        with trio.move_on_after(seconds):
            async with turns.turn(name):
                got.append(name)
                await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        for name, seconds in (("a", 9.0), ("b", 1.0), ("c", 9.0), ("d", 3.0)):
            nursery.start_soon(take, name, seconds)
            await wait_all_tasks_blocked()
    assert got[0] == "a"
    assert "c" in got
    assert "b" not in got
    await turns.vacate()


async def test_vacate_waits_for_the_last_one(autojump_clock: MockClock) -> None:
    """It returns once nobody holds a place, those who stood in line included."""
    turns = Turns(1, 10, "db")

    async def work() -> None:
        async with turns.turn("a"):
            await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(work)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await turns.vacate()
        assert trio.current_time() - began == pytest.approx(10)
