"""Used quotas on their way to the store and back. In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.errors import StorageError
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.flow.quotas import Quotas, QuotaUse
from actors.wire.http.messages import Request
from config.resources import Quota
from daemon.quota_journal import QuotaJournal
from daemon.store.sqlite import SqliteStore


class FakeStore:
    """Keeps rows in memory, or refuses."""

    def __init__(self) -> None:
        self.rows: dict[str, QuotaUse] = {}
        self.writes = 0
        self.broken = False

    async def save_quota_uses(self, uses: Mapping[str, QuotaUse | None]) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise StorageError("meta.db: disk full")
        self.writes += 1
        self.rows |= {app: use for app, use in uses.items() if use is not None}


def called(quotas: Quotas, times: int) -> None:
    for _ in range(times):
        quotas.step(Call(Request("GET", "/"), caller=Caller("app", "a", "a")))


def new_quotas() -> Quotas:
    quotas = Quotas(lambda: 0.0)
    quotas.put("a", Quota(calls=1000))
    return quotas


@asynccontextmanager
async def running(quotas: Quotas, store: FakeStore) -> AsyncIterator[QuotaJournal]:
    journal = QuotaJournal(quotas, store, interval=1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run, lambda: None)
        yield journal
        journal.stop()


async def test_it_is_written_once_an_interval(autojump_clock: MockClock) -> None:
    """However many calls there were, one write; and none where nobody called."""
    quotas, store = new_quotas(), FakeStore()
    async with running(quotas, store):
        called(quotas, 500)
        await trio.sleep(1.5)
        assert (store.rows["a"].used, store.writes) == (500, 1)
        await trio.sleep(10)
        assert store.writes == 1


async def test_the_end_writes_what_is_left(autojump_clock: MockClock) -> None:
    """A drain stores the last calls, and so does a cancellation."""
    quotas, store = new_quotas(), FakeStore()
    async with running(quotas, store):
        called(quotas, 3)
    assert store.rows["a"].used == 3
    with trio.move_on_after(0.1):
        async with running(quotas, store):
            called(quotas, 4)
            await trio.sleep_forever()
    assert store.rows["a"].used == 7


async def test_a_store_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    """One warning however long it lasts, and nothing that was counted is lost."""
    quotas, store = new_quotas(), FakeStore()
    store.broken = True
    with capture_logs() as logs:
        async with running(quotas, store):
            called(quotas, 3)
            await trio.sleep(10)
            store.broken = False
            await trio.sleep(1.5)
            assert store.rows["a"].used == 3
    assert [line["event"] for line in logs] == ["quotas not stored, trying again"]


async def test_the_store_keeps_and_forgets(tmp_path: Path) -> None:
    """What is stored is loaded by the next life; an app without a quota is forgotten."""
    store = await SqliteStore.open(tmp_path)
    uses = {"a": QuotaUse("a", 60, 60, 5), "b": QuotaUse("b", 0, 3600, 1)}
    await store.save_quota_uses(uses)
    await store.save_quota_uses({"a": QuotaUse("a", 120, 60, 1), "b": None, "c": None})
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert await store.load_quota_uses() == [QuotaUse("a", 120, 60, 1)]
    await store.close()
