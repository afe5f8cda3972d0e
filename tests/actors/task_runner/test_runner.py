"""A task against a sink, a topic and a group that misbehave. In virtual time, in memory."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.errors import (
    ActorGone,
    ConnectorError,
    DamagedLogError,
)
from actors.ports import Position
from actors.records import TopicPartition
from actors.task_runner.mapping import compile_mapping
from actors.task_runner.progress import TaskState
from tests.actors.task_runner.world import World, make_task

SOURCE = TopicPartition("reports", 0)


async def test_records_become_rows(autojump_clock: MockClock) -> None:
    """What is there is written, and what comes is written too; position, group and counters follow."""
    world = World()
    world.reports[0].report("a", "b")
    async with world.running() as task:
        await world.until(lambda: len(world.sink.rows) == 2)
        world.reports[0].report("c")
        await world.until(lambda: len(world.sink.rows) == 3)
        assert world.sink.rows[2] == ("reports", 0, 2, "c")
        await world.until(lambda: task.status().lag == 0)
        status = task.status()
        assert (status.state, status.rows, status.transactions, status.dead) == (TaskState.RUNNING, 3, 2, 0)
        assert status.runners[0].partitions == (0,)
        assert world.sink.positions["to-table", SOURCE] == Position(1, 3)
    assert task.status().state is TaskState.STOPPED


async def test_a_restart_goes_on_where_the_sink_stands(autojump_clock: MockClock) -> None:
    """A new life claims anew and repeats nothing."""
    world = World()
    for value in "abc":
        world.reports[0].report(value)
        async with world.running():
            await world.until(lambda: len(world.sink.rows) == len(world.reports[0].stored))
    assert world.sink.offsets() == [0, 1, 2]
    assert world.sink.claims == 3


async def test_latest_begins_at_the_end_and_remembers_it(autojump_clock: MockClock) -> None:
    """Records from before the task are left out; those between its first start and the next are not."""
    world = World()
    world.reports[0].report("old", "old")
    async with world.running(make_task(start="latest")):
        await world.until(lambda: world.sink.positions.get(("to-table", SOURCE)) == Position(1, 2))
    world.reports[0].report("between")
    async with world.running(make_task(start="latest")):
        await world.until(lambda: bool(world.sink.rows))
    assert world.sink.offsets() == [2]


async def test_latest_counts_from_the_first_try(autojump_clock: MockClock) -> None:
    """A sink that cannot be reached at first does not move the beginning."""
    world = World()
    world.reports[0].report("old")
    world.sink.down = ConnectorError("db: connection refused")
    async with world.running(make_task(start="latest")) as task:
        await world.until(lambda: task.status().holding != "")
        world.reports[0].report("new")
        await trio.sleep(5)
        world.sink.down = None
        await world.until(lambda: bool(world.sink.rows))
    assert world.sink.offsets() == [1]


async def test_new_partitions_are_read_from_their_beginning(autojump_clock: MockClock) -> None:
    """A partition that the topic got while a task `latest` ran has nothing that is too old for it."""
    world = World(partitions=2)
    late = world.reports.pop()
    late.report("first")
    world.reports[0].report("old")
    async with world.running(make_task(start="latest")):
        await world.until(lambda: ("to-table", SOURCE) in world.sink.positions)
        world.reports.append(late)
        await world.until(lambda: bool(world.sink.rows))
    assert world.sink.rows == [("reports", 1, 0, "first")]


async def test_retention_that_was_faster_is_counted(autojump_clock: MockClock) -> None:
    """The task goes on at the first record that is left, says how many are gone, and logs it once."""
    world = World()
    world.reports[0].report(*"abc")
    async with world.running():
        await world.until(lambda: len(world.sink.rows) == 3)
    world.reports[0].report(*"defgh")
    world.reports[0].start_offset = 6
    with structlog.testing.capture_logs() as logs:
        async with world.running() as task:
            await world.until(lambda: task.status().lag == 0)
            assert task.status().lost == 3
    assert world.sink.offsets() == [0, 1, 2, 6, 7]
    assert [line["count"] for line in logs if line["event"].startswith("records are gone")] == [3]


async def test_a_topic_shorter_than_the_position_is_read_anew(autojump_clock: MockClock) -> None:
    """A topic that was made anew is read as its task says: from the beginning, or from its end."""
    for start, expected in (("earliest", [0, 1]), ("latest", [1])):
        world = World()
        world.sink.positions["to-table", SOURCE] = Position(4, 1000)
        world.reports[0].report("a")
        async with world.running(make_task(start=start)) as task:
            await trio.sleep(1)
            assert task.status().lag == 0
            world.reports[0].report("b")
            await trio.sleep(1)
            assert task.status().lag == 0
        assert world.sink.offsets() == expected


async def test_damage_stops_the_partition_or_is_skipped(autojump_clock: MockClock) -> None:
    """By default a damaged record waits for a person, its reason shown; `skip` goes on after it and counts."""
    for on_damage in ("stop", "skip"):
        world = World(partitions=2)
        world.reports[1].report("other")
        world.reports[0].report(*"abcde")
        first = world.reports[0]
        first.fault = DamagedLogError("reports-0/0.log: offsets 0 to 2 are damaged", resume=3)
        async with world.running(make_task(on_damage=on_damage)) as task:
            await world.until(lambda first=first: first.fetches > 0)  # type: ignore[misc]
            if on_damage == "skip":
                first.fault = None
                await world.until(lambda task=task: task.status().lag == 0)  # type: ignore[misc]
                assert (world.sink.offsets(0), task.status().lost) == ([3, 4], 3)
            else:
                await trio.sleep(50)
                assert "offsets 0 to 2 are damaged" in task.status().holding
                assert "on_damage: skip" in task.status().holding
                assert world.sink.offsets(0) == []
            assert world.sink.offsets(1) == [0]


async def test_a_partition_that_is_restarted_is_found_again(autojump_clock: MockClock) -> None:
    """A partition that has ended holds the task; the one in its place is read on."""
    world = World()
    world.reports[0].report("a")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        world.reports[0].fault = ActorGone("reports-0")
        world.reports[0].report("b")
        await world.until(lambda: "reports-0 has ended" in task.status().holding)
        world.reports[0].fault = None
        await world.until(lambda: task.status().lag == 0)
    assert world.sink.offsets() == [0, 1]


async def test_a_poisoned_task_is_parked_and_others_do_not_notice(autojump_clock: MockClock) -> None:
    """A mapping that always crashes makes its task failed, with the reason; it is tried again ever more rarely."""
    world, other = World(), World()
    mapping = compile_mapping(make_task())
    calls = []

    def crash(*_: Any) -> Any:
        calls.append(trio.current_time())
        raise ZeroDivisionError("poison")

    poisoned = mapping._replace(apply=crash)
    world.reports[0].report("a")
    async with world.running(mapping=poisoned) as task, other.running() as well:
        await trio.sleep(300)
        assert task.status().state is TaskState.FAILED
        assert task.status().reason == "ZeroDivisionError: poison"
        assert len(calls) < 30
        other.reports[0].report("b")
        await other.until(lambda: well.status().lag == 0 and well.status().rows == 1)
        assert well.status().state is TaskState.RUNNING
        poisoned_runner = task.status().runners[0]
        assert poisoned_runner.restarts == pytest.approx(len(calls), abs=1)
    assert world.sink.rows == []


async def test_a_failure_that_passed_is_shown_no_longer(autojump_clock: MockClock) -> None:
    """After a crash that does not come back the task runs as though nothing had been."""
    world = World()
    mapping = compile_mapping(make_task())
    crashes = [ZeroDivisionError("once")]

    def crash_once(source: Any, records: Any) -> Any:
        if crashes:
            raise crashes.pop()
        return mapping.apply(source, records)

    world.reports[0].report("a")
    async with world.running(mapping=mapping._replace(apply=crash_once)) as task:
        await world.until(lambda: task.status().lag == 0)
        await world.until(lambda: task.status().state is TaskState.RUNNING)
        assert task.status().reason == ""
    assert world.sink.offsets() == [0]


async def test_stopping_finishes_the_transaction_in_flight(autojump_clock: MockClock) -> None:
    """A stop waits for the answer of the sink, commits to the group, leaves it, and begins nothing new."""
    world = World()
    world.tune(batch_rows=2)
    world.sink.seconds = 3.0
    world.reports[0].report(*"abcdefgh")
    async with world.running():
        await world.until(lambda: world.sink.attempts == 1)
        began = trio.current_time()
    assert trio.current_time() - began < 3.1
    assert world.sink.offsets() == [0, 1]
    statistics = world.group.statistics()
    assert (statistics.members, statistics.partitions[0].committed) == ((), 2)


async def test_a_hold_does_not_delay_a_stop(autojump_clock: MockClock) -> None:
    """Who waits for a sink stops at once."""
    world = World()
    world.sink.down = ConnectorError("gone")
    async with world.running() as task:
        await trio.sleep(100)
        assert task.status().holding
        began = trio.current_time()
    assert trio.current_time() - began < 0.1


async def test_batches_grow_while_quick_and_shrink_when_slow(autojump_clock: MockClock) -> None:
    """A backlog goes in ever larger transactions up to the setting; a slow sink gets smaller ones."""
    world = World()
    world.tune(batch_rows=4000, fetch_bytes=1 << 20)
    world.reports[0].report(*range(30_000))
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        assert max(len(batch.rows) for batch in world.sink.batches) == 4000
        assert len(world.sink.batches) < 30
        world.sink.seconds = 1.5
        world.reports[0].report(*range(30_000))
        await world.until(lambda: task.status().runners[0].batch_rows < 500)
        assert max(len(batch.rows) for batch in world.sink.batches) == 4000


async def test_a_trickle_is_gathered(autojump_clock: MockClock) -> None:
    """Records that come singly do not each cost a transaction, and none waits long."""
    world = World()
    world.sink.seconds = 0.01
    async with world.running() as task:
        await trio.sleep(1)
        began = trio.current_time()
        for at in range(1000):
            world.reports[0].report(at)
            await trio.sleep(0.001)
        await world.until(lambda: task.status().lag == 0)
        assert trio.current_time() - began < 1.1
        assert task.status().transactions < 70
