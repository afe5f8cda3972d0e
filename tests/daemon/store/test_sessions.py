"""`sessions.db`: what it keeps, what it gives up by itself, and what it refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.device_session.delivery.message import Message
from actors.device_session.journal import (
    Change,
    Done,
    DropSession,
    Enqueue,
    KeptWill,
    OpenIncoming,
    Retain,
    SaveSession,
    SaveSubscription,
)
from actors.device_session.registry.sessions import Account, ClientKey
from actors.errors import ConfigurationError, StorageError
from actors.records import TopicPartition
from actors.session_store.core import fold
from actors.session_store.messages import ReadQueue, Write
from actors.wire.mqtt.packets import Will
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties
from daemon.store.sessions import FILE_NAME, SessionFile, StoreLimits

LIMITS = StoreLimits(reserve_bytes=0, reserve_percent=0.0)
NEVER = 0xFFFF_FFFF


def save(session: str, client: str = "", *, expiry: int = NEVER, detached_at: float | None = None) -> SaveSession:
    """A session of a client of its own."""
    return SaveSession(session, ClientKey(Account("device", "p/d"), client or session), 4, expiry, detached_at)


def subscribe(session: str) -> SaveSubscription:
    return SaveSubscription(session, "a/#", 1, False, False, None)  # noqa: FBT003 - its options


def enqueue(session: str, sequence: int, message: Message | None = None) -> Enqueue:
    found = message or Message("a/b", b"x" * 100, 1, 1_000)
    return Enqueue(session, sequence, 1, retain=False, subscription_ids=(), message=found)


async def commit(file: SessionFile, *changes: Change) -> None:
    await file.commit(fold([Write(changes, 1)]))


def count(file: SessionFile, table: str) -> int:
    found: int = file._writer.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


async def test_it_is_durable_and_private(tmp_path: Path) -> None:
    """WAL with synchronous=FULL, readable by nobody else, and what was committed is there when opened again."""
    file = await SessionFile.open(tmp_path, LIMITS)
    assert file._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert file._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    await commit(file, save("s"), subscribe("s"))
    await file.close()
    file = await SessionFile.open(tmp_path, LIMITS)
    (saved,) = await file.load_sessions("", 10)
    assert saved.subscriptions == [subscribe("s")]
    await file.close()


async def test_a_session_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """With its will, which outlives even the session's time: somebody has to publish it."""
    file = await SessionFile.open(tmp_path, LIMITS)
    properties = Properties(content_type="text/plain", user=(("a", "b"),))
    will = KeptWill(Will("a", b"\x00", 1, retain=True, delay=5, properties=properties), 1_000.5)
    first = save("a", expiry=10, detached_at=5.5)._replace(sent=7, will=will)
    second = save("b")._replace(will=KeptWill(Will("b", b"")))
    await commit(file, first, second, save("c", expiry=10, detached_at=5.5))
    await file.begin(2_000.0)
    saved = [one.session for one in await file.load_sessions("", 10)]
    assert saved == [first, second._replace(detached_at=2_000.0)]
    assert saved[1].will is not None
    assert saved[1].will.will.properties is NO_PROPERTIES
    await commit(file, first._replace(will=None))
    assert (await file.load_sessions("", 1))[0].session.will is None
    await file.close()


async def test_a_body_for_many_queues_is_there_once(tmp_path: Path) -> None:
    """A message for 1,000 sessions has one body, which goes with the last queue entry that has it."""
    file = await SessionFile.open(tmp_path, LIMITS)
    message = Message("a/b", b"x" * 1000, 1, 1_000)
    names = [f"s{number}" for number in range(1_000)]
    await commit(file, *map(save, names), *(enqueue(name, 1, message) for name in names))
    assert (count(file, "queue"), count(file, "bodies")) == (1_000, 1)
    await commit(file, *(Done(name, (1,)) for name in names[1:]))
    assert count(file, "bodies") == 1
    await commit(file, DropSession(names[0]))
    assert (count(file, "queue"), count(file, "bodies"), count(file, "holders")) == (0, 0, 0)
    await file.close()


async def test_a_session_leaves_nothing_behind(tmp_path: Path) -> None:
    """What ends takes subscriptions, queue and open messages with it; what is said of it later is about nobody."""
    file = await SessionFile.open(tmp_path, LIMITS)
    opened = OpenIncoming("s", 1, 1, (TopicPartition("t", 0),), delivered=True)
    await commit(file, save("s"), subscribe("s"), enqueue("s", 1), opened)
    await commit(file, DropSession("s"))
    await commit(file, subscribe("s"), enqueue("s", 2), opened)
    tables = ("sessions", "subscriptions", "queue", "bodies", "holders", "incoming", "released")
    assert [count(file, table) for table in tables] == [0] * len(tables)
    await file.close()


async def test_a_client_has_one_session(tmp_path: Path) -> None:
    """A new session of a client takes the place of the one before, with all that one had."""
    file = await SessionFile.open(tmp_path, LIMITS)
    await commit(file, save("old", "c"), subscribe("old"), enqueue("old", 1))
    await commit(file, save("new", "c"))
    assert [saved.session.session for saved in await file.load_sessions("", 10)] == ["new"]
    assert (count(file, "subscriptions"), count(file, "queue"), count(file, "bodies")) == (0, 0, 0)
    await file.close()


