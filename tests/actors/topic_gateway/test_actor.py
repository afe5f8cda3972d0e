"""A group of HTTP consumers: what it hands out, again, and no more. In virtual time."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.errors import ActorGone, DamagedLogError, StorageError
from actors.records import Confirmed, TopicPartition
from actors.topic_gateway.deliveries import DeliveryLimits
from tests.actors.task_runner.world import FakePartition
from tests.actors.topic_gateway.world import World, offsets

HERE = TopicPartition("t", 0)


async def test_messages_are_handed_out_once_while_they_may_be_confirmed(autojump_clock: MockClock) -> None:
    """Two consumers never have the same message in hand."""
    world = World()
    world.produce(5)
    async with world.running():
        first, second = await world.take(3), await world.take(3)
        assert offsets(first + second) == [0, 1, 2, 3, 4]
        assert await world.take(3) == []
        assert await world.settle(*first, *second) == (5, 0)
        assert world.store.positions[HERE] == Confirmed(5, ())


async def test_what_is_not_confirmed_in_time_is_delivered_again(autojump_clock: MockClock) -> None:
    """After ack_wait, to whoever asks, with the next number; the late handler counts as failed."""
    world = World()
    world.produce(2)
    async with world.running():
        first = await world.take(ack_wait=15)
        assert await world.settle(first[1]) == (1, 0)
        began = trio.current_time()
        (again,) = await world.take(wait=30)
        assert 14 < trio.current_time() - began <= 16
        assert (again.handler.offset, again.handler.number) == (0, 2)
        assert await world.settle(first[0]) == (0, 1)
        assert await world.settle(again) == (1, 0)
        assert await world.take(wait=60) == []


async def test_what_consumers_have_in_hand_is_told(autojump_clock: MockClock) -> None:
    """The group hears of work that is under way within its time, which is progress; not of what ran out of it."""
    world = World()
    world.produce(3)
    async with world.running():
        taken = await world.take(2, ack_wait=30)
        await trio.sleep(25)
        (member,) = world.group.statistics().members
        assert member.in_hand == 2
        assert member.last_progress_seconds <= 11
        await trio.sleep(10)
        assert offsets(await world.take(2, ack_wait=30)) == offsets(taken)
        await trio.sleep(25)
        (member,) = world.group.statistics().members
        assert member.in_hand == 0
        assert member.last_progress_seconds > 25


async def test_what_came_while_consumers_wait_expires_in_time(autojump_clock: MockClock) -> None:
    """A message that was handed to one who waited goes to the next one that waits as soon as its time is over."""
    world = World()
    at: list[float] = []

    async def consume() -> None:
        assert offsets(await world.take(1, wait=30, ack_wait=2)) == [0]
        at.append(trio.current_time())

    async with world.running(), trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(consume)
        await trio.sleep(1)
        world.produce(1)
        await trio.sleep(5)
        assert len(at) == 2
        assert at[1] - at[0] == pytest.approx(2, abs=0.1)


async def test_what_failed_is_delivered_again_at_once(autojump_clock: MockClock) -> None:
    """`fail` does not wait for the time-out."""
    world = World()
    world.produce(1)
    async with world.running():
        (first,) = await world.take()
        assert await world.settle(first, success=False) == (0, 1)
        began = trio.current_time()
        (again,) = await world.take()
        assert trio.current_time() - began < 1
        assert again.handler.number == 2


async def test_a_message_nobody_can_work_off_is_put_aside(autojump_clock: MockClock) -> None:
    """After the last delivery it stands in the dead-letter topic, with where it came from, and the group goes on."""
    world = World()
    world.produce(2)
    async with world.running():
        for _ in range(3):
            poison, *others = await world.take(1)
            assert poison.handler.offset == 0
            assert not others
            await world.settle(poison, success=False)
        (good,) = await world.take()
        assert good.handler.offset == 1
        assert await world.settle(good) == (1, 0)
        await trio.sleep(1)
        (letter,) = world.dead.stored
        assert letter.value == b"0"
        headers = dict(letter.headers)
        assert (headers["source_topic"], headers["source_partition"], headers["source_offset"]) == (b"t", b"0", b"0")
        assert headers["group"] == b"g"
        assert world.store.positions[HERE] == Confirmed(2, ())
        assert world.actor.statistics().counters.dead == 1


async def test_what_came_back_is_counted_over_restarts(autojump_clock: MockClock) -> None:
    """A message nobody can work off is put aside after as many deliveries as without the restarts between them."""
    world = World()
    world.produce(2)
    for number in (1, 2, 3):
        async with world.running():
            poison, *_ = await world.take(1)
            assert (poison.handler.offset, poison.handler.number) == (0, number)
            assert await world.settle(poison, success=False) == (0, 1)
            await trio.sleep(1)
    assert [letter.value for letter in world.dead.stored] == [b"0"]
    async with world.running():
        assert offsets(await world.take()) == [1]
    assert world.store.positions[HERE] == Confirmed(1, ())


async def test_what_expired_is_counted_over_restarts(autojump_clock: MockClock) -> None:
    """Also when nobody says anything: a consumer that dies of a message tells nobody."""
    world = World()
    world.produce(3)
    async with world.running():
        await world.take(ack_wait=5)
        await trio.sleep(6)
    assert world.store.positions[HERE] == Confirmed(0, (), ((0, 1), (1, 1), (2, 1)))
    async with world.running():
        handed = await world.take(ack_wait=300)
        assert [one.handler.number for one in handed] == [2, 2, 2]
        assert await world.settle(handed[0], handed[2]) == (2, 0)
    assert world.store.positions[HERE] == Confirmed(1, ((2, 3),), ((1, 1),))


async def test_what_could_not_be_put_aside_before_a_restart_is_after_it(autojump_clock: MockClock) -> None:
    """It is not delivered once more than it may be."""
    world = World()
    world.produce(2)
    world.topics.remove("g.dead")
    async with world.running():
        for _ in range(3):
            await world.settle(*await world.take(1), success=False)
        await trio.sleep(3)
    world.add("g.dead", [world.dead])
    async with world.running():
        assert offsets(await world.take()) == [1]
        await trio.sleep(1)
        assert [letter.value for letter in world.dead.stored] == [b"0"]


async def test_the_dead_letter_topic_is_made_when_it_is_needed(autojump_clock: MockClock) -> None:
    """With the first message that is put aside, and not before."""
    world = World()
    world.topics.remove("g.dead")
    world.makes_dead_letters = True
    world.produce(1)
    async with world.running():
        for _ in range(3):
            assert world.topics.get("g.dead") is None
            await world.settle(*await world.take(), success=False)
        await trio.sleep(1)
        assert [letter.value for letter in world.dead.stored] == [b"0"]


async def test_without_a_dead_letter_topic_the_group_holds_and_says_so(autojump_clock: MockClock) -> None:
    """Nothing is skipped; once the topic is there, the group goes on by itself."""
    world = World()
    world.topics.remove("g.dead")
    world.produce(1)
    async with world.running():
        for _ in range(3):
            await world.settle(*await world.take(), success=False)
        assert await world.take(wait=10) == []
        assert "there is no topic g.dead" in world.actor.statistics().holding
        world.add("g.dead", [world.dead])
        await trio.sleep(3)
        assert len(world.dead.stored) == 1
        assert world.actor.statistics().holding == ""


async def test_a_consumer_that_waits_gets_what_comes(autojump_clock: MockClock) -> None:
    """At once, and not at the end of its patience; who came first is served first."""
    world = World()
    got: list[tuple[str, list[int], float]] = []

    async def consume(name: str) -> None:
        handed = await world.take(1, wait=30)
        got.append((name, offsets(handed), trio.current_time()))

    async with world.running(), trio.open_nursery() as nursery:
        began = trio.current_time()
        for name in "ab":
            nursery.start_soon(consume, name)
            await trio.sleep(1)
        await trio.sleep(5)
        world.produce(2)
        await trio.sleep(1)
        assert sorted((name, found) for name, found, _ in got) == [("a", [0]), ("b", [1])]
        assert all(6.9 < at - began < 7.5 for _, _, at in got)


async def test_confirmations_out_of_order_are_kept_as_ranges(autojump_clock: MockClock) -> None:
    """The committed offset waits for the first; the others are stored above it, and survive a restart."""
    world = World()
    world.produce(6)
    async with world.running():
        handed = await world.take()
        assert await world.settle(handed[1], handed[2], handed[4]) == (3, 0)
        assert world.store.positions[HERE] == Confirmed(0, ((1, 3), (4, 5)))
    async with world.running():
        assert offsets(await world.take()) == [0, 3, 5]


async def test_a_handler_of_an_earlier_life_is_late(autojump_clock: MockClock) -> None:
    """After a restart what was handed out is delivered again, and the old handler confirms nothing."""
    world = World()
    world.produce(1)
    async with world.running():
        (old,) = await world.take(ack_wait=300)
    async with world.running():
        await trio.sleep(2)
        assert await world.settle(old) == (0, 1)
        (new,) = await world.take()
        assert await world.settle(new) == (1, 0)
        assert await world.settle(new) == (1, 0)  # the answer may have been lost: it is the same confirmation


async def test_confirmations_that_wait_share_one_transaction(autojump_clock: MockClock) -> None:
    """Each is answered only after its own is stored; many at once cost few writes."""
    world = World()
    world.limits = DeliveryLimits(3, 500, 100_000)
    world.produce(200)
    world.store.delay = 0.05
    async with world.running():
        handed = [one for _ in range(20) for one in await world.take(10, ack_wait=300)]
        before = world.store.saves
        async with trio.open_nursery() as nursery:
            for one in handed:
                nursery.start_soon(world.settle, one)
        assert world.store.saves - before <= 5
        assert world.store.positions[HERE] == Confirmed(200, ())


async def test_a_confirmation_that_cannot_be_stored_is_no_success(autojump_clock: MockClock) -> None:
    """The consumer hears of it, and may send it again; it counts once the store works."""
    world = World()
    world.produce(1)
    async with world.running():
        handed = await world.take(ack_wait=300)
        world.store.broken = True
        with pytest.raises(StorageError):
            await world.settle(*handed)
        world.store.broken = False
        assert await world.settle(*handed) == (1, 0)
        assert world.store.positions[HERE] == Confirmed(1, ())


async def test_what_is_confirmed_in_time_is_not_late_by_a_slow_store(autojump_clock: MockClock) -> None:
    """A confirmation that has to wait until another one is stored counts from when it was said."""
    world = World()
    world.produce(2)
    world.store.delay = 5
    async with world.running(), trio.open_nursery() as nursery:
        first, second = await world.take(ack_wait=2)
        nursery.start_soon(world.settle, first)
        await trio.sleep(1)
        assert await world.settle(second) == (1, 0)
        assert await world.take(wait=20) == []
        assert world.store.positions[HERE] == Confirmed(2, ())


async def test_a_group_lives_through_a_store_that_hangs(autojump_clock: MockClock) -> None:
    """The one member is not thrown out for waiting on what the group itself waits for; nothing comes again by that."""
    world = World()
    world.produce(2)
    world.store.delay = 100
    async with world.running():
        handed = await world.take(ack_wait=300)
        assert await world.settle(handed[0]) == (1, 0)
        world.store.delay = 0
        assert await world.settle(handed[1]) == (1, 0)
        assert world.actor.statistics().counters.redelivered == 0


async def test_what_could_not_be_stored_is_stored_later(autojump_clock: MockClock) -> None:
    """Also when no consumer asks any more, and without asking the store all the time."""
    world = World()
    world.produce(2)
    async with world.running():
        handed = await world.take(ack_wait=300)
        world.store.broken = True
        with pytest.raises(StorageError):
            await world.settle(*handed)
        await trio.sleep(200)
        world.store.broken = False
        await trio.sleep(2)
        assert world.store.positions[HERE] == Confirmed(2, ())
        await trio.sleep(100)
        assert world.group.statistics().members == ()


async def test_a_reset_while_nothing_can_be_stored_is_survived(autojump_clock: MockClock) -> None:
    """What was not stored is forgotten with the membership, and the consumers go on from where the group was set."""
    world = World()
    world.produce(2)
    async with world.running():
        handed = await world.take(ack_wait=300)
        world.store.broken = True
        with pytest.raises(StorageError):
            await world.settle(*handed)
        await world.group.hold(force=True, seconds=60)
        world.store.broken = False
        await world.group.release({0: 0}).wait()
        assert offsets(await world.take(wait=30)) == [0, 1]


async def test_no_more_is_out_than_may_be(autojump_clock: MockClock) -> None:
    """At the bound nothing new is handed out until something is confirmed; memory does not grow with the backlog."""
    world = World()
    world.produce(1000)
    async with world.running():
        handed = [one for _ in range(10) for one in await world.take(10, ack_wait=300)]
        assert len(handed) == world.limits.max_unconfirmed
        assert await world.take() == []
        await world.settle(*handed[:3])
        assert len(await world.take()) == 3
        assert world.partitions[0].fetches < 10


async def test_consumers_see_all_partitions(autojump_clock: MockClock) -> None:
    """Also one that was added while they consume."""
    world = World(3)
    for partition in range(3):
        world.produce(2, partition)
    async with world.running():
        handed = [one for _ in range(3) for one in await world.take()]
        assert sorted((one.handler.partition, one.handler.offset) for one in handed) == [
            (partition, offset) for partition in range(3) for offset in range(2)
        ]
        world.partitions.append(FakePartition())
        found = world.topics.get("t")
        assert found is not None
        found.partitions.append(world.partitions[3])  # type: ignore[arg-type]
        world.produce(1, 3)
        (late,) = await world.take(wait=30)
        assert late.handler.partition == 3


async def test_a_group_that_is_set_anew_starts_from_there(autojump_clock: MockClock) -> None:
    """A forced reset makes all handlers late, and consumers get messages from where it was set."""
    world = World()
    world.produce(5)
    async with world.running():
        handed = await world.take(ack_wait=300)
        await world.settle(*handed)
        await world.group.hold(force=True, seconds=60)
        await world.group.release({0: 2}).wait()
        again = await world.take(wait=30)
        assert offsets(again) == [2, 3, 4]
        assert await world.settle(*again) == (3, 0)


async def test_what_retention_deleted_is_counted_and_passed(autojump_clock: MockClock) -> None:
    """Consumers that were too slow go on with what is left."""
    world = World()
    world.produce(5)
    world.partitions[0].start_offset = 3
    world.store.positions[HERE] = Confirmed(1, ())
    async with world.running():
        assert offsets(await world.take()) == [3, 4]
        assert world.actor.statistics().counters.lost == 2


async def test_damage_holds_the_partition_and_says_where(autojump_clock: MockClock) -> None:
    """Nothing is skipped by itself; once it can be read again the group goes on."""
    world = World()
    world.produce(2)
    world.partitions[0].fault = DamagedLogError("00.log is damaged at position 5", resume=2)
    async with world.running():
        assert await world.take() == []
        assert "damaged at position 5" in world.actor.statistics().holding
        world.partitions[0].fault = None
        assert offsets(await world.take()) == [0, 1]


async def test_damage_is_skipped_where_that_is_wanted(autojump_clock: MockClock) -> None:
    """What can be read on both sides of it is delivered, also what is in hand; what lies in it counts as lost."""
    world = World()
    world.on_damage = "skip"
    world.produce(1)
    async with world.running():
        taken = await world.take()
        world.partitions[0].fault = DamagedLogError("00.log is damaged at position 5", resume=3)
        world.produce(4)
        taken += await world.take()
        assert offsets(taken) == [0, 3, 4]
        assert world.actor.statistics().counters.lost == 2
        assert await world.settle(*taken) == (3, 0)
        assert world.store.positions[HERE] == Confirmed(5, ())


async def test_a_group_without_consumers_has_no_member(autojump_clock: MockClock) -> None:
    """A minute after the last consumer the group can be reset without force; the next one finds it as it was."""
    world = World()
    world.produce(3)
    async with world.running():
        handed = await world.take(1)
        await world.settle(*handed)
        assert len(world.group.statistics().members) == 1
        await trio.sleep(65)
        assert world.group.statistics().members == ()
        assert offsets(await world.take()) == [1, 2]


async def test_consumers_that_wait_at_the_end_are_told(autojump_clock: MockClock) -> None:
    """A stop leaves nobody hanging."""
    world = World()
    gone: list[str] = []

    async def consume() -> None:
        try:
            await world.take(wait=300)
        except ActorGone as error:
            gone.append(error.name)

    async with trio.open_nursery() as nursery, world.running():
        nursery.start_soon(consume)
        await trio.sleep(1)
    assert gone == ["consumers of g"]


async def test_those_who_left_are_not_kept(autojump_clock: MockClock) -> None:
    """Calls that ended without a message leave nothing behind, however many come."""
    world = World()
    async with world.running():
        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(lambda: world.take(wait=1))
        await world.take(wait=1)
        assert world.actor.statistics().waiting < 130
    assert msgspec.to_builtins(world.actor.statistics().counters.delivered) == 0
