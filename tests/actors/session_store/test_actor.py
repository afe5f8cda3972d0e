"""The session store's actor: group commit, failure and recovery, reading beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from actors.device_session.journal import Done, QueuePage, SaveSession
from actors.device_session.registry.sessions import Account, ClientKey
from actors.errors import ActorGone, AppendRefusedError, StorageError
from actors.runtime.reply import Reply
from actors.session_store.actor import RETRY_SECONDS, Checkpoints, SessionStoreActor
from actors.session_store.messages import Checkpoint
from actors.session_store.reference import SessionStoreReference
from tests.actors.session_store.stores import MemoryStore, NoCheckpoints, enqueue


@asynccontextmanager
async def running(
    store: MemoryStore, checkpoints: Checkpoints | None = None
) -> AsyncIterator[tuple[SessionStoreReference, SessionStoreActor]]:
    """The actor on a store, drained at the end."""

    async def restore() -> None:
        await trio.lowlevel.checkpoint()

    reference = SessionStoreReference()
    actor = SessionStoreActor(
        store,
        reference,
        restore=restore,
        checkpoints=checkpoints or NoCheckpoints(),
        mailbox_bytes=100_000,
        checkpoint_interval=5.0,
    )
    async with trio.open_nursery() as nursery:
        started = trio.Event()
        nursery.start_soon(actor.run, started.set)
        await started.wait()
        yield reference, actor
        actor.stop()


async def test_what_waits_is_one_commit(autojump_clock: trio.testing.MockClock) -> None:
    """Everything that comes while a commit runs is written by the next one, and all of it is answered."""
    store = MemoryStore()
    async with running(store) as (journal, _):
        store.gate = trio.Event()
        replies: list[Reply[None]] = [Reply() for _ in range(50)]
        for number, reply in enumerate(replies):
            journal.write([enqueue("s", number + 1)], reply)
            if number == 0:
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert not any(reply.done for reply in replies)
        store.gate.set()
        for reply in replies:
            await reply.wait()
    assert len(store.commits) == 2


async def test_what_is_done_before_it_is_written_is_never_written(autojump_clock: trio.testing.MockClock) -> None:
    """A message that is acknowledged before its commit begins costs no row, and its publisher is answered."""
    store = MemoryStore()
    async with running(store) as (journal, _):
        reply: Reply[None] = Reply()
        journal.write([enqueue("s", 1)], reply)
        journal.write([Done("s", (1,))], None)
        await reply.wait()
    (folded,) = store.commits
    assert not folded.sessions["s"].enqueued
    assert not folded.sessions["s"].done


async def test_a_failed_commit_fails_everybody_and_refuses_until_a_probe_succeeds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """All who wait for a failed commit hear why; who comes then is refused at once, until the disk takes writes."""
    store = MemoryStore()
    async with running(store) as (journal, _):
        store.broken = True
        first, second = Reply[None](), Reply[None]()
        journal.write([enqueue("s", 1)], first)
        journal.write([enqueue("s", 2)], second)
        for reply in (first, second):
            with pytest.raises(StorageError, match="disk I/O error"):
                await reply.wait()
        third: Reply[None] = Reply()
        journal.write([enqueue("s", 3)], third)
        with pytest.raises(AppendRefusedError, match="nothing of it was kept"):
            await third.wait()
        assert "disk I/O error" in journal.statistics().fault
        await trio.sleep(3 * RETRY_SECONDS)
        assert store.probes >= 2
        store.broken = False
        await trio.sleep(2 * RETRY_SECONDS)
        assert journal.statistics().fault == ""
        fourth: Reply[None] = Reply()
        journal.write([enqueue("s", 4)], fourth)
        await fourth.wait()
    assert sorted(store.waiting["s"]) == [4]
    assert journal.counters.refused == 1


async def test_what_nobody_waits_for_is_written_once_the_disk_takes_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An acknowledgement that comes while the disk takes nothing is true all the same: it is written afterwards."""
    store = MemoryStore()
    async with running(store) as (journal, _):
        reply: Reply[None] = Reply()
        journal.write([enqueue("s", 1), enqueue("s", 2)], reply)
        await reply.wait()
        store.broken = True
        journal.write([Done("s", (1,))], None)
        await trio.sleep(0.1)
        journal.write([Done("s", (2,))], None)
        await trio.sleep(0.1)
        assert sorted(store.waiting["s"]) == [1, 2]
        store.broken = False
        await trio.sleep(2 * RETRY_SECONDS)
        assert store.waiting["s"] == {}
    assert journal.counters.lost == 0


