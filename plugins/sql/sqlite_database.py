"""One SQLite file as a few connections: one that writes, and a small pool of those that read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from plugins.api import ConnectorError
from plugins.sql.sqlite_errors import spoils
from plugins.sql.threads import run_interruptible
from plugins.sql.turns import SYSTEM, Turns

T = TypeVar("T")

# One more than may read with the same statement: the last one is for others.
READERS = 5
_CACHED_STATEMENTS = 256
# A cancelled query notices after so many instructions of SQLite's virtual machine: a millisecond or so.
_INSTRUCTIONS_BETWEEN_CHECKS = 50_000
_CHECKPOINT_PAGES = 4_000
_WAL_BYTES_KEPT = 64 * 1024 * 1024
_CLOSE_SECONDS = 5.0
# The largest text or blob that a statement may make or read: no result may hold a larger one, and SQLite's own limit
# of 1 GB would be taken from the daemon's memory by one call.
_VALUE_BYTES = 64 * 1024 * 1024
_READABLE_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"})
_FORBIDDEN = frozenset(
    {
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
    }
)


def stay_inside(action: int, name: str | None, _: str | None, database: str | None, *__: str | None) -> int:
    """Authorizer for statements that people write: they stay in their database and out of its transactions.

    Nor do they make what would stay in the connection: a temporary table comes before the one of the same name that
    everybody else means, the tasks among them. Every such statement meets this first on a reader; the writer gets only
    those that it let pass.
    """
    if action in _FORBIDDEN or (action == sqlite3.SQLITE_PRAGMA and name not in _READABLE_PRAGMAS):
        return sqlite3.SQLITE_DENY
    if database == "temp" and action != sqlite3.SQLITE_READ:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


class Seat:
    """The place of one connection, used by one thread at a time.

    The connection is opened when first used, and closed after an error that may have spoilt it, or when its file is
    not the one at `path` any more: SQLite itself would go on writing into a file that nobody can open again.
    Interruption goes by a progress handler that looks at a flag: `sqlite3_interrupt` is lost on a statement that has
    not begun yet.
    """

    def __init__(self, opened: Callable[[], sqlite3.Connection], path: Path) -> None:
        self._open = opened
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._interrupted = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a worker thread; cancellation interrupts its statement and waits for the thread."""
        self._interrupted = False
        return await run_interruptible(partial(self._use, work), self.interrupt)

    def interrupt(self) -> None:
        """Let the statement that runs now, or the next of the same work, fail with SQLITE_INTERRUPT."""
        self._interrupted = True

    def close(self) -> None:
        """Close the connection; blocks as long as its last checkpoint."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is not None and self._file != _identity(self._path):
            self.close()
        if self._connection is None:
            self._connection = self._open()
            self._file = _identity(self._path)
            self._connection.set_progress_handler(self._is_interrupted, _INSTRUCTIONS_BETWEEN_CHECKS)
        try:
            return work(self._connection)
        except BaseException as error:
            if spoils(error) or self._connection.in_transaction:
                self.close()
            raise

    def _is_interrupted(self) -> bool:
        return self._interrupted


class Database:
    """A file, its writer and its readers.

    `synchronous = NORMAL`: a transaction of rows and their position is whole or not there. A power cut may take the
    latest ones back, position and all, and the task reads those records again from its topic. Statements of people,
    whom nobody repeats, run under FULL (see `transaction`).

    At most `line` queries wait for a reader, and as many for the writer (see `Turns`).
    """

    def __init__(self, path: Path, *, read_only: bool, busy_timeout: float, make_folder: bool, line: int) -> None:
        self.path = path
        self.read_only = read_only
        self._busy_timeout = busy_timeout
        self._make_folder = make_folder
        self._writer = Seat(self._open_writer, path)
        self._writing = Turns(1, line, f"SQLite database {path}")
        self._readers = [Seat(self._open_reader, path) for _ in range(READERS)]
        self._idle = list(self._readers)
        self._reading = Turns(READERS, line, f"SQLite database {path}")
        self._closed = False

    async def read(self, work: Callable[[sqlite3.Connection], T], who: str = SYSTEM) -> T:
        """Run `work` on a connection that cannot write; `who` takes turns with others."""
        async with self._reading.turn(who):
            self._check_open()
            seat = self._idle.pop()
            try:
                return await seat.run(work)
            finally:
                self._idle.append(seat)

    async def write(self, work: Callable[[sqlite3.Connection], T], who: str = SYSTEM) -> T:
        """Run `work` on the one connection that writes; `who` takes turns with others."""
        async with self._writing.turn(who):
            self._check_open()
            return await self._writer.run(work)

    async def close(self) -> None:
        """Let what runs come to its end, interrupt what does not, and close every connection."""
        self._closed = True
        with trio.CancelScope(shield=True):
            with trio.move_on_after(_CLOSE_SECONDS) as patience:
                await self._vacant()
            if patience.cancelled_caught:
                for seat in (self._writer, *self._readers):
                    seat.interrupt()
                await self._vacant()
            await run_interruptible(self._close_all, lambda: None)

    async def _vacant(self) -> None:
        """Return once nothing runs: each seat has had a turn that was its last."""
        await self._writing.vacate()
        await self._reading.vacate()

    def _close_all(self) -> None:
        for seat in (*self._readers, self._writer):
            seat.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectorError(f"the connection to SQLite database {self.path} has been closed")

    def connect(self) -> sqlite3.Connection:
        """A bare connection, which the caller closes; blocks."""
        if self._make_folder and not self.read_only:
            self._make_parent()
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode={'ro' if self.read_only else 'rwc'}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
        _accept_double_quoted_text(connection)
        return connection

    def _make_parent(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConnectorError(f"the folder of SQLite database {self.path} cannot be made: {error}") from error

    def _open_reader(self) -> sqlite3.Connection:
        connection = self.connect()
        _prepared(connection, "PRAGMA query_only = ON")
        connection.set_authorizer(stay_inside)
        return connection

    def _open_writer(self) -> sqlite3.Connection:
        pragmas = ["PRAGMA synchronous = NORMAL"]
        if not self.read_only:
            pragmas += [
                "PRAGMA journal_mode = WAL",
                f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
                f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}",
            ]
        connection = self.connect()
        _prepared(connection, *pragmas)
        return connection


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is there; SQLite makes it with the first write."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _prepared(connection: sqlite3.Connection, *pragmas: str) -> None:
    try:
        for pragma in pragmas:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise


def _accept_double_quoted_text(connection: sqlite3.Connection) -> None:
    """Let `Status = "0"` mean a text where no column is named so, as SQLite does unless built without it.

    Python can ask for that from 3.12 on; before, a build without it refuses the statement, and the error says so.
    """
    setconfig = getattr(connection, "setconfig", None)
    if setconfig is not None:
        setconfig(getattr(sqlite3, "SQLITE_DBCONFIG_DQS_DML"), True)  # noqa: B009, FBT003 - not there before 3.12


def transaction(connection: sqlite3.Connection, work: Callable[[], T], *, durable: bool = False) -> T:
    """Run `work` between BEGIN IMMEDIATE and COMMIT; whatever it raises rolls back. `durable` syncs before it returns.

    Raises:
        CommitFailed: COMMIT itself failed.
    """
    if durable:
        connection.execute("PRAGMA synchronous = FULL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            _commit(connection)
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        return result
    finally:
        if durable:
            connection.execute("PRAGMA synchronous = NORMAL")


class CommitFailed(Exception):  # noqa: N818 - a tag around the cause, never shown
    """COMMIT failed with `__cause__`."""


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise CommitFailed from error
