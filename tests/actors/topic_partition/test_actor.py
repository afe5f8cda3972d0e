from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.errors import (
    ActorGone,
    AppendRefusedError,
    OffsetOutOfRangeError,
    PenstockError,
    RecordTooLargeError,
    StorageError,
)
from actors.log.retention import Keep
from actors.records import Record
from actors.topic_partition.gate import GateState
from actors.topic_partition.messages import Append, Configure, Retain, Roll, Trim, Trimmed
from config.resources import BacklogLimit, BacklogPolicy, Retention, Topic
from tests.actors.log.parts import EIO, ENOSPC, FaultyDisk, plain, records
from tests.actors.topic_partition.parts import SETTINGS, HeldDisk, in_thread, running, until


async def test_appends_are_answered_with_their_offsets(tmp_path: Path) -> None:
    """Each append learns the offset of its first record, and what was appended can be fetched."""
    async with running(tmp_path / "t-0") as t:
        assert await t.append(records(3)) == 0
        assert await t.append(records(2, 3)) == 3
        assert await t.append([]) == 5
        assert t.partition.high_watermark == 5
        fetched = await t.partition.fetch(1, 1000)
        assert plain(fetched.records()) == records(4, 1)
        assert [record.offset for record in fetched.records()] == [1, 2, 3, 4]
        assert (await t.partition.fetch(5, 1000)).records() == []
        with pytest.raises(OffsetOutOfRangeError):
            await t.partition.fetch(6, 1000)


async def test_one_sync_answers_all_that_waited(tmp_path: Path) -> None:
    """Appends that come while a sync is under way are committed together by the next one."""
    disk = HeldDisk()
    async with running(tmp_path / "t-0", disk) as t:
        disk.go.clear()
        disk.entered.clear()
        first = t.submit(records(1))
        await in_thread(disk.entered)
        others = [t.submit(records(1, n)) for n in range(1, 101)]
        before = disk.syncs
        disk.go.set()
        assert await first.reply.wait() == 0
        assert [await other.reply.wait() for other in others] == list(range(1, 101))
        assert disk.syncs == before + 2
        assert t.partition.statistics().commits == 2


async def test_the_high_watermark_waits_for_the_sync(tmp_path: Path) -> None:
    """Nothing that is not synced is answered, shown or read, though it lies in the file already."""
    disk = HeldDisk()
    async with running(tmp_path / "t-0", disk) as t:
        await t.append(records(2))
        size = (tmp_path / "t-0" / f"{0:020d}.log").stat().st_size
        disk.go.clear()
        disk.entered.clear()
        pending = t.submit(records(2, 2))
        await in_thread(disk.entered)
        assert (tmp_path / "t-0" / f"{0:020d}.log").stat().st_size > size
        assert not pending.reply.done
        assert t.partition.high_watermark == 2
        assert (await t.partition.fetch(0, 1 << 20)).next_offset == 2
        assert (await t.partition.fetch(2, 1 << 20)).records() == []
        with trio.move_on_after(0.05) as scope:
            await t.partition.wait_appended(2)
        assert scope.cancelled_caught
        disk.go.set()
        await t.partition.wait_appended(3)
        assert pending.reply.done
        assert t.partition.high_watermark == 4


async def test_a_failed_sync_fails_all_that_waited(tmp_path: Path) -> None:
    """When a sync fails, its appends and those behind them fail, nothing of them is readable, and appends go on."""
    disk = HeldDisk()
    async with running(tmp_path / "t-0", disk) as t:
        await t.append(records(2))
        disk.go.clear()
        disk.entered.clear()
        first = t.submit(records(2, 50))
        await in_thread(disk.entered)
        behind = [t.submit(records(1, n)) for n in range(60, 65)]
        disk.sync_error = EIO
        disk.go.set()
        for message in (first, *behind):
            with pytest.raises(StorageError):
                await message.reply.wait()
        assert t.partition.high_watermark == 2
        assert t.partition.statistics().fault
        assert t.partition.statistics().refused == 7
        disk.sync_error = 0
        await trio.sleep(1.05)
        assert await t.append(records(2, 2)) == 2
        assert not t.partition.statistics().fault
        found = [record for offset in (0, 2) for record in (await t.partition.fetch(offset, 1 << 20)).records()]
        assert plain(found) == records(4)


