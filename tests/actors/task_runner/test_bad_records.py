"""A task with records that cannot be mapped, and rows that its sink refuses. In virtual time, in memory."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.errors import (
    AppendRefusedError,
    RecordTooLargeError,
)
from actors.records import TopicPartition
from config.resources import Mask
from tests.actors.task_runner.world import World

SOURCE = TopicPartition("reports", 0)


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