async def test_without_room_what_grows_is_refused_and_what_ends_is_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """In the reserve new messages are refused with the reason; acknowledgements and saved sessions are written."""
    store = MemoryStore()
    store.refusal = "sessions.db: 10 bytes are free"
    async with running(store) as (journal, _):
        grown, saved = Reply[None](), Reply[None]()
        journal.write([enqueue("s", 1)], grown)
        journal.write([SaveSession("s", ClientKey(Account("device", "p/d"), "c"), 4, 10, None)], saved)
        with pytest.raises(AppendRefusedError, match="10 bytes are free"):
            await grown.wait()
        await saved.wait()
        store.refusal = ""
        await trio.sleep(2 * RETRY_SECONDS)
        again: Reply[None] = Reply()
        journal.write([enqueue("s", 2)], again)
        await again.wait()


async def test_a_page_sees_what_was_written_before_it_was_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    """Reading waits for the commits of what came before it, also when that is still in the mailbox."""
    store = MemoryStore()
    async with running(store) as (journal, _):
        store.gate = trio.Event()
        journal.write([enqueue("s", 1)], None)
        page: Reply[QueuePage] = Reply()
        journal.read_queue("s", 0, 1_000, page)
        await trio.testing.wait_all_tasks_blocked()
        assert not page.done
        store.gate.set()
        assert [entry.sequence for entry in (await page.wait()).entries] == [1]


async def test_a_drain_answers_everybody(autojump_clock: trio.testing.MockClock) -> None:
    """What was handed over before the end is written and read before the end; what comes after hears ActorGone."""
    store = MemoryStore()
    async with running(store) as (journal, actor):
        reply, page = Reply[None](), Reply[QueuePage]()
        journal.write([enqueue("s", 1)], reply)
        journal.read_queue("s", 0, 1_000, page)
        actor.stop()
    assert reply.error is None
    assert reply.done
    assert len(page.value().entries) == 1
    late: Reply[None] = Reply()
    journal.write([enqueue("s", 2)], late)
    journal.write([Done("s", (1,))], None)
    assert isinstance(late.error, ActorGone)
    assert journal.counters.lost == 1


async def test_an_end_by_force_leaves_nobody_waiting(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelled in the middle of a commit, the actor fails every open answer."""
    store = MemoryStore()
    replies: list[Reply[None]] = [Reply() for _ in range(3)]
    page: Reply[QueuePage] = Reply()
    with trio.CancelScope() as scope:
        async with running(store) as (journal, _):
            store.gate = trio.Event()
            for number, reply in enumerate(replies):
                journal.write([enqueue("s", number + 1)], reply)
            journal.read_queue("s", 0, 100, page)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert all(isinstance(reply.error, ActorGone) for reply in replies)
    assert isinstance(page.error, ActorGone)


class _Twice:
    """A checkpoint at the start, one later, then none."""

    def __init__(self) -> None:
        self.asked = 0
        self.answered: list[Reply[None]] = []

    def due(self) -> Checkpoint | None:
        self.asked += 1
        if self.asked > 2:
            return None
        self.answered.append(Reply())
        return Checkpoint({}, [], self.answered[-1])


async def test_checkpoints_are_written_at_the_start_and_while_it_runs(autojump_clock: trio.testing.MockClock) -> None:
    """The first one is on disk before anybody may rely on the store; the next ones come every interval."""
    store, checkpoints = MemoryStore(), _Twice()
    async with running(store, checkpoints):
        assert len(store.commits) == 1
        assert store.commits[0].offsets == {}
        await trio.sleep(5.5)
        assert len(store.commits) == 2
    assert all(reply.done and reply.error is None for reply in checkpoints.answered)