async def test_a_full_disk_refuses_and_readers_go_on(tmp_path: Path) -> None:
    """A write that fails is an error of that append; the actor lives, and what was stored can be read."""
    disk = FaultyDisk()
    async with running(tmp_path / "t-0", disk) as t:
        await t.append(records(2))
        disk.write_error = ENOSPC
        with pytest.raises(AppendRefusedError):
            await t.append(records(2, 2))
        assert plain((await t.partition.fetch(0, 1000)).records()) == records(2)
        disk.write_error = 0


async def test_a_bad_append_harms_no_other(tmp_path: Path) -> None:
    """A record that is too large or cannot be encoded fails alone; its neighbours in the commit are stored."""
    disk = HeldDisk()
    async with running(tmp_path / "t-0", disk, max_message_bytes=1000) as t:
        disk.go.clear()
        disk.entered.clear()
        first = t.submit(records(1))
        await in_thread(disk.entered)
        before = t.submit(records(1, 1))
        large = t.submit([Record(b"k", bytes(1000), 1)])
        odd = Append([Record(b"k", 1.5, 1)], 5)  # type: ignore[arg-type]
        t.partition.submit(odd)
        after = t.submit(records(1, 2))
        disk.go.set()
        assert [await message.reply.wait() for message in (first, before, after)] == [0, 1, 2]
        with pytest.raises(RecordTooLargeError):
            await large.reply.wait()
        with pytest.raises(PenstockError, match="cannot be written"):
            await odd.reply.wait()
        assert plain((await t.partition.fetch(1, 1000)).records()) == records(2, 1)


async def test_without_sync_answers_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    """`sync: false`: answered after the write; the sync comes once in an interval."""
    disk = FaultyDisk()
    async with running(tmp_path / "t-0", disk, sync=False) as t:
        before = disk.syncs
        for n in range(5):
            await t.append(records(1, n))
        assert disk.syncs == before
        assert t.partition.high_watermark == 5
        await until(lambda: disk.syncs > before)
        assert disk.syncs == before + 1
        await trio.sleep(0.1)
        assert disk.syncs == before + 1


async def test_stopping_finishes_what_is_in_the_mailbox(tmp_path: Path) -> None:
    """A stopped partition takes nothing new, stores and answers what it has, and can be opened again."""
    async with running(tmp_path / "t-0", sync=False) as t:
        messages = [t.submit(records(1, n)) for n in range(20)]
        t.actor.stop()
        with pytest.raises(ActorGone):
            t.submit(records(1))
        assert [await message.reply.wait() for message in messages] == list(range(20))
    async with running(tmp_path / "t-0") as t:
        assert t.partition.high_watermark == 20
        assert plain((await t.partition.fetch(0, 1 << 20)).records())[:1] == records(1)


async def test_a_cancelled_partition_leaves_nobody_waiting(tmp_path: Path) -> None:
    """When the actor ends before its time, appends, readers and those who wait for records get ActorGone."""
    disk = HeldDisk()
    async with running(tmp_path / "t-0", disk) as t:
        partition = t.partition
        disk.go.clear()
        disk.entered.clear()
        first = t.submit(records(1))
        await in_thread(disk.entered)
        behind = t.submit(records(1))
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(ActorGone):
                    await partition.wait_appended(100)

            await wait_all_tasks_blocked()
            t.nursery.cancel_scope.cancel()
            disk.go.set()
    assert first.reply.value() == 0
    with pytest.raises(ActorGone):
        behind.reply.value()
    with pytest.raises(ActorGone):
        await partition.fetch(0, 100)
    assert not partition.statistics().alive


