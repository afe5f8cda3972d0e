"""The group's shell: answers to members, offsets on their way to the store. In virtual time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import Groups
from actors.consumer_group.messages import Assignment, LagSample, Watermarks
from actors.errors import ActorGone, GroupBusyError, GroupConflictError, MemberFencedError, StorageError
from actors.records import Confirmed, TopicPartition
from actors.runtime.rates import Rate
from config.settings import GroupSettings


class FakeStore:
    """Keeps offsets in memory; can be slow or out of order."""

    def __init__(self) -> None:
        self.positions = {}
        self.saves = 0
        self.delay = 0.0
        self.broken = False

    async def load_confirmed(self, group: str) -> dict[TopicPartition, Confirmed]:
        return dict(self.positions.get(group, {}))

    async def save_confirmed(self, group: str, positions: Mapping[TopicPartition, Confirmed]) -> None:
        await trio.sleep(self.delay)
        if self.broken:
            raise StorageError("meta.db: disk full")
        self.saves += 1
        self.positions.setdefault(group, {}).update(positions)


class World:
    def __init__(self, partitions: int = 4) -> None:
        self.store = FakeStore()
        self.marks = [Watermarks(0, 100)] * partitions
        self.groups = Groups()
        self.reference = self.groups.add("task", "topic")
        self.settings = GroupSettings()
        self.wall = 1_000_000.0
        self.sampled: list[tuple[int, int]] = []
        self.sample_fault: Exception | None = None

    def actor(self) -> GroupActor:
        return GroupActor(
            self.reference,
            self,
            self.store,
            settings=self.settings,
            save_interval=1.0,
            clock=lambda: self.wall + trio.current_time(),
        )

    def watermarks(self) -> list[Watermarks]:
        return self.marks

    async def sample(self, partition: int, offset: int) -> LagSample:
        """Ten bytes a record, each of which is as many seconds old as records came after it."""
        await trio.lowlevel.checkpoint()
        self.sampled.append((partition, offset))
        if self.sample_fault is not None:
            raise self.sample_fault
        high = self.marks[partition].high
        return LagSample((high - offset) * 10, round((self.wall - (high - offset)) * 1000))

    def stored(self) -> dict[int, int]:
        """The stored offsets by partition."""
        return {at.partition: position.offset for at, position in self.store.positions["task"].items()}

    async def read(self, member: str) -> Assignment:
        """Join with nothing, and wait for partitions."""
        return await self.reference.join(member, frozenset(), ignore).wait()

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
            await world.reference.commit("a", 1, {0: offset, 1: offset * 2})
        assert world.store.saves == 0
        await trio.sleep(1.1)
        assert world.store.saves == 1
        assert world.stored() == {0: 50, 1: 100}
        await trio.sleep(5)
        assert world.store.saves == 1


async def test_a_slow_store_holds_up_no_commit(autojump_clock: MockClock) -> None:
    """Commits and statistics go on while a save takes its time."""
    world = World()
    world.store.delay = 60.0
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        await world.reference.commit("a", 1, {0: 1})
        await trio.sleep(2)
        began = trio.current_time()
        for offset in range(2, 2000):
            await world.reference.commit("a", 1, {0: offset})
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began
        assert world.reference.statistics().partitions[0].committed == 1999


async def test_stopping_stores_the_last_commit(autojump_clock: MockClock) -> None:
    """What was committed before the stop is in the store after it, and loaded by the next life."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        await world.reference.commit("a", 1, {2: 42})
    assert world.stored() == {2: 42}
    async with world.running():
        assert world.reference.statistics().partitions[2].committed == 42


