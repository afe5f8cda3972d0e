"""The audit log in the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.errors import StorageError
from actors.ports import AuditEntry
from daemon.audit import AuditLog
from daemon.store import audit
from daemon.store.sqlite import SqliteStore


def entry(at: int) -> AuditEntry:
    return AuditEntry(at, "doctor", "task t", "set_runners", "1", "2", "slow")


async def test_entries_outlive_the_daemon_and_stay_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest come first; the oldest go once there are too many."""
    monkeypatch.setattr(audit, "MOST_ENTRIES", 5)
    store = await SqliteStore.open(tmp_path)
    log = AuditLog(store)
    for at in range(12):
        await log.record(entry(at))
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert [one.at for one in await AuditLog(store).entries(100)] == [11, 10, 9, 8, 7]
    assert await AuditLog(store).entries(1) == [entry(11)]
    await store.close()
    with sqlite3.connect(tmp_path / "penstock.db") as database:
        assert database.execute("SELECT count(*) FROM audit").fetchone() == (5,)
    database.close()


async def test_a_store_that_does_not_answer_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is in the daemon's log all the same."""
    store = await SqliteStore.open(tmp_path)

    async def fail(_entry: AuditEntry) -> None:
        raise StorageError("disk full")

    monkeypatch.setattr(store, "add_audit", fail)
    with capture_logs() as lines:
        await AuditLog(store).record(entry(1))
    await store.close()
    assert [line["event"] for line in lines] == ["audit", "audit entry not stored"]
    assert lines[0]["before"] == "1"