async def test_pages_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Each page has about as many bytes as asked for, at least one message, and the last one says so."""
    file = await SessionFile.open(tmp_path, LIMITS)
    await commit(file, save("s"), *(enqueue("s", number) for number in range(1, 8)))
    size = enqueue("s", 1).message.size
    (first,) = await file.read_queues([ReadQueue("s", 0, 3 * size)])
    (second,) = await file.read_queues([ReadQueue("s", 3, 1)])
    (rest, nobody) = await file.read_queues([ReadQueue("s", 4, 100 * size), ReadQueue("other", 0, 1)])
    assert [one.sequence for one in first.entries] == [1, 2, 3]
    assert not first.complete
    assert [one.sequence for one in second.entries] == [4]
    assert [one.sequence for one in rest.entries] == [5, 6, 7]
    assert rest.complete
    assert nobody == ((), True)
    await file.close()


async def test_the_expiry_clock_goes_on_while_nobody_looks(tmp_path: Path) -> None:
    """At a start what has expired meanwhile is gone; who had a connection waits from now on [MQTT5-3.1.2-23]."""
    file = await SessionFile.open(tmp_path, LIMITS)
    expired = Message("old", b"x", 0, 1_000, expires_at=90_000)
    await commit(
        file,
        save("over", expiry=10, detached_at=50.0),
        save("waits", expiry=100, detached_at=50.0),
        save("forever", detached_at=1.0),
        save("connected", expiry=10),
        Retain(expired),
        Retain(Message("kept", b"x", 0, 1_000)),
    )
    assert await file.begin(100.0) == 3
    found = {saved.session.session: saved.session.detached_at for saved in await file.load_sessions("", 10)}
    assert found == {"waits": 50.0, "forever": 1.0, "connected": 100.0}
    assert [message.topic for message in await file.load_retained("", 1_000)] == ["kept"]
    await file.close()


async def test_a_commit_that_fails_is_wholly_undone(tmp_path: Path) -> None:
    """Where SQLite refuses one row, nothing of the commit is kept, and the file goes on working."""
    file = await SessionFile.open(tmp_path, LIMITS)
    await commit(file, save("s"))
    file._writer.execute("CREATE TRIGGER no BEFORE INSERT ON queue BEGIN SELECT raise(ABORT, 'no such luck'); END")
    with pytest.raises(StorageError, match=r"sessions\.db: no such luck"):
        await commit(file, subscribe("s"), enqueue("s", 1))
    assert (count(file, "subscriptions"), count(file, "bodies")) == (0, 0)
    file._writer.execute("DROP TRIGGER no")
    await file.probe()
    await commit(file, enqueue("s", 1))
    assert count(file, "queue") == 1
    await file.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (StoreLimits(max_bytes=1, reserve_bytes=0, reserve_percent=0.0), "session_store.max_bytes is 1"),
        (StoreLimits(reserve_bytes=0, reserve_percent=100.0), "are kept in reserve"),
    ],
)
async def test_a_full_store_says_why(tmp_path: Path, limits: StoreLimits, reason: str) -> None:
    """Past its bound, or in the disk's reserve, what grows has no room, and the reason says what to do."""
    file = await SessionFile.open(tmp_path, limits)
    size = await file.commit(fold([Write([save("s")], 1)]))
    assert reason in size.refusal
    assert size.used > 0
    await file.close()


async def test_a_newer_file_is_refused_and_a_broken_one_named(tmp_path: Path) -> None:
    """What a newer program wrote is left alone; what is no database is an error that names the file."""
    file = await SessionFile.open(tmp_path, LIMITS)
    file._writer.execute("INSERT INTO schema_version VALUES (999, 0)")
    await file.close()
    with pytest.raises(ConfigurationError, match="newer penstock"):
        await SessionFile.open(tmp_path, LIMITS)
    other = tmp_path / "other"
    other.mkdir()
    (other / FILE_NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match=r"other/sessions\.db"):
        await SessionFile.open(other, LIMITS)


async def test_a_copy_is_of_one_moment_while_it_is_written(tmp_path: Path) -> None:
    """A backup opens as a store of its own with what was committed before, and overwrites nothing."""
    file = await SessionFile.open(tmp_path, LIMITS)
    await commit(file, save("s"), enqueue("s", 1))
    copy = tmp_path / "copy"
    await file.backup_into(copy)
    await commit(file, Done("s", (1,)))
    with pytest.raises(StorageError):
        await file.backup_into(copy)
    await file.close()
    file = await SessionFile.open(copy, LIMITS)
    assert [saved.queue.last for saved in await file.load_sessions("", 10)] == [1]
    await file.close()


async def test_statements_take_rows_by_their_keys(tmp_path: Path) -> None:
    """Deleting many rows at once looks each up by its key: no statement of a commit walks through a whole table."""
    file = await SessionFile.open(tmp_path, LIMITS)
    await commit(file, save("s"))
    statements: list[str] = []
    file._writer.set_trace_callback(statements.append)
    changes: Sequence[Change] = [enqueue("s", 1), subscribe("s"), Retain(Message("t", b"x", 0, 1))]
    await commit(file, *changes)
    await commit(file, Done("s", (1, 2)), DropSession("s"))
    file._writer.set_trace_callback(None)
    walked = [one for one in statements if _walks(file._writer, one)]
    assert not walked
    assert len(statements) > 10
    await file.close()


def _walks(connection: sqlite3.Connection, statement: str) -> bool:
    if not statement.lstrip().upper().startswith(("DELETE", "INSERT", "UPDATE")) or "FROM released" in statement:
        return False
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    tables = ("sessions", "subscriptions", "queue", "bodies", "holders", "incoming", "retained")
    return any(f"SCAN {table}" in step[3] for step in plan for table in tables)