async def test_a_store_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    """A failed save loses nothing and ends nobody; the next one brings it."""
    world = World()
    async with world.running():
        await world.reference.join("a", frozenset(), ignore).wait()
        world.store.broken = True
        await world.reference.commit("a", 1, {0: 7})
        await trio.sleep(3.5)
        world.store.broken = False
        await trio.sleep(1)
        assert world.stored() == {0: 7}


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
        await world.reference.commit("a", 1, {0: 60})
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
        await world.reference.commit("a", 1, {0: 1})
    with pytest.raises(ActorGone):
        world.reference.heartbeat("a")
    with pytest.raises(ActorGone):
        await world.reference.confirm("a", 1, {0: Confirmed(1)})


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
    world.store.positions["task"] = {
        TopicPartition("before", 0): Confirmed(70),
        TopicPartition("topic", 1): Confirmed(30),
    }
    async with world.running() as actor:
        assert [partition.committed for partition in actor.statistics().partitions] == [None, 30, None, None]


def test_one_group_has_one_kind_and_one_topic() -> None:
    """A name that is taken is found by its own kind for its own topic; everybody else is told to take another one."""
    groups = Groups()
    reference = groups.add("reports", "topic", "http")
    assert groups.find("reports", "topic", "http") is reference
    assert groups.find("other", "topic", "http") is None
    with pytest.raises(GroupConflictError, match="HTTP consumers"):
        groups.find("reports", "topic", "task")
    with pytest.raises(GroupConflictError, match="reads topic topic"):
        groups.find("reports", "elsewhere", "http")


async def test_a_silent_member_is_thrown_out_and_fenced(autojump_clock: MockClock) -> None:
    """Past the session time-out its partitions go to the others, its Join tells it, and its commits count no more."""
    world = World()
    async with world.running():
        silent = await world.read("silent")
        told = world.reference.join("silent", silent.partitions, ignore, generation=silent.generation)
        other = world.reference.join("other", frozenset(), ignore)
        world.reference.join("silent", frozenset({0, 1}), ignore, generation=silent.generation)
        assert (await other.wait()).partitions == {2, 3}
        told = world.reference.join("silent", frozenset({0, 1}), ignore, generation=silent.generation)
        more = world.reference.join("other", frozenset({2, 3}), ignore)
        for _ in range(4):
            await trio.sleep(9)
            world.reference.heartbeat("other")
        with pytest.raises(MemberFencedError, match="nothing was heard of it for 30 s"):
            await told.wait()
        assert (await more.wait()).partitions == {0, 1, 2, 3}
        await world.reference.commit("silent", silent.generation, {0: 99})
        await trio.testing.wait_all_tasks_blocked()
        statistics = world.reference.statistics()
        assert statistics.partitions[0].committed is None
        assert statistics.refused_commits == 1
        assert [(one.member, one.partitions) for one in statistics.expelled] == [("silent", (0, 1))]
        assert [one.name for one in statistics.members] == ["other"]


async def test_a_short_session_time_out_is_kept(autojump_clock: MockClock) -> None:
    """A member of a group with a session time-out of a second is gone soon after that second."""
    world = World()
    world.settings = GroupSettings(session_timeout=1.0)
    async with world.running():
        await world.read("a")
        waiting = world.reference.join("a", frozenset({0, 1, 2, 3}), ignore)
        with trio.fail_after(1.3), pytest.raises(MemberFencedError):
            await waiting.wait()


async def test_signs_of_life_keep_a_member(autojump_clock: MockClock) -> None:
    """Heartbeats, commits and Joins each show that a member lives; only what moves or is idle counts as progress."""
    world = World(partitions=1)
    async with world.running():
        assignment = await world.read("a")
        for _ in range(5):
            await trio.sleep(20)
            world.reference.heartbeat("a")
        await trio.testing.wait_all_tasks_blocked()
        (member,) = world.reference.statistics().members
        assert (member.last_seen_seconds, member.last_progress_seconds) == (0, 100)
        await world.reference.commit("a", assignment.generation, {0: 5})
        await trio.testing.wait_all_tasks_blocked()
        assert world.reference.statistics().members[0].last_progress_seconds == 0
        await trio.sleep(20)
        await world.reference.commit("a", assignment.generation, {0: 5})
        await trio.testing.wait_all_tasks_blocked()
        assert world.reference.statistics().members[0].last_progress_seconds == 20
        world.reference.heartbeat("a", idle=True)
        await trio.testing.wait_all_tasks_blocked()
        assert world.reference.statistics().members[0].last_progress_seconds == 0


