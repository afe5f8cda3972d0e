"""`sessions.db`: what persistent MQTT sessions promise, in a file of its own beside the metadata."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from actors.device_session.delivery.message import Message
from actors.device_session.journal import QueuePage
from actors.log.disk import Disk
from actors.records import TopicPartition
from actors.session_store.core import Folded
from actors.session_store.messages import ReadQueue
from actors.session_store.store import Saved, StoreSize
from daemon.store.files import copy_database, create_private, in_transaction, storage_errors
from daemon.store.migrate import migrate, shipped
from daemon.store.session_reads import load_retained, load_sessions, load_tails, read_queue
from daemon.store.session_rows import Bodies, write

T = TypeVar("T")

FILE_NAME = "sessions.db"
_MIGRATIONS = "session_migrations"
_PROBE_BYTES = 64 * 1024
# The write-ahead log goes into the file when it has so many pages (of 4 KiB), and is cut to so much after a burst.
_WAL_PAGES = 4_000
_WAL_KEPT_BYTES = 64 * 1024 * 1024
# Half of the file empty and more than this: the room is given back at the start.
_EMPTY_PAGES = 4_000
_FOREVER = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What may be in use, and the free space that is left alone, whichever of the two is larger. Sizes in bytes."""

    max_bytes: int = 4 * 1024**3
    reserve_bytes: int = 64 * 1024**2
    reserve_percent: float = 1.0


class SessionFile:
    """SQLite, WAL, synchronous=FULL; commits and reads each have a connection and a worker thread of their own.

    Build one with `await SessionFile.open(...)`; it implements `actors.session_store.store.SessionStore`. Free space
    under the reserve (bytes, or percent of the disk, whichever is larger) and more than `max_bytes` in use are no
    place for what grows: `StoreSize.refusal` says so.
    """

    def __init__(self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection, limits: StoreLimits) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._limits = limits
        self._write_turn = trio.CapacityLimiter(1)
        self._read_turn = trio.CapacityLimiter(1)
        self._backup_turn = trio.CapacityLimiter(1)
        self._next_body = 1
        self._disk = Disk()

    @classmethod
    async def open(cls, folder: Path, limits: StoreLimits) -> SessionFile:
        """Open, or create, the file in a folder, and bring its schema up to date.

        Raises:
            ConfigurationError: it was written by a newer program.
            StorageError: it cannot be opened, or is no database.
        """
        path = folder / FILE_NAME
        file = cls(path, *await trio.to_thread.run_sync(_connect, path), limits)
        await file._write(file._number_bodies)
        return file

    async def commit(self, folded: Folded) -> StoreSize:
        """Write it all, or nothing; returns how full the store is then."""
        return await self._write(partial(self._commit, folded))

    async def size(self) -> StoreSize:
        """How full it is now."""
        return await self._write(self._size)

    async def probe(self) -> None:
        """Write something of no meaning, to see whether the disk takes writes."""
        await self._write(_probe)

    async def read_queues(self, requests: Sequence[ReadQueue]) -> Sequence[QueuePage]:
        """A page for each request, in order, of what is committed; works beside `commit`."""

        def read(connection: sqlite3.Connection) -> list[QueuePage]:
            return [read_queue(connection, one.session, one.after, one.limit_bytes) for one in requests]

        return await self._read(read)

    async def begin(self, now: float) -> int:
        """Drop the sessions that have expired by `now` and leave no will; returns how many there are then."""
        return await self._write(partial(_begin, now=now))

    async def load_sessions(self, after: str, limit: int) -> Sequence[Saved]:
        """The sessions whose incarnations come after that one, in order, at most so many."""
        return await self._read(partial(load_sessions, after=after, limit=limit))

    async def load_retained(self, after: str, limit_bytes: int) -> Sequence[Message]:
        """Retained messages whose topics come after that one, in order, about so many bytes of them."""
        return await self._read(partial(load_retained, after=after, limit_bytes=limit_bytes))

    async def load_tails(self) -> Mapping[TopicPartition, int]:
        """The offsets of the last checkpoint."""
        return await self._read(load_tails)

    async def backup_into(self, folder: Path) -> Path:
        """Write a consistent copy into a folder while running; returns the file."""
        target = folder / FILE_NAME
        with storage_errors(target):
            await trio.to_thread.run_sync(copy_database, self.path, target, limiter=self._backup_turn)
        return target

    async def close(self) -> None:
        """End; nothing that was committed is lost."""
        with trio.CancelScope(shield=True):
            await self._read(lambda connection: connection.close())
            await self._write(lambda connection: connection.close())

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with storage_errors(self.path):
            return await trio.to_thread.run_sync(work, self._writer, limiter=self._write_turn)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with storage_errors(self.path):
            return await trio.to_thread.run_sync(work, self._reader, limiter=self._read_turn)

    # What runs in the writing thread.

    def _number_bodies(self, connection: sqlite3.Connection) -> None:
        self._next_body = connection.execute("SELECT coalesce(max(body), 0) + 1 FROM bodies").fetchone()[0]

    def _commit(self, folded: Folded, connection: sqlite3.Connection) -> StoreSize:
        bodies = Bodies(self._next_body)
        in_transaction(connection, lambda within: write(within, folded, bodies))
        self._next_body = bodies.next
        return self._size(connection)

    def _size(self, connection: sqlite3.Connection) -> StoreSize:
        used = _used(connection)
        limits = self._limits
        if used >= limits.max_bytes:
            reason = (
                f"{self.path}: {used} bytes of queued and retained messages, and session_store.max_bytes is "
                f"{limits.max_bytes}: raise it, or let sessions that nobody comes back to expire sooner"
            )
            return StoreSize(used, reason)
        free, whole = self._disk.space(self.path.parent)
        reserve = max(limits.reserve_bytes, int(whole * limits.reserve_percent / 100))
        if free >= reserve:
            return StoreSize(used, "")
        return StoreSize(
            used,
            f"{self.path}: {free} bytes are free, {reserve} are kept in reserve: free some space, or lower "
            "log.reserve_bytes or log.reserve_percent",
        )