async def test_segments_roll_by_size_and_reads_cross_them(tmp_path: Path) -> None:
    """A full segment is followed by another, and a reader goes through all of them."""
    settings = msgspec.structs.replace(SETTINGS, segment_bytes=1000)
    async with running(tmp_path / "t-0", settings=settings) as t:
        for n in range(0, 100, 5):
            await t.append(records(5, n))
        assert t.partition.statistics().segments > 3
        found: list[Record] = []
        while len(found) < 100:
            found += plain((await t.partition.fetch(len(found), 700)).records())
        assert found == records(100)


async def test_roll_and_retain_can_be_asked_for(tmp_path: Path) -> None:
    """Rolling and retention answer with what they did, and a changed retention is used from then on."""
    async with running(tmp_path / "t-0") as t:
        await t.append(records(10))
        roll, retain = Roll(), Retain()
        t.partition.submit(roll)
        assert await roll.reply.wait() == 10
        await t.append(records(10, 10))
        t.partition.submit(retain)
        assert await retain.reply.wait() == 0
        configure, retain = Configure(Topic(name="t", app="a", retention=Retention(bytes=400))), Retain()
        t.partition.submit(configure)
        t.partition.submit(retain)
        await configure.reply.wait()
        assert await retain.reply.wait() == 1
        assert t.partition.start_offset == 10
        with pytest.raises(OffsetOutOfRangeError) as error:
            await t.partition.fetch(3, 100)
        assert error.value.start == 10


async def test_retention_runs_by_itself(tmp_path: Path) -> None:
    """Old segments go on the retention interval, though nobody appends."""
    settings = msgspec.structs.replace(SETTINGS, retention_interval=0.05)
    async with running(tmp_path / "t-0", settings=settings) as t:
        await t.append([Record(b"k", b"v", 1000)])
        await until(lambda: t.partition.start_offset > 0)
        assert t.partition.high_watermark == 1


async def test_a_new_actor_takes_the_old_ones_place(tmp_path: Path) -> None:
    """After a new start the topic's entry leads to the living actor; the old one answers ActorGone."""
    async with running(tmp_path / "t-0") as t:
        old = t.partition
        await t.append(records(1))
        t.actor.stop()
        await until(lambda: not old.statistics().alive)
        async with running(tmp_path / "t-0") as again:
            assert again.partition is not old
            assert await again.append(records(1)) == 1
        with pytest.raises(ActorGone):
            await old.wait_appended(0)
        assert old.high_watermark == 1


async def test_a_full_mailbox_lets_senders_stand_in_line(tmp_path: Path) -> None:
    """More than the mailbox takes waits in line, is measured, and is stored in its order."""
    disk = HeldDisk()
    settings = msgspec.structs.replace(SETTINGS, mailbox_bytes=100)
    async with running(tmp_path / "t-0", disk, settings) as t:
        disk.go.clear()
        disk.entered.clear()
        first = t.submit(records(1))
        await in_thread(disk.entered)
        messages = [t.submit(records(1, n)) for n in range(1, 21)]
        statistics = t.partition.statistics().mailbox
        assert statistics.in_line > 10
        assert statistics.depth <= 100
        disk.go.set()
        assert [await message.reply.wait() for message in (first, *messages)] == list(range(21))


