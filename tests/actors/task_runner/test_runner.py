"""A task against a sink, a topic and a group that misbehave. In virtual time, in memory."""

import random
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.errors import (
    ActorGone,
    AppendRefusedError,
    CommitUnknownError,
    ConnectorError,
    DamagedLogError,
    FencedError,
    RecordTooLargeError,
)
from actors.ports import Position, WriteBatch
from actors.records import TopicPartition
from actors.task_runner.mapping import compile_mapping
from actors.task_runner.progress import TaskState
from config.resources import Mask
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


async def test_a_refused_row_is_put_aside_and_the_rest_written(autojump_clock: MockClock) -> None:
    """Halving finds each bad row; it is a dead letter with reason and source, and every good row is written once."""
    world = World()
    world.sink.refused = {"v3": "value too long", "v9": "not null"}
    world.reports[0].report(*(f"v{at}" for at in range(10)))
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        assert (task.status().rows, task.status().dead) == (8, 2)
    assert world.sink.offsets() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert world.sink.positions["to-table", SOURCE].offset == 10
    assert world.letters() == [
        {
            "reason": reason,
            "task": "to-table",
            "source_topic": "reports",
            "source_partition": "0",
            "source_offset": offset,
        }
        for reason, offset in (("value too long", "3"), ("not null", "9"))
    ]
    assert world.dead.stored[0].value == b'{"value":"v3"}'
    assert world.dead.stored[0].key == b"k"


async def test_an_unmappable_record_is_put_aside(autojump_clock: MockClock) -> None:
    """What is no JSON or lacks a field goes to the dead letters, also when nothing of a batch is left to write."""
    world = World()
    world.reports[0].report(b"{", "good", b"{}")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        world.reports[0].report(b"[]")
        await world.until(lambda: task.status().dead == 3)
        await world.until(lambda: task.status().lag == 0)
    assert world.sink.offsets() == [1]
    assert world.sink.positions["to-table", SOURCE].offset == 4
    assert [letter["source_offset"] for letter in world.letters()] == ["0", "2", "3"]


async def test_nothing_moves_past_a_bad_record_before_it_is_stored(autojump_clock: MockClock) -> None:
    """While the dead-letter topic refuses, the position stays, and the reason shows."""
    world = World()
    world.reports[0].report("a", b"{", "c")
    world.dead.append_fault = AppendRefusedError("to-table.dead-0: disk full")
    async with world.running() as task:
        await world.until(lambda: "disk full" in task.status().holding)
        assert world.sink.rows == []
        world.dead.append_fault = None
        await world.until(lambda: task.status().lag == 0)
    assert world.sink.offsets() == [0, 2]
    assert len(world.letters()) == 1


async def test_many_refused_rows_are_not_a_log_line_each(autojump_clock: MockClock) -> None:
    """A sink that refuses every third row fills the dead-letter topic, and not the log."""
    world = World()
    values = [f"v{at}" for at in range(300)]
    world.sink.refused = dict.fromkeys(values[::3], "not null")
    world.reports[0].report(*values)
    with structlog.testing.capture_logs() as logs:
        async with world.running() as task:
            await world.until(lambda: task.status().lag == 0)
    assert len(world.letters()) == 100
    assert 1 <= sum(line["event"] == "records put aside" for line in logs) <= 10


async def test_a_missing_dead_letter_topic_is_named(autojump_clock: MockClock) -> None:
    """Where bad records cannot be put, the task holds and says which topic is missing."""
    world = World()
    world.topics.remove("to-table.dead")
    world.reports[0].report(b"{")
    async with world.running() as task:
        await world.until(lambda: "no topic to-table.dead" in task.status().holding)


async def test_a_letter_that_is_too_large_goes_without_its_value(autojump_clock: MockClock) -> None:
    """The reason and the place are kept, where the record itself does not fit."""
    world = World()

    class Small(type(world.dead)):  # type: ignore[misc]
        def submit(self, append: Any) -> None:
            if append.size:
                append.reply.fail(RecordTooLargeError("too large"))
            else:
                super().submit(append)

    world.dead.__class__ = Small
    world.reports[0].report(b"{", "b")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
    assert world.dead.stored[0].value is None
    assert world.letters()[0]["source_offset"] == "0"
    assert "value_left_out" in world.letters()[0]


async def test_a_batch_that_is_mostly_unmappable_is_held(autojump_clock: MockClock) -> None:
    """More than half of a full batch bad for one reason is a wrong task: nothing is put aside, nothing is skipped."""
    world = World()
    world.tune(batch_rows=20)
    world.reports[0].report(*[b"{}" if at % 3 else "good" for at in range(40)])
    async with world.running() as task:
        await world.until(lambda: "cannot be mapped" in task.status().holding)
        await trio.sleep(100)
        assert "field value: value is missing" in task.status().holding
        assert "correct the fields of task to-table" in task.status().holding
        assert task.status().lag == 40
    assert world.dead.stored == []
    assert world.sink.rows == []


async def test_a_table_that_refuses_everything_is_held(autojump_clock: MockClock) -> None:
    """At most half of a batch is put aside; from then on one row is tried, and all goes on once the table is right."""
    world = World()
    world.tune(batch_rows=20)
    values = [f"v{at}" for at in range(60)]
    world.sink.refused = dict.fromkeys(values, "column x is not null")
    world.reports[0].report(*values)
    async with world.running() as task:
        await world.until(lambda: "refused one after the other: column x is not null" in task.status().holding)
        dead, attempts = task.status().dead, world.sink.attempts
        assert dead == 10
        await trio.sleep(300)
        assert task.status().dead == dead
        assert world.sink.attempts - attempts == pytest.approx(300 / 30, abs=12)
        world.sink.refused = {}
        await world.until(lambda: task.status().lag == 0)
        assert task.status().holding == ""
    assert world.sink.offsets() == list(range(60))


async def test_few_bad_records_are_never_a_majority(autojump_clock: MockClock) -> None:
    """A batch that is small because little came says nothing about all records."""
    world = World()
    world.reports[0].report(b"{}", b"{}", "good")
    async with world.running() as task:
        await world.until(lambda: task.status().lag == 0)
        assert task.status().dead == 2


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


@pytest.mark.parametrize(("app", "seen"), [("city", "a"), ("other", "***")])
async def test_a_task_of_another_app_does_not_see_masked_fields(autojump_clock: MockClock, app: str, seen: str) -> None:
    """What a mask hides from other apps does not reach their tables; the owner's task moves it as it is."""
    world = World()
    topic = world.topics.get("reports")
    assert topic is not None
    topic.app, topic.mask = app, Mask(fields=("value",))
    world.reports[0].report("a")
    async with world.running():
        await world.until(lambda: len(world.sink.rows) == 1)
    assert world.sink.rows == [("reports", 0, 0, seen)]