def _connect(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    with storage_errors(path):
        create_private(path)
        writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        try:
            _prepare(writer, path)
            reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
            reader.execute("PRAGMA query_only = ON")
        except BaseException:
            writer.close()
            raise
        return writer, reader


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # Before the first table: only then does it hold for the file.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    migrate(connection, shipped(_MIGRATIONS), where=str(path), now=time.time_ns() // 1_000_000)


def _used(connection: sqlite3.Connection) -> int:
    page, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    used: int = page * (pages - free)
    return used


def _probe(connection: sqlite3.Connection) -> None:
    connection.execute("REPLACE INTO probe VALUES (1, zeroblob(?))", (_PROBE_BYTES,))
    connection.execute("UPDATE probe SET data = x''")


def _begin(connection: sqlite3.Connection, *, now: float) -> int:
    def settle(within: sqlite3.Connection) -> None:
        within.execute(
            "DELETE FROM sessions "
            "WHERE expiry <> ? AND detached_at IS NOT NULL AND detached_at + expiry <= ? AND will IS NULL",
            (_FOREVER, now),
        )
        within.execute("UPDATE sessions SET detached_at = ? WHERE detached_at IS NULL", (now,))
        within.execute("DELETE FROM retained WHERE expires_at <= ?", (int(now * 1000),))

    in_transaction(connection, settle)
    _give_room_back(connection)
    left: int = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
    return left


def _give_room_back(connection: sqlite3.Connection) -> None:
    pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    if free > _EMPTY_PAGES and free * 2 > pages:
        # To be read to its end: each row that it gives is one page less.
        connection.execute("PRAGMA incremental_vacuum").fetchall()