async def test_a_confirmation_is_answered_once_it_is_stored(autojump_clock: MockClock) -> None:
    """No answer before the store has it; those that wait at the same time share one transaction."""
    world = World(partitions=2)
    world.store.delay = 3.0
    async with world.running():
        assignment = await world.read("http")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for offset in range(1, 21):
                position = Confirmed(offset, ((40, 41),))
                nursery.start_soon(world.reference.confirm, "http", assignment.generation, {0: position})
        assert trio.current_time() - began >= 3.0
        assert world.store.saves <= 2
        stored = world.store.positions["task"][TopicPartition("topic", 0)]
        assert stored.ranges == ((40, 41),)
        assert stored.offset == world.reference.statistics().partitions[0].committed


async def test_a_confirmation_that_cannot_be_stored_fails(autojump_clock: MockClock) -> None:
    """Whoever confirmed hears of the store's refusal, and a later confirmation is stored again."""
    world = World(partitions=1)
    async with world.running():
        assignment = await world.read("http")
        world.store.broken = True
        with pytest.raises(StorageError):
            await world.reference.confirm("http", assignment.generation, {0: Confirmed(1)})
        world.store.broken = False
        await world.reference.confirm("http", assignment.generation, {0: Confirmed(2)})
        assert world.stored() == {0: 2}


async def test_only_a_member_confirms(autojump_clock: MockClock) -> None:
    """Of a membership that has ended, or for partitions of others, nothing is taken and MemberFencedError is told."""
    world = World(partitions=2)
    async with world.running():
        assignment = await world.read("http")
        for member, generation in (("nobody", 9), ("http", assignment.generation - 1)):
            with pytest.raises(MemberFencedError):
                await world.reference.confirm(member, generation, {0: Confirmed(1)})
        with pytest.raises(MemberFencedError):
            await world.reference.confirm("http", assignment.generation, {0: Confirmed(1), 7: Confirmed(1)})
        assert world.reference.statistics().partitions[0].committed is None


async def test_positions_come_with_the_assignment(autojump_clock: MockClock) -> None:
    """A member without a memory of its own goes on from what the group's earlier life stored, ranges included."""
    world = World(partitions=2)
    world.store.positions["task"] = {TopicPartition("topic", 0): Confirmed(7, ((9, 12),))}
    async with world.running():
        assert (await world.read("http")).positions == {0: Confirmed(7, ((9, 12),))}
        first, second = world.reference.statistics().partitions
        assert (first.lag, first.confirmed_above, first.committed) == (90, 3, 7)
        assert (second.lag, second.committed) == (100, None)


async def test_positions_are_not_set_under_members(autojump_clock: MockClock) -> None:
    """Refused while there are members; forced, they are thrown out, and get partitions again once it is done."""
    world = World(partitions=2)
    async with world.running():
        assignment = await world.read("a")
        waiting = world.reference.join("a", assignment.partitions, ignore, generation=assignment.generation)
        with pytest.raises(GroupBusyError, match="it has members: a"):
            await world.reference.hold(force=False, seconds=60)
        assert not waiting.done
        await world.reference.hold(force=True, seconds=60)
        with pytest.raises(MemberFencedError):
            await waiting.wait()
        again = world.reference.join("a", frozenset(), ignore)
        await trio.sleep(10)
        assert not again.done
        await world.reference.release({0: 50, 1: 60}).wait()
        assert world.stored() == {0: 50, 1: 60}
        assert (await again.wait()).positions == {0: Confirmed(50), 1: Confirmed(60)}


