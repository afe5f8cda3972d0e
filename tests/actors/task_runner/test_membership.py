"""The runners of a task as members of its group. In virtual time, in memory."""

import pytest
import trio
from trio.testing import MockClock

from actors.errors import (
    ConnectorError,
)
from actors.ports import WriteBatch
from actors.records import TopicPartition
from tests.actors.task_runner.world import World, make_task


async def test_runners_share_the_partitions(autojump_clock: MockClock) -> None:
    """Each partition has one runner; all records are written once, in order within their partition."""
    world = World(partitions=4)
    world.sink.seconds = 0.01
    task = make_task(runners=3)
    async with world.running(task) as supervisor:
        for turn in range(50):
            for partition in world.reports:
                partition.report(turn)
            await trio.sleep(0.005)
        await world.until(lambda: supervisor.status().lag == 0)
        shares = [runner.partitions for runner in supervisor.status().runners]
        assert sorted(partition for share in shares for partition in share) == [0, 1, 2, 3]
        assert sorted(map(len, shares)) == [1, 1, 2]
    for number in range(4):
        assert world.sink.offsets(number) == list(range(50))
    assert world.group.statistics().refused_commits == 0


async def test_the_end_of_the_group_does_not_stop_the_work(autojump_clock: MockClock) -> None:
    """While its group is away a runner moves on what it has, and joins the new one with it."""
    world = World()
    async with trio.open_nursery() as nursery, world.running() as task:
        world.reports[0].report("a")
        await world.until(lambda: task.status().lag == 0)
        old = world.group._mailbox
        assert old is not None
        old.seal()
        await trio.sleep(0.1)
        world.reports[0].report("b")
        await world.until(lambda: len(world.sink.rows) == 2)
        anew = world.new_group()
        nursery.start_soon(anew.run, lambda: None)
        await world.until(lambda: [member.name for member in world.group.statistics().members] == ["to-table-0"])
        world.reports[0].report("c")
        await world.until(lambda: task.status().lag == 0)
        assert world.sink.claims == 1
        anew.stop()
    assert world.sink.offsets() == [0, 1, 2]


async def test_a_runner_stuck_in_its_sink_is_thrown_out_and_comes_back(autojump_clock: MockClock) -> None:
    """Its partitions go to the other one after the session time-out; it comes back and begins anew; nothing is lost."""
    world = World(partitions=2)
    stuck = trio.Event()
    async with world.running(make_task(runners=2)) as task:
        await world.until(lambda: all(runner.partitions for runner in task.status().runners))
        write = world.sink.write

        async def hang_for_the_first(batch: WriteBatch) -> None:
            if batch.source.partition == 0 and not stuck.is_set():
                stuck.set()
                await trio.sleep(100)
            await write(batch)

        world.sink.write = hang_for_the_first  # type: ignore[method-assign]
        for partition in world.reports:
            partition.report("a")
        await stuck.wait()
        await trio.sleep(40)
        statistics = world.group.statistics()
        assert [one.partitions for one in statistics.expelled] == [(0,)]
        assert [one.partitions for one in statistics.members] == [(0, 1)]
        await world.until(lambda: task.status().lag == 0, seconds=1)
        await world.until(lambda: len(world.group.statistics().members) == 2)
        world.reports[0].report("b")
        await world.until(lambda: task.status().lag == 0)
    assert world.sink.offsets(0) == [0, 1]
    assert world.sink.offsets(1) == [0]


async def test_a_runner_that_has_nothing_to_do_stays_a_member(autojump_clock: MockClock) -> None:
    """An idle runner, one whose sink is away, and one beyond the partitions show signs of life all the time."""
    world = World(partitions=1)
    async with world.running(make_task(runners=2)):
        await trio.sleep(600)
        statistics = world.group.statistics()
        assert (len(statistics.members), statistics.expelled) == (2, ())
        assert max(member.last_progress_seconds for member in statistics.members) <= 10
        world.sink.down = ConnectorError("gone")
        world.reports[0].report("a")
        await trio.sleep(600)
        statistics = world.group.statistics()
        assert (len(statistics.members), statistics.expelled) == (2, ())
        progress = {member.partitions: member.last_progress_seconds for member in statistics.members}
        assert progress[0,] >= 590
        assert progress[()] <= 10


async def test_bad_rows_in_a_row_are_signs_of_life(autojump_clock: MockClock) -> None:
    """A runner that puts aside one row after the other for minutes is slow, and not stuck."""
    world = World()
    world.sink.seconds = 0.9
    world.reports[0].report(*[f"v{number}" for number in range(200)])
    world.sink.refused = {f"v{number}": f"reason {number}" for number in range(0, 200, 2)}
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0, seconds=1000)
        assert trio.current_time() > 100
        assert world.group.statistics().expelled == ()
    assert task.status().dead == 100


async def test_the_others_go_on_while_one_joins(autojump_clock: MockClock) -> None:
    """Through a rebalance the partitions that stay are written without a pause and without a new claim."""
    world = World(partitions=3)
    world.sink.seconds = 0.05
    async with world.running(make_task(runners=1)):
        await world.until(lambda: world.sink.claims == 3)
        group = world.group
        waiting = group.join("other", frozenset(), lambda: None)
        for turn in range(40):
            for partition in world.reports:
                partition.report(turn)
            await trio.sleep(0.05)
        assert (await waiting.wait()).partitions == {2}
        assert world.sink.claims == 3
        await world.until(lambda: len(world.sink.offsets(0)) == len(world.sink.offsets(1)) == 40)
        group.leave("other")


async def test_members_tell_their_time_by_step(autojump_clock: MockClock) -> None:
    """The group shows what each runner has spent on fetching, mapping and writing so far."""
    world = World()
    world.sink.seconds = 2.0
    world.reports[0].report("a")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        (member,) = world.group.statistics().members
        assert member.seconds["write"] == pytest.approx(2.0)
        assert set(member.seconds) == {"fetch", "decode", "map", "write", "commit"}


async def test_a_forced_reset_moves_the_task(autojump_clock: MockClock) -> None:
    """Held, set in the sink and released, the group's task writes everything again from there."""
    world = World()
    world.reports[0].report(*"abcdef")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        await world.group.hold(force=True, seconds=60)
        await world.sink.reset("to-table", {TopicPartition("reports", 0): 4})
        await world.group.release({0: 4}).wait()
        await world.until(lambda: len(world.sink.rows) == 8)
        await world.until(lambda: task.status().lag == 0)
    assert world.sink.offsets() == [0, 1, 2, 3, 4, 5, 4, 5]