async def test_an_unusable_folder_is_an_error_of_the_start(tmp_path: Path) -> None:
    """A partition whose folder cannot be made does not start, says why, and fails what was sent to it."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExceptionGroup) as error:
        async with running(tmp_path / "file" / "t-0"):
            pass
    assert error.group_contains(StorageError, match="cannot be opened")


async def test_a_throttled_partition_takes_no_appends_and_serves_the_rest(tmp_path: Path) -> None:
    """While its topic is throttled appends lie in the mailbox; rolling and reading go on; the end brings them in."""
    async with running(tmp_path / "t-0") as t:
        await t.append(records(2))
        t.topic.gate.set(GateState.THROTTLED, "a group lags")
        held, roll = t.submit(records(3, 2)), Roll()
        t.partition.submit(roll)
        assert await roll.reply.wait() == 2
        assert len((await t.partition.fetch(0, 1000)).records()) == 2
        assert not held.reply.done
        assert t.partition.statistics().mailbox.depth == held.size
        t.topic.gate.set(GateState.OPEN)
        assert await held.reply.wait() == 2


async def test_a_throttled_partition_that_stops_stores_what_it_holds(tmp_path: Path) -> None:
    """A graceful end waits for no policy: what stood in the mailbox is stored and answered."""
    async with running(tmp_path / "t-0") as t:
        t.topic.gate.set(GateState.THROTTLED, "a group lags")
        held = t.submit(records(3))
        t.actor.stop()
        assert await held.reply.wait() == 0


async def test_a_failed_sync_fails_what_is_throttled_behind_it(tmp_path: Path) -> None:
    """What waits on hold while a sync fails is failed too, so that nothing overtakes what is sent again."""
    disk = HeldDisk()
    async with running(tmp_path / "t-0", disk) as t:
        disk.go.clear()
        disk.entered.clear()
        first = t.submit(records(1))
        await in_thread(disk.entered)
        t.topic.gate.set(GateState.THROTTLED, "a group lags")
        behind = t.submit(records(1, 1))
        disk.sync_error = EIO
        disk.go.set()
        for append in (first, behind):
            with pytest.raises(StorageError):
                await append.reply.wait()
        disk.sync_error = 0
        await trio.sleep(1.05)  # a failed disk is tried again after a second, also to be closed


async def test_retention_spares_what_a_policy_keeps(tmp_path: Path) -> None:
    """With a policy that loses nothing, unread segments stay; all of them before it is known who has read what."""
    policy = BacklogPolicy(limit=BacklogLimit(messages=1000), action="throttle")
    async with running(tmp_path / "t-0", retention=Retention(bytes=1), backlog=policy) as t:
        for n in range(4):
            await t.append(records(10, 10 * n))
            await t.ask(Roll())
        assert await t.ask(Retain()) == 0
        t.topic.gate.protect({0: 15})
        assert await t.ask(Retain()) == 1
        assert t.partition.start_offset == 10
        t.topic.gate.protect({})
        assert await t.ask(Retain()) == 3


async def test_trimming_deletes_whole_segments_and_says_what_was_unread(tmp_path: Path) -> None:
    """What is to be kept is kept; of what goes, the answer tells how much no group had read."""
    async with running(tmp_path / "t-0") as t:
        for n in range(4):
            await t.append(records(10, 10 * n))
            await t.ask(Roll())
        assert await t.ask(Trim(Keep(records=25), consumed=5)) == Trimmed(1, 10, 5)
        assert t.partition.start_offset == 10
        assert await t.ask(Trim(Keep(records=25), consumed=5)) == Trimmed()
        assert await t.ask(Trim(Keep(records=10), consumed=40)) == Trimmed(2, 20, 0)
        assert t.partition.start_offset == 30


async def test_trimming_by_age_closes_a_segment_that_nobody_writes_any_more(tmp_path: Path) -> None:
    """Records older than the limit go although no new ones push them out."""
    async with running(tmp_path / "t-0") as t:
        await t.append([Record(b"k", b"v", 1000)])
        assert await t.ask(Trim(Keep(seconds=3600), consumed=0)) == Trimmed(1, 1, 1)
        assert t.partition.high_watermark == 1


async def test_what_is_withdrawn_before_its_commit_is_not_stored(tmp_path: Path) -> None:
    """A sender that gives up while its append waits finds nothing of it in the log; the others are not touched."""
    async with running(tmp_path / "t-0") as t:
        t.topic.gate.set(GateState.THROTTLED, "a group lags")
        given_up, other = t.submit(records(3)), t.submit(records(2, 3))
        assert given_up.reply.withdraw(PenstockError("no more patience"))
        t.topic.gate.set(GateState.OPEN)
        assert await other.reply.wait() == 0
        assert plain((await t.partition.fetch(0, 1000)).records()) == records(2, 3)