async def test_a_hold_that_nobody_releases_ends(autojump_clock: MockClock) -> None:
    """Whoever held the group and went away stops nobody for longer than it said."""
    world = World(partitions=1)
    async with world.running():
        await world.reference.hold(force=True, seconds=20)
        waiting = world.reference.join("a", frozenset(), ignore)
        await trio.sleep(19)
        assert not waiting.done
        with trio.fail_after(2):
            await waiting.wait()


async def test_lag_has_bytes_and_age(autojump_clock: MockClock) -> None:
    """Looked up every few seconds; in between the age grows and the bytes shrink with what is read."""
    world = World(partitions=2)
    async with world.running():
        assignment = await world.read("a")
        await world.reference.commit("a", assignment.generation, {0: 40, 1: 100})
        await trio.sleep(5.5)
        first, second = world.reference.statistics().partitions
        assert (first.lag, first.lag_bytes) == (60, 600)
        assert first.lag_seconds == pytest.approx(60 + 5.5, abs=0.01)
        assert (second.lag, second.lag_bytes, second.lag_seconds) == (0, 0, 0.0)
        await world.reference.commit("a", assignment.generation, {0: 70})
        await trio.testing.wait_all_tasks_blocked()
        assert world.reference.statistics().partitions[0].lag_bytes == 300
        assert (1, 100) not in world.sampled


async def test_a_log_that_does_not_tell_leaves_bytes_and_age_open(autojump_clock: MockClock) -> None:
    """Damage where lag is looked up ends nothing: lag in messages goes on, the rest is not known."""
    world = World(partitions=1)
    world.sample_fault = StorageError("topic-0/0.log: cannot be read")
    async with world.running():
        await world.read("a")
        await trio.sleep(6)
        (partition,) = world.reference.statistics().partitions
        assert (partition.lag, partition.lag_bytes, partition.lag_seconds) == (100, None, None)


async def test_the_drain_is_predicted(autojump_clock: MockClock) -> None:
    """At constant rates the predicted end is within a fifth of the real one, a quarter, half and most of the way."""
    world = World(partitions=1)
    total, produced_a_second, consumed_a_second = 60_000, 50, 300
    seconds = total / (consumed_a_second - produced_a_second)
    async with world.running():
        assignment = await world.read("a")
        for second in range(1, int(seconds) + 1):
            await trio.sleep(1)
            world.marks = [Watermarks(0, total + second * produced_a_second, Rate(produced_a_second, 0.0))]
            await world.reference.commit("a", assignment.generation, {0: second * consumed_a_second})
            if second in {int(seconds / 4), int(seconds / 2), int(seconds * 3 / 4)}:
                await trio.testing.wait_all_tasks_blocked()
                predicted = world.reference.statistics().drain_seconds
                assert predicted == pytest.approx(seconds - second, rel=0.2)
        await trio.sleep(60)
        world.marks = [Watermarks(0, total * 2, Rate(produced_a_second, 0.0))]
        assert world.reference.statistics().growing


async def test_rebalances_of_the_last_minute_are_counted(autojump_clock: MockClock) -> None:
    """Joins and departures count, signs of life do not, and what is over a minute ago is forgotten."""
    world = World()
    async with world.running():
        await world.read("a")
        world.reference.leave("a")
        await world.read("b")
        assert world.reference.statistics().rebalances == 3
        for _ in range(7):
            await trio.sleep(9)
            world.reference.heartbeat("b")
        await trio.testing.wait_all_tasks_blocked()
        assert world.reference.statistics().rebalances == 0


async def test_the_generation_outlives_the_group(autojump_clock: MockClock) -> None:
    """A restarted group goes on counting, so that nobody of its earlier life passes for a member of the present one."""
    world = World(partitions=1)
    async with world.running():
        before = await world.read("a")
    async with world.running():
        after = await world.read("a")
        assert after.generation > before.generation
        await world.reference.commit("a", before.generation, {0: 10})
        await trio.testing.wait_all_tasks_blocked()
        assert world.reference.statistics().partitions[0].committed is None
