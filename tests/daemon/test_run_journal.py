"""Runs of functions on their way to the store. In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.errors import StorageError
from actors.functions.runs import LogLine, Run, RunChanges, RunHistory
from daemon.run_journal import RunJournal


class FakeStore:
    """Keeps the numbers of runs in memory, or refuses, or takes its time."""

    def __init__(self) -> None:
        self.rows: dict[str, set[int]] = {}
        self.writes: list[int] = []
        self.broken = False
        self.slow = 0.0

    async def save_function_runs(self, changes: Mapping[str, RunChanges]) -> None:
        await trio.sleep(self.slow)
        if self.broken:
            raise StorageError("meta.db: disk full")
        self.writes.append(sum(len(one.new) for one in changes.values()))
        for name, one in changes.items():
            rows = self.rows.setdefault(name, set())
            rows |= {run.number for run in one.new}
            rows -= set(one.gone)


class World:
    """Functions that are called, and the journal of their runs."""

    def __init__(self, *names: str, kept: int = 5) -> None:
        self.histories = {name: RunHistory(kept, 10_000) for name in names}
        self.store = FakeStore()

    def call(self, name: str, times: int, text: str = "") -> None:
        one = self.histories[name]
        lines = (LogLine(0.0, text),) if text else ()
        for _ in range(times):
            one.add(Run(one.next_number(), 0, 1, "a", "", 1, 0, 0.0, 0.0, "done", "", 0, lines, 0))

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[None]:
        journal = RunJournal(lambda: list(self.histories.items()), self.store, interval=1.0, **more)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run, lambda: None)
            yield
            journal.stop()


async def test_it_is_written_once_an_interval(autojump_clock: MockClock) -> None:
    """However many calls there were, one write of what is remembered; and none where nobody called."""
    world = World("f", "g")
    async with world.running():
        world.call("f", 500)
        world.call("g", 1)
        await trio.sleep(1.5)
        assert world.store.rows == {"f": {496, 497, 498, 499, 500}, "g": {1}}
        await trio.sleep(10)
        assert world.store.writes == [6]
        world.call("f", 1)
        await trio.sleep(1.5)
        assert world.store.rows["f"] == {497, 498, 499, 500, 501}


async def test_the_end_writes_what_is_left(autojump_clock: MockClock) -> None:
    """A drain stores the last runs, however many rounds it takes, and so does a cancellation."""
    world = World("f", "g")
    async with world.running(runs=2):
        world.call("f", 5)
        world.call("g", 4)
    assert (world.store.rows, world.store.writes) == ({"f": {1, 2, 3, 4, 5}, "g": {1, 2, 3, 4}}, [2, 2, 2, 2, 1])
    with trio.move_on_after(0.1):
        async with world.running():
            world.call("f", 1)
            await trio.sleep_forever()
    assert world.store.rows["f"] == {2, 3, 4, 5, 6}


async def test_a_round_is_bounded_and_the_next_goes_on_from_there(autojump_clock: MockClock) -> None:
    """By runs and by the size of their logs: a function that is called without end leaves others their turn."""
    world = World("f", "g", "h")
    async with world.running(runs=5):
        for _ in range(3):
            world.call("f", 100)
            world.call("g", 100)
            world.call("h", 100)
            await trio.sleep(1)
        await trio.sleep(0.5)
        assert world.store.writes == [5, 5, 5]
        assert all(len(rows) == 5 for rows in world.store.rows.values())
        assert len(world.store.rows) == 3
    world = World("f")
    async with world.running(log_bytes=1000):
        world.call("f", 5, text="x" * 400)
        await trio.sleep(1.5)
        assert world.store.rows == {"f": {5, 4}}


async def test_a_store_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    """One warning however long it lasts; what was forgotten meanwhile is counted, and nothing else is missed."""
    world = World("f")
    world.store.broken = True
    with capture_logs() as logs:
        async with world.running():
            for _ in range(10):
                world.call("f", 2)
                await trio.sleep(1)
            world.store.broken = False
            await trio.sleep(1.5)
            assert world.store.rows["f"] == {16, 17, 18, 19, 20}
    assert [line["event"] for line in logs] == ["runs of functions not stored, trying again"]
    assert world.histories["f"].unstored == 15


async def test_a_slow_store_keeps_nobody_waiting(autojump_clock: MockClock) -> None:
    """Calls go on while it writes; the next write has what is remembered by then, and what is gone is deleted."""
    world = World("f")
    world.store.slow = 30.0
    async with world.running():
        world.call("f", 5)
        await trio.sleep(2)
        world.call("f", 1000)
        await trio.sleep(30)
        assert world.store.rows["f"] == {1, 2, 3, 4, 5}
        world.store.slow = 0.0
        await trio.sleep(31)
        assert world.store.rows["f"] == {1001, 1002, 1003, 1004, 1005}
    assert world.histories["f"].unstored == 995
