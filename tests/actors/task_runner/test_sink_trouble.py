"""A task whose sink is down, loses answers, or is held by somebody else. In virtual time, in memory."""

import random

import pytest
import trio
from trio.testing import MockClock

from actors.errors import (
    CommitUnknownError,
    ConnectorError,
    FencedError,
)
from actors.ports import Position
from actors.records import TopicPartition
from actors.task_runner.progress import TaskState
from tests.actors.task_runner.world import World, make_task

SOURCE = TopicPartition("reports", 0)


async def test_a_sink_that_is_down_holds_and_is_tried_again(autojump_clock: MockClock) -> None:
    """Nothing is skipped, the reason shows, tries grow rarer; when the sink is back all is written."""
    world = World()
    world.reports[0].report("a")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        world.sink.down = ConnectorError("db: connection refused")
        world.reports[0].report("b", "c")
        await trio.sleep(600)
        status = task.status()
        assert (status.state, status.holding) == (TaskState.RUNNING, "db: connection refused")
        assert 20 < status.retries < 40
        assert status.lag == 2
        world.sink.down = None
        await world.until(lambda: task.status().lag == 0, seconds=40)
        assert task.status().holding == ""
    assert world.sink.offsets() == [0, 1, 2]


async def test_one_partition_that_succeeds_wakes_the_others(autojump_clock: MockClock) -> None:
    """After a long outage all partitions go on as soon as one has found the sink back."""
    world = World(partitions=4)
    world.sink.down = ConnectorError("gone")
    for partition in world.reports:
        partition.report("a")
    async with world.running() as task:
        await trio.sleep(1000)
        world.sink.down = None
        await world.until(lambda: bool(world.sink.rows))
        began = trio.current_time()
        await world.until(lambda: task.status().lag == 0)
        assert trio.current_time() - began < 0.5


async def test_an_unknown_connection_is_waited_for(autojump_clock: MockClock) -> None:
    """A task may be there before its connection; it says so, and goes on once it comes."""
    world = World()
    world.reports[0].report("a")
    del world.connections["db"]
    async with world.running() as task:
        await world.until(lambda: "no connection db" in task.status().holding)
        world.connections["db"] = world.sink
        await world.until(lambda: task.status().lag == 0)


@pytest.mark.parametrize("lose_commit", ["before", "after"])
async def test_a_lost_answer_to_commit_is_looked_up(autojump_clock: MockClock, lose_commit: str) -> None:
    """Whether the commit happened or not, each record is written once, and counted once."""
    world = World()
    world.sink.lose_commit = lose_commit
    world.sink.faults.append(CommitUnknownError("connection lost in COMMIT"))
    world.reports[0].report("a", "b")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0 and task.status().rows == 2)
        world.reports[0].report("c")
        await world.until(lambda: task.status().rows == 3)
    assert world.sink.offsets() == [0, 1, 2]


async def test_a_fenced_writer_stops_and_claims_anew(autojump_clock: MockClock) -> None:
    """Whoever lost a partition writes nothing with its old epoch, waits, and asks for the partition again."""
    world = World()
    world.reports[0].report("a")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        await world.sink.claim("to-table", SOURCE)
        world.reports[0].report("b")
        await world.until(lambda: task.status().lag == 0)
        assert world.sink.batches[-1].epoch == 3
    assert world.sink.offsets() == [0, 1]


async def test_fenced_again_and_again_grows_patient(autojump_clock: MockClock) -> None:
    """Two daemons with the same task do not fight at full speed."""
    world = World()
    world.reports[0].report("a")
    world.sink.faults.extend(FencedError("other") for _ in range(1000))
    async with world.running():
        await trio.sleep(100)
    assert 5 < world.sink.claims < 40


async def test_the_table_is_made_before_the_first_row(autojump_clock: MockClock) -> None:
    """With `create` the table is made; without it, nobody touches the schema."""
    world = World()
    world.reports[0].report("a")
    async with world.running(make_task(create=True)) as task:
        await world.until(lambda: task.status().lag == 0)
    assert [table.name for table in world.sink.tables] == ["T"]
    world = World()
    world.reports[0].report("a")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
    assert world.sink.tables == []


async def test_a_table_that_was_dropped_is_made_again(autojump_clock: MockClock) -> None:
    """After the sink refused as a whole, a task with `create` makes sure of its table."""
    world = World()
    world.reports[0].report("a")
    async with world.running(make_task(create=True)) as task:
        await world.until(lambda: task.status().lag == 0)
        world.sink.faults.append(ConnectorError("no such table: T"))
        world.reports[0].report("b")
        await world.until(lambda: task.status().lag == 0)
    assert len(world.sink.tables) == 2


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_sink_does_each_record_ends_once(autojump_clock: MockClock, seed: int) -> None:
    """Outages, lost commits, fencing and refused rows in any order: every offset is a row once, or a dead letter."""
    dice = random.Random(seed)
    world = World(partitions=3)
    world.tune(batch_rows=40, fetch_bytes=600)
    world.sink.seconds = 0.002
    world.sink.refused = {f"v{at}": f"reason {at % 3}" for at in range(0, 400, 7)}
    bad = {at for at in range(400) if at % 7 == 0 or at % 11 == 0}
    faults = [
        lambda: ConnectorError("connection reset"),
        lambda: CommitUnknownError("connection lost in COMMIT"),
        lambda: FencedError("claimed by another"),
    ]
    async with world.running(make_task(runners=2)) as task:
        for at in range(400):
            for partition in world.reports:
                partition.report(b"{}" if at % 11 == 0 else f"v{at}")
            if dice.random() < 0.1:
                world.sink.lose_commit = dice.choice(["before", "after"])
                world.sink.faults.append(dice.choice(faults)())
            await trio.sleep(dice.random() * 0.02)
        await world.until(lambda: task.status().lag == 0, seconds=1000)
        assert task.status().rows == len(world.sink.rows)
    for number in range(3):
        assert world.sink.offsets(number) == [at for at in range(400) if at not in bad]
        letters = [one for one in world.letters() if one["source_partition"] == str(number)]
        assert {int(one["source_offset"]) for one in letters} == bad


async def test_a_stop_in_the_middle_of_halving_loses_nothing(autojump_clock: MockClock) -> None:
    """A stop leaves off after a transaction; the next life goes on there, and no letter comes twice."""
    world = World()
    world.tune(batch_rows=100)
    world.sink.seconds = 1.0
    world.sink.refused = {f"v{at}": "bad" for at in range(5, 100, 20)}
    world.reports[0].report(*(f"v{at}" for at in range(100)))
    for _ in range(200):
        async with world.running() as task:
            await trio.sleep(0.5)
            if task.status().lag == 0:
                break
            await world.until(lambda task=task: task.status().transactions > 0)  # type: ignore[misc]
    assert world.sink.offsets() == [at for at in range(100) if at % 20 != 5]
    assert [letter["source_offset"] for letter in world.letters()] == ["5", "25", "45", "65", "85"]


async def test_starting_anew_is_written_down_in_the_sink(autojump_clock: MockClock) -> None:
    """A position beyond the end of its topic starts over; reaching that very offset again is progress."""
    world = World()
    world.sink.positions["to-table", SOURCE] = Position(1, 2)
    world.reports[0].report("a")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        world.reports[0].report("b")
        await world.until(lambda: task.status().lag == 0 and task.status().rows == 2)
        await trio.sleep(10)
    assert world.sink.offsets() == [0, 1]
    assert world.sink.positions["to-table", SOURCE].offset == 2
