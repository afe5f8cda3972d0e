"""The group's shell: answers to members, offsets on their way to the store. In virtual time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import Groups
from actors.consumer_group.messages import Watermarks
from actors.errors import ActorGone, StorageError
from actors.records import TopicPartition


class FakeStore:
    """Keeps offsets in memory; can be slow or out of order."""

    def __init__(self) -> None:
        self.offsets = {}
        self.saves = 0
        self.delay = 0.0
        self.broken = False

    async def load_offsets(self, group: str) -> dict[TopicPartition, int]:
        return dict(self.offsets.get(group, {}))

    async def save_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        await trio.sleep(self.delay)
        if self.broken:
            raise StorageError("meta.db: disk full")
        self.saves += 1
        self.offsets.setdefault(group, {}).update(offsets)


class World:
    def __init__(self, partitions: int = 4) -> None:
        self.store = FakeStore()
        self.marks = [Watermarks(0, 100)] * partitions
        self.groups = Groups()
        self.reference = self.groups.add("task", "topic")

    def actor(self) -> GroupActor:
        return GroupActor(self.reference, lambda: self.marks, self.store, save_interval=1.0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[GroupActor]:
        async with trio.open_nursery() as nursery:
            actor = self.actor()
            up = trio.Event()
            nursery.start_soon(actor.run, up.set)
            await up.wait()
            yield actor
            actor.stop()


def ignore() -> None:
    """Nobody to wake."""


async def test_members_are_told_when_their_partitions_change(autojump_clock: MockClock) -> None:
    """The newcomer's answer waits for the holder to let go, and `notify` wakes each of them."""
    world = World()
    async with world.running():
        woken = []
        first = world.reference.join("a", frozenset(), lambda: woken.append("a"))
        assert (await first.wait()).partitions == {0, 1, 2, 3}
        again = world.reference.join("a", frozenset({0, 1, 2, 3}), lambda: woken.append("a"))
        second = world.reference.join("b", frozenset(), lambda: woken.append("b"))
        kept = (await again.wait()).partitions
        await trio.testing.wait_all_tasks_blocked()
        assert not second.done
        world.reference.join("a", kept, ignore)
        assert (await second.wait()).partitions == {0, 1, 2, 3} - kept
        assert woken == ["a", "a", "b"]


async def test_leaving_hands_everything_over(autojump_clock: MockClock) -> None:
    """A member that leaves while it reads frees its partitions without a further word."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        waiting = world.reference.join("b", frozenset(), ignore)
        world.reference.leave("a")
        assert (await waiting.wait()).partitions == {0, 1, 2, 3}


async def test_commits_are_stored_in_batches(autojump_clock: MockClock) -> None:
    """Many commits within an interval are one save, of the newest offsets."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        for offset in range(1, 51):
            await world.reference.commit("a", {0: offset, 1: offset * 2})
        assert world.store.saves == 0
        await trio.sleep(1.1)
        assert world.store.saves == 1
        assert world.store.offsets["task"] == {TopicPartition("topic", 0): 50, TopicPartition("topic", 1): 100}
        await trio.sleep(5)
        assert world.store.saves == 1


async def test_a_slow_store_holds_up_no_commit(autojump_clock: MockClock) -> None:
    """Commits and statistics go on while a save takes its time."""
    world = World()
    world.store.delay = 60.0
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        await world.reference.commit("a", {0: 1})
        await trio.sleep(2)
        began = trio.current_time()
        for offset in range(2, 2000):
            await world.reference.commit("a", {0: offset})
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began
        assert world.reference.statistics().partitions[0].committed == 1999


async def test_stopping_stores_the_last_commit(autojump_clock: MockClock) -> None:
    """What was committed before the stop is in the store after it, and loaded by the next life."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        await world.reference.commit("a", {2: 42})
    assert world.store.offsets["task"] == {TopicPartition("topic", 2): 42}
    async with world.running():
        assert world.reference.statistics().partitions[2].committed == 42


async def test_a_store_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    """A failed save loses nothing and ends nobody; the next one brings it."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        world.store.broken = True
        await world.reference.commit("a", {0: 7})
        await trio.sleep(3.5)
        world.store.broken = False
        await trio.sleep(1)
        assert world.store.offsets["task"] == {TopicPartition("topic", 0): 7}


async def test_new_partitions_are_noticed(autojump_clock: MockClock) -> None:
    """A topic that got partitions hands them out within an interval."""
    world = World(partitions=1)
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        waiting = world.reference.join("a", frozenset({0}), ignore)
        world.marks = [Watermarks(0, 100)] * 3
        assert (await waiting.wait()).partitions == {0, 1, 2}


async def test_statistics_tell_lag_and_member(autojump_clock: MockClock) -> None:
    """Per partition: committed offset, high watermark, lag in messages, and who reads it."""
    world = World(partitions=2)
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        await world.reference.commit("a", {0: 60})
        await trio.testing.wait_all_tasks_blocked()
        statistics = world.reference.statistics()
        assert [member.name for member in statistics.members] == ["a"]
        first, second = statistics.partitions
        assert (first.committed, first.high_watermark, first.lag, first.member) == (60, 100, 40, "a")
        assert (second.committed, second.lag) == (None, 100)
        assert statistics.lag == 140


async def test_the_end_of_a_group_leaves_nobody_waiting(autojump_clock: MockClock) -> None:
    """Open Joins fail with ActorGone, and so does whatever is sent afterwards, until a new life attaches itself."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        waiting = world.reference.join("a", frozenset({0, 1, 2, 3}), ignore)
    with pytest.raises(ActorGone):
        await waiting.wait()
    with pytest.raises(ActorGone):
        world.reference.leave("a")
    with pytest.raises(ActorGone):
        await world.reference.commit("a", {0: 1})


async def test_a_group_that_never_ran_says_so() -> None:
    """Before its first life a reference has statistics without partitions, and takes no message."""
    world = World()
    assert world.reference.statistics().partitions == ()
    with pytest.raises(ActorGone):
        world.reference.join("a", frozenset(), ignore)


def test_the_registry_knows_groups_by_name() -> None:
    """One reference for each name; a forgotten one is gone."""
    groups = Groups()
    reference = groups.add("task", "topic")
    assert groups.get("task") is reference
    with pytest.raises(ValueError, match="already"):
        groups.add("task", "topic")
    groups.discard("task")
    groups.discard("task")
    assert groups.get("task") is None


async def test_a_group_that_reads_another_topic_begins_anew(autojump_clock: MockClock) -> None:
    """Offsets that were committed in another topic say nothing about the partitions of this one."""
    world = World()
    world.store.offsets["task"] = {TopicPartition("before", 0): 70, TopicPartition("topic", 1): 30}
    async with world.running() as actor:
        assert [partition.committed for partition in actor.statistics().partitions] == [None, 30, None, None]
