"""A task is given more runners and larger transactions while it runs, and they are taken away again."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.actors.task_runner.world import World, make_task


async def _reports(world: World, turns: int) -> None:
    for turn in range(turns):
        for partition in world.reports:
            partition.report(turn)
        await trio.sleep(0.01)


async def test_runners_come_and_go_while_others_work(autojump_clock: MockClock) -> None:
    """More runners share the partitions, fewer give them back; each record is written once and in order."""
    world = World(partitions=4)
    world.sink.seconds = 0.02
    async with world.running(make_task(runners=1)) as task, trio.open_nursery() as nursery:
        nursery.start_soon(_reports, world, 300)
        await trio.sleep(0.5)
        await task.set_runners(4)
        await world.until(lambda: [len(one.partitions) for one in task.status().runners] == [1, 1, 1, 1])
        assert task.runners == 4
        await trio.sleep(0.5)
        await task.set_runners(2)
        await world.until(lambda: [len(one.partitions) for one in task.status().runners] == [2, 2])
        await world.until(lambda: task.status().lag == 0 and world.reports[0].high_watermark == 300)
    for number in range(4):
        assert world.sink.offsets(number) == list(range(300))
    assert world.group.statistics().refused_commits == 0
    assert task.status().rows == 1200


async def test_transactions_grow_as_far_as_they_may(autojump_clock: MockClock) -> None:
    """A raised limit makes the next full transactions larger; taken back, they are as small as before at once."""
    world = World()
    world.tune(batch_rows=50)
    world.reports[0].report(*range(2000))
    async with world.running(make_task()) as task:
        task.set_most_rows(400)
        await world.until(lambda: task.status().lag == 0)
        assert max(len(batch.rows) for batch in world.sink.batches) == 400
        world.sink.batches.clear()
        task.set_most_rows(50)
        world.reports[0].report(*range(300))
        await world.until(lambda: task.status().lag == 0)
        assert max(len(batch.rows) for batch in world.sink.batches) == 50
    assert world.sink.offsets() == list(range(2300))


async def test_a_stuck_runner_is_started_anew(autojump_clock: MockClock) -> None:
    """A runner whose sink never answers is ended by force, and its next life writes what waited, once."""
    world = World(partitions=2)
    world.sink.seconds = 1e6
    async with world.running(make_task(runners=2), shutdown=1.0) as task:
        world.reports[0].report("a")
        world.reports[1].report("b")
        await world.until(lambda: world.sink.attempts == 2)
        world.sink.seconds = 0.0
        for runner in task.status().runners:
            await task.restart_runner(runner.member)
        await world.until(lambda: task.status().lag == 0)
        await task.restart_runner("nobody")
    assert sorted(row[-1] for row in world.sink.rows) == ["a", "b"]
