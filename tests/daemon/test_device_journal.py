"""Device statuses on their way to the store and back. In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.device_session.registry.statuses import Statuses
from actors.errors import StorageError
from daemon.device_journal import DeviceJournal, restore
from daemon.store.model import DeviceStatus


class Living:
    client_id = "d"
    address = "127.0.0.1:5"


class FakeStore:
    """Keeps rows in memory; can be slow, or refuse."""

    def __init__(self) -> None:
        self.rows: dict[str, DeviceStatus] = {}
        self.batches: list[int] = []
        self.broken = False
        self.delay = 0.0

    async def save_device_status(self, statuses: Sequence[DeviceStatus]) -> None:
        await trio.sleep(self.delay)
        if self.broken:
            raise StorageError("meta.db: disk full")
        self.batches.append(len(statuses))
        self.rows |= {f"{one.product}/{one.device}": one for one in statuses}


class World:
    def __init__(self) -> None:
        self.statuses = Statuses()
        self.store = FakeStore()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DeviceJournal]:
        journal = DeviceJournal(self.statuses, self.store, interval=5.0, patience=60.0, rows=100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run, lambda: None)
            yield journal
            journal.stop()

    def restarted(self) -> Statuses:
        statuses = Statuses()
        restore(statuses, self.store.rows.values())
        return statuses


@pytest.fixture
def world() -> World:
    return World()


async def test_who_left_is_stored_within_the_interval(world: World, autojump_clock: MockClock) -> None:
    """A device that came and left is in the store after one interval, with its reason, counts and rejections."""
    status, session = world.statuses.of("p/d"), Living()
    async with world.running():
        status.joined(session)
        status.reports = 3
        status.reject("p/out/d", "status: not in enum")
        status.left(session, "keep alive ran out")
        await trio.sleep(6)
        assert world.restarted().view("p/d") == world.statuses.view("p/d")


async def test_those_who_only_report_are_written_once_a_minute(world: World, autojump_clock: MockClock) -> None:
    """Reports alone make one row a device and minute, however many they are."""
    async with world.running():
        for _ in range(600):
            for device in ("p/a", "p/b"):
                world.statuses.of(device).reports += 100
            await trio.sleep(0.5)
        assert sum(world.store.batches) <= 2 * 6
    assert world.store.rows["p/a"].reports == 60_000


async def test_transactions_are_bounded(world: World, autojump_clock: MockClock) -> None:
    """A crowd that comes at once is written round by round, and whatever is left at the end."""
    for number in range(950):
        world.statuses.of(f"p/{number}").joined(Living())
    async with world.running():
        await trio.sleep(11)
        assert world.store.batches == [100, 100]
    assert len(world.store.rows) == 950
    assert max(world.store.batches) == 100


async def test_a_store_that_fails_is_waited_for_and_told_once(world: World, autojump_clock: MockClock) -> None:
    """While the store refuses, one line says so, statuses go on changing, and all is written once it takes them."""
    world.store.broken = True
    with capture_logs() as lines:
        async with world.running():
            for _ in range(20):
                world.statuses.of("p/d").reject("t", "no")
                await trio.sleep(5)
            world.store.broken = False
            await trio.sleep(6)
            assert world.store.rows["p/d"].rejected == 20
    assert [line["event"] for line in lines] == ["device statuses not stored, trying again"]


async def test_a_store_that_fails_at_the_end_holds_up_nobody(world: World, autojump_clock: MockClock) -> None:
    """The last write is tried, not insisted on."""
    world.store.broken = True
    world.statuses.of("p/d").reject("t", "no")
    async with world.running():
        await trio.sleep(1)
    assert trio.current_time() < 5


async def test_a_store_that_hangs_at_the_end_is_given_up(world: World, autojump_clock: MockClock) -> None:
    """When the process is to end at once, the last write has a few seconds."""
    world.statuses.of("p/d").reject("t", "no")
    world.store.delay = 1000.0
    async with world.running():
        await trio.sleep(1)
    assert trio.current_time() < 10


async def test_a_cancelled_journal_writes_what_is_left(world: World, autojump_clock: MockClock) -> None:
    """Also where the drain is cut off, what sessions said last is stored."""
    journal = DeviceJournal(world.statuses, world.store)
    with trio.move_on_after(1):
        world.statuses.of("p/d").reject("t", "no")
        await journal.run(lambda: None)
    assert world.store.rows["p/d"].rejected == 1


async def test_who_was_online_when_the_daemon_died_is_offline_since_it_was_last_seen(
    world: World, autojump_clock: MockClock
) -> None:
    """A crash cannot say goodbye: after it, a device that was online is offline, and the reason names the crash."""
    status = world.statuses.of("p/d")
    status.joined(Living())
    status.last_report = (status.since or 0) + 7_000
    async with world.running():
        await trio.sleep(6)
    view = world.restarted().view("p/d")
    assert (view.online, view.since) == (False, status.last_report)
    assert "without a drain" in view.reason


async def test_who_was_online_at_a_kill_is_told_once(world: World, autojump_clock: MockClock) -> None:
    """The devices that a kill took offline are named at the next start, are written as offline, and not named again."""
    async with world.running() as journal:
        world.statuses.of("p/d").joined(Living())
        left, living = world.statuses.of("p/left"), Living()
        left.joined(living)
        left.left(living, "it left")
        await trio.sleep(6)
        online = dict(world.store.rows)
        journal.stop()
    world.store.rows = online
    world.statuses = Statuses()
    assert restore(world.statuses, world.store.rows.values()) == ["p/d"]
    async with world.running():
        await trio.sleep(6)
    assert restore(Statuses(), world.store.rows.values()) == []
    assert "without a drain" in world.store.rows["p/d"].reason
