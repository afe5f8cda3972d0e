"""Connector sqlite against real files."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio

from plugins.api import (
    ConnectionBusyError,
    ConnectorError,
    FencedError,
    Host,
    ParameterError,
    Position,
    ResultLimits,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
    TargetTable,
    TopicPartition,
    WriteBatch,
)
from plugins.connectors.sqlite import CONNECTOR, Sqlite, SqliteSettings
from tests.plugins.connectors.contract import LIMITS, PARKING, SOURCE, ask, batch, parked
from tests.plugins.no_bridge import NoBridge


def build(folder: Path, **settings: object) -> Sqlite:
    return CONNECTOR.build(
        msgspec.convert({"path": "parking.db", **settings}, SqliteSettings), Host(folder, NoBridge())
    )


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Sqlite]:
    connector = build(tmp_path)
    yield connector
    await connector.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_slow_statements_leave_a_reader_to_others(sqlite: Sqlite) -> None:
    """As many calls of one endless statement as there may be, and another one is answered at once."""
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask, sqlite, SLOW)
        await trio.sleep(0.2)
        with trio.fail_after(5):
            assert await ask(sqlite, "SELECT 1") == [(1,)]
        nursery.cancel_scope.cancel()


async def test_more_than_may_wait_are_refused(tmp_path: Path) -> None:
    """Whoever finds the line full is told at once that nothing was done."""
    connector = build(tmp_path, max_waiting=2)
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask, connector, SLOW)
        await trio.sleep(0.2)
        with pytest.raises(ConnectionBusyError, match="is busy"):
            await ask(connector, SLOW)
        nursery.cancel_scope.cancel()
    await connector.close()


async def test_values_are_bound_wherever_they_are_written(sqlite: Sqlite) -> None:
    """`${name}` and `'${name}'` are parameters like `:name`; SQL in a value is a value."""
    evil = "'; DROP TABLE t; --"
    assert await ask(sqlite, "SELECT ${a}, '${a}', :a", a=evil) == [(evil, evil, evil)]


# --- queries


async def test_the_example_runs_as_written(sqlite: Sqlite) -> None:
    """A double-quoted text and a trailing semicolon are taken as SQLite always took them."""
    await sqlite.create_table(PARKING)
    claim = await sqlite.claim("to-table", SOURCE)
    await sqlite.write(batch([("lot-1", "0"), ("lot-2", "1")], epoch=claim.epoch, expected=None))
    result = await sqlite.query('SELECT COUNT(Status) AS FreeNo FROM ParkingData WHERE Status="0";', {}, LIMITS)
    assert result.columns == ("FreeNo",)
    assert list(result.rows) == [(1,)]


async def test_parameters_are_bound_and_never_pasted(sqlite: Sqlite) -> None:
    """A parameter's text is a value, whatever is in it; names that the statement does not use are ignored."""
    await ask(sqlite, "CREATE TABLE t (a TEXT, n INTEGER)")
    evil = "x'); DROP TABLE t; --"
    await ask(sqlite, "INSERT INTO t VALUES (:a, :n)", a=evil, n="7", other="unused")
    assert await ask(sqlite, "SELECT a, n FROM t WHERE a = :a AND n = :n", a=evil, n="7", more=1) == [(evil, 7)]


async def test_a_missing_parameter_is_named(sqlite: Sqlite) -> None:
    """A parameter that is not given is an error that names it, not NULL."""
    with pytest.raises(ParameterError, match="lot is missing"):
        await ask(sqlite, "SELECT :lot")


@pytest.mark.parametrize("value", [{"a": 1}, 2**70, "\ud800", [1]])
async def test_a_parameter_that_cannot_be_bound_is_refused(sqlite: Sqlite, value: object) -> None:
    """What SQLite has no type for is the parameter's fault."""
    with pytest.raises(ParameterError):
        await ask(sqlite, "SELECT :lot", lot=value)


async def test_a_parameter_of_the_wrong_type_for_its_place_is_refused(sqlite: Sqlite) -> None:
    """LIMIT takes numbers: text that is one is taken, other text is the parameter's fault."""
    assert await ask(sqlite, "SELECT 1 LIMIT :n", n="1") == [(1,)]
    with pytest.raises(ParameterError):
        await ask(sqlite, "SELECT 1 LIMIT :n", n="many")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "SELECT * FROM nowhere",
        "SELEKT 1",
        "SELECT",
        "SELECT ?",
        "ATTACH DATABASE 'other.db' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "BEGIN",
        "COMMIT",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "SAVEPOINT a",
    ],
)
async def test_what_is_no_single_statement_inside_the_database_is_refused(sqlite: Sqlite, sql: str) -> None:
    """Two statements, a missing table, bad syntax, and whatever would leave the database or its transaction."""
    with pytest.raises(StatementError):
        await ask(sqlite, sql)
    assert await ask(sqlite, "SELECT 1") == [(1,)]


async def test_semicolons_and_comments_after_the_statement_are_allowed(sqlite: Sqlite) -> None:
    """A trailing semicolon and comments make no second statement."""
    assert await ask(sqlite, "/* one */ SELECT 1; -- and no more; really\n") == [(1,)]


async def test_a_query_may_write_and_says_how_much(sqlite: Sqlite) -> None:
    """INSERT, UPDATE ... RETURNING and DDL run in a transaction of their own."""
    await ask(sqlite, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    assert (await sqlite.query("INSERT INTO t VALUES (1, 'x'), (2, 'y')", {}, LIMITS)).affected == 2
    assert await ask(sqlite, "UPDATE t SET b = 'z' WHERE a = :a RETURNING a, b", a="1") == [(1, "z")]
    with pytest.raises(RowRejectedError, match="UNIQUE"):
        await ask(sqlite, "INSERT INTO t VALUES (3, 'p'), (1, 'q')")
    assert await ask(sqlite, "SELECT count(*) FROM t") == [(2,)]


async def test_results_are_bounded_while_they_are_fetched(sqlite: Sqlite) -> None:
    """Neither rows nor bytes beyond the limits are held; the connection serves on."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with pytest.raises(ResultTooLargeError, match="10 rows"):
        await sqlite.query(endless, {}, ResultLimits(rows=10, bytes=10_000))
    with pytest.raises(ResultTooLargeError, match="100 bytes"):
        await sqlite.query("SELECT hex(zeroblob(60))", {}, ResultLimits(rows=10, bytes=100))
    exact = await sqlite.query(endless + " LIMIT 10", {}, ResultLimits(rows=10, bytes=80))
    assert len(exact.rows) == 10


async def test_a_cancelled_query_gives_its_thread_and_connection_back(sqlite: Sqlite) -> None:
    """A time-out interrupts the statement itself, on as many connections as there are, and nothing stays occupied."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    began = trio.current_time()
    with trio.move_on_after(0.2):
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(ask, sqlite, endless)
    assert trio.current_time() - began < 3
    assert await ask(sqlite, "SELECT 1") == [(1,)]


async def test_a_cancelled_write_is_rolled_back(sqlite: Sqlite) -> None:
    """An interrupted statement leaves nothing of its transaction and no lock."""
    await ask(sqlite, "CREATE TABLE t (a INTEGER)")
    slow = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with trio.move_on_after(0.2) as scope:
        await ask(sqlite, slow)
    assert scope.cancelled_caught
    assert await ask(sqlite, "SELECT count(*) FROM t") == [(0,)]
    assert (await sqlite.query("INSERT INTO t VALUES (1)", {}, LIMITS)).affected == 1


# --- batched writes


async def test_rows_and_position_move_together(sqlite: Sqlite) -> None:
    """After a write both the rows and the next offset stand; the same key is overwritten."""
    await sqlite.create_table(PARKING)
    assert await sqlite.position("to-table", SOURCE) == Position(0, None)
    assert await sqlite.claim("to-table", SOURCE) == Position(1, None)
    await sqlite.write(batch([("a", "0"), ("b", "0"), ("a", "1")], epoch=1, expected=None))
    assert await sqlite.position("to-table", SOURCE) == Position(1, 3)
    await sqlite.write(batch([("b", "1")], epoch=1, expected=3))
    assert await parked(sqlite) == [("a", "1"), ("b", "1")]
    assert await sqlite.claim("to-table", SOURCE) == Position(2, 4)


@pytest.mark.parametrize("count", [1, 2, 3, 1023, 1024, 1025, 3000])
async def test_batches_of_every_size_arrive_whole_and_in_order(sqlite: Sqlite, count: int) -> None:
    """How rows are spread over statements is not to be seen."""
    log = TargetTable("log", (("n", "integer"), ("text", "string")))
    await sqlite.create_table(log)
    await sqlite.claim("to-table", SOURCE)
    await sqlite.write(batch([(n, f"r{n}") for n in range(count)], epoch=1, expected=None, table=log))
    found = await sqlite.query("SELECT n, text FROM log ORDER BY rowid", {}, ResultLimits(5000, 1_000_000))
    assert found.rows == [(n, f"r{n}") for n in range(count)]


async def test_an_empty_batch_moves_the_position_alone(sqlite: Sqlite) -> None:
    """Records that brought no rows are passed, too."""
    await sqlite.create_table(PARKING)
    await sqlite.claim("to-table", SOURCE)
    await sqlite.write(WriteBatch("to-table", SOURCE, 1, None, 9, PARKING, ()))
    assert await sqlite.position("to-table", SOURCE) == Position(1, 9)


@pytest.mark.parametrize(("epoch", "expected"), [(1, None), (2, 5), (3, None)])
async def test_a_fenced_writer_writes_nothing(sqlite: Sqlite, epoch: int, expected: int | None) -> None:
    """An older epoch, or an offset that is not the one in the sink, changes neither row nor position."""
    await sqlite.create_table(PARKING)
    await sqlite.claim("to-table", SOURCE)
    await sqlite.claim("to-table", SOURCE)
    with pytest.raises(FencedError, match="parking-status-2"):
        await sqlite.write(batch([("a", "0")], epoch=epoch, expected=expected))
    assert await parked(sqlite) == []
    assert await sqlite.position("to-table", SOURCE) == Position(2, None)


async def test_a_position_that_was_set_fences_whoever_writes(sqlite: Sqlite) -> None:
    """Setting positions raises their epochs; the writer of before writes nothing, the next claim goes on from there."""
    await sqlite.create_table(PARKING)
    other = TopicPartition(SOURCE.topic, SOURCE.partition + 1)
    await sqlite.claim("to-table", SOURCE)
    await sqlite.write(batch([("a", "0")], epoch=1, expected=None))
    await sqlite.reset("to-table", {SOURCE: 40, other: 0})
    with pytest.raises(FencedError):
        await sqlite.write(batch([("b", "0")], epoch=1, expected=1))
    assert await sqlite.claim("to-table", SOURCE) == Position(3, 40)
    assert await sqlite.claim("to-table", other) == Position(2, 0)


async def test_a_writer_whose_position_table_is_gone_is_fenced(sqlite: Sqlite) -> None:
    """Somebody who removed the positions has taken the task's claim with them."""
    await sqlite.create_table(PARKING)
    await sqlite.claim("to-table", SOURCE)
    await ask(sqlite, "DROP TABLE penstock_offsets")
    with pytest.raises(FencedError):
        await sqlite.write(batch([("a", "0")], epoch=1, expected=None))


@pytest.mark.parametrize("bad", [("b", None), ("b", 2**70), ("b", "\ud800"), ("b", {1}), ("b", "longer than eight")])
async def test_one_bad_row_rejects_the_batch_and_leaves_nothing(sqlite: Sqlite, bad: tuple) -> None:
    """Constraints and values that SQLite cannot take are the rows' fault: nothing of the transaction stays."""
    await ask(
        sqlite, "CREATE TABLE ParkingData (DeviceId TEXT PRIMARY KEY, Status TEXT NOT NULL CHECK(length(Status)<9))"
    )
    await sqlite.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError, match="ParkingData"):
        await sqlite.write(batch([("a", "0"), bad], epoch=1, expected=None))
    assert await parked(sqlite) == []
    await sqlite.write(batch([("a", "0")], epoch=1, expected=None))


async def test_a_missing_table_is_the_sinks_fault(sqlite: Sqlite) -> None:
    """The text says what to do, and once it is done the same batch is written."""
    await sqlite.claim("to-table", SOURCE)
    with pytest.raises(ConnectorError, match="create: true") as caught:
        await sqlite.write(batch([("a", "0")], epoch=1, expected=None))
    assert not isinstance(caught.value, RowRejectedError)
    await sqlite.create_table(PARKING)
    await sqlite.write(batch([("a", "0")], epoch=1, expected=None))


async def test_an_upsert_without_a_unique_index_is_the_sinks_fault(sqlite: Sqlite) -> None:
    """A table of somebody else's that lacks the index is named, with the remedy."""
    await ask(sqlite, "CREATE TABLE ParkingData (DeviceId TEXT, Status TEXT)")
    await sqlite.claim("to-table", SOURCE)
    with pytest.raises(ConnectorError, match="CREATE UNIQUE INDEX") as caught:
        await sqlite.write(batch([("a", "0")], epoch=1, expected=None))
    assert not isinstance(caught.value, RowRejectedError)


async def test_a_table_of_keys_alone_keeps_what_is_there(sqlite: Sqlite) -> None:
    """Where every column is of the key there is nothing to overwrite."""
    seen = TargetTable("seen", (("id", "string"),), key=("id",))
    await sqlite.create_table(seen)
    await sqlite.claim("to-table", SOURCE)
    await sqlite.write(batch([("a",), ("a",), ("b",)], epoch=1, expected=None, table=seen))
    assert await ask(sqlite, "SELECT id FROM seen ORDER BY id") == [("a",), ("b",)]


async def test_field_types_come_back_as_sqlite_keeps_them(sqlite: Sqlite) -> None:
    """Booleans are 0 and 1, JSON is text, whatever the identifiers are called."""
    table = TargetTable(
        'odd "name"; --',
        (("id", "integer"), ("select", "boolean"), ('a"b', "json"), ("x y", "number"), ("s", "string")),
        key=("id",),
    )
    await sqlite.create_table(table)
    await sqlite.create_table(table)
    await sqlite.claim("to-table", SOURCE)
    rows = [(1, True, {"a": [1, None]}, 1.5, "é"), (2, False, "text", 2, None), (3, None, None, None, "")]
    await sqlite.write(batch(rows, epoch=1, expected=None, table=table))
    found = await ask(sqlite, 'SELECT * FROM "odd ""name""; --" ORDER BY id')
    assert found == [(1, 1, '{"a":[1,null]}', 1.5, "é"), (2, 0, '"text"', 2.0, None), (3, None, None, None, "")]
    columns = await sqlite.columns(table.name)
    assert [(c.name, c.type, c.key, c.nullable) for c in columns[:2]] == [
        ("id", "INTEGER", True, False),
        ("select", "BOOLEAN", False, True),
    ]


async def test_a_table_that_is_there_stays_as_it_is(sqlite: Sqlite) -> None:
    """create_table is for missing tables only."""
    await ask(sqlite, "CREATE TABLE ParkingData (mine TEXT)")
    await sqlite.create_table(PARKING)
    assert [column.name for column in await sqlite.columns("ParkingData")] == ["mine"]
    assert await sqlite.tables() == ["ParkingData"]


async def test_a_lock_of_another_process_holds_and_names_the_remedy(tmp_path: Path) -> None:
    """A sink that is locked is held; once the lock is gone the same batch goes through."""
    connector = build(tmp_path, busy_timeout_ms=10)
    await connector.create_table(PARKING)
    await connector.claim("to-table", SOURCE)
    other = sqlite3.connect(tmp_path / "parking.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConnectorError, match="busy_timeout_ms") as caught:
        await connector.write(batch([("a", "0")], epoch=1, expected=None))
    assert type(caught.value) is ConnectorError
    other.execute("ROLLBACK")
    other.close()
    await connector.write(batch([("a", "0")], epoch=1, expected=None))
    assert await parked(connector) == [("a", "0")]
    await connector.close()


async def test_a_full_database_holds_and_goes_on_once_there_is_room(sqlite: Sqlite) -> None:
    """A full disk is no fault of the rows; what did not fit is written later."""
    await sqlite.create_table(PARKING)
    await sqlite.claim("to-table", SOURCE)
    rows = [(f"lot-{n}", "x" * 100) for n in range(1000)]
    await sqlite._database.write(lambda connection: connection.execute("PRAGMA max_page_count = 10").fetchone())
    with pytest.raises(ConnectorError, match="full") as caught:
        await sqlite.write(batch(rows, epoch=1, expected=None))
    assert type(caught.value) is ConnectorError
    # The writer was opened anew, without the bound.
    await sqlite.write(batch(rows, epoch=1, expected=None))
    assert await ask(sqlite, "SELECT count(*) FROM ParkingData") == [(1000,)]


# --- test, read-only, faults of the file, end


async def test_a_good_connection_tests_well(sqlite: Sqlite) -> None:
    """The report says version, time and rights, each tried."""
    report = await sqlite.test()
    assert report.connected
    assert report.version.startswith("SQLite 3.")
    assert report.milliseconds > 0
    assert (report.may_read, report.may_write, report.problem) == (True, True, "")


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """The report names the file, the reason and the remedy, and nothing is raised."""
    (tmp_path / "parking.db").write_bytes(b"not a database at all" * 100)
    connector = build(tmp_path)
    report = await connector.test()
    assert not report.connected
    assert str(tmp_path / "parking.db") in report.problem
    assert "check the path" in report.problem
    with pytest.raises(ConnectorError, match="no SQLite database"):
        await ask(connector, "SELECT 1 FROM sqlite_master")
    await connector.close()


async def test_a_folder_outside_the_data_folder_is_not_made(tmp_path: Path) -> None:
    """Inside the data folder missing folders appear; elsewhere they are an operator's business."""
    data = tmp_path / "data"
    inside = build(data, path="deep/er/parking.db")
    assert (await inside.test()).connected
    await inside.close()
    outside = build(data, path=str(tmp_path / "elsewhere" / "parking.db"))
    report = await outside.test()
    assert not report.connected
    assert "folder exists" in report.problem
    await outside.close()
    assert not (tmp_path / "elsewhere").exists()


async def test_a_read_only_connection_reads_and_never_writes(sqlite: Sqlite, tmp_path: Path) -> None:
    """Writes are refused by SQLite itself, and the test says so without calling it a problem."""
    await sqlite.create_table(PARKING)
    reader = build(tmp_path, read_only=True)
    report = await reader.test()
    assert (report.connected, report.may_read, report.may_write, report.problem) == (True, True, False, "")
    assert await parked(reader) == []
    with pytest.raises(ConnectorError, match="read-only"):
        await ask(reader, "DELETE FROM ParkingData")
    await reader.close()


async def test_a_missing_file_is_no_read_only_database(tmp_path: Path) -> None:
    """read_only never makes a file."""
    reader = build(tmp_path, read_only=True)
    assert not (await reader.test()).connected
    assert not (tmp_path / "parking.db").exists()
    await reader.close()


async def test_a_closed_connector_says_so_and_leaves_no_log_behind(tmp_path: Path) -> None:
    """Closing folds the write-ahead log in; later calls are refused by name; closing twice is nothing."""
    connector = build(tmp_path)
    await connector.create_table(PARKING)
    await connector.close()
    await connector.close()
    assert names(tmp_path) == ["parking.db"]
    with pytest.raises(ConnectorError, match="closed"):
        await ask(connector, "SELECT 1")


# --- backup


async def test_a_backup_is_whole_while_writes_go_on(sqlite: Sqlite, tmp_path: Path) -> None:
    """Rows and position in the copy are of one moment, at the same relative path."""
    log = TargetTable("log", (("n", "integer"),))
    await sqlite.create_table(log)
    await sqlite.claim("to-table", SOURCE)
    copy = None
    async with trio.open_nursery() as nursery:

        async def write_on() -> None:
            done = 0
            while copy is None:
                rows = [(n,) for n in range(done, done + 100)]
                await sqlite.write(batch(rows, epoch=1, expected=done or None, table=log))
                done += 100

        nursery.start_soon(write_on)
        await trio.sleep(0.05)
        copy = await sqlite.backup_into(tmp_path / "backup")
    assert copy == tmp_path / "backup" / "parking.db"
    restored = build(tmp_path / "backup")
    position = await restored.position("to-table", SOURCE)
    assert position.offset
    assert await ask(restored, "SELECT count(*), max(n) FROM log") == [(position.offset, position.offset - 1)]
    await restored.close()


async def test_a_backup_overwrites_nothing(sqlite: Sqlite, tmp_path: Path) -> None:
    """A file that is there already stays, and is named."""
    await sqlite.create_table(PARKING)
    target = tmp_path / "backup" / "parking.db"
    target.parent.mkdir()
    target.write_text("precious")
    with pytest.raises(ConnectorError, match="there already"):
        await sqlite.backup_into(tmp_path / "backup")
    assert target.read_text() == "precious"


async def test_databases_elsewhere_are_not_backed_up(tmp_path: Path) -> None:
    """What lies outside the data folder, or does not exist yet, is reported as None."""
    outside = build(tmp_path / "data", path=str(tmp_path / "own.db"))
    await outside.create_table(PARKING)
    assert await outside.backup_into(tmp_path / "backup") is None
    await outside.close()
    missing = build(tmp_path)
    assert await missing.backup_into(tmp_path / "backup") is None
    await missing.close()
    assert not (tmp_path / "backup").exists()


# --- files that are not what they were


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_gone_or_another_is_noticed(sqlite: Sqlite, tmp_path: Path, *, replaced: bool) -> None:
    """Nothing is written into a file that nobody can open again: the writer is fenced, claims anew, and starts over."""
    await sqlite.create_table(PARKING)
    claim = await sqlite.claim("to-table", SOURCE)
    await sqlite.write(batch([("lot-1", "0")], epoch=claim.epoch, expected=None))
    assert await parked(sqlite) == [("lot-1", "0")]
    for name in names(tmp_path):
        (tmp_path / name).unlink()
    if replaced:
        other = sqlite3.connect(tmp_path / "parking.db")
        other.execute("CREATE TABLE ParkingData (DeviceId TEXT PRIMARY KEY, Status TEXT)")
        other.execute("INSERT INTO ParkingData VALUES ('restored', '1')")
        other.commit()
        other.close()
    with pytest.raises(FencedError):
        await sqlite.write(batch([("lot-2", "0")], epoch=claim.epoch, expected=1))
    await sqlite.create_table(PARKING)
    again = await sqlite.claim("to-table", SOURCE)
    assert again == Position(1, None)
    await sqlite.write(batch([("lot-3", "1")], epoch=again.epoch, expected=None))
    expected = [("lot-3", "1"), ("restored", "1")] if replaced else [("lot-3", "1")]
    assert await parked(sqlite) == expected
    await sqlite.close()
    on_disk = sqlite3.connect(tmp_path / "parking.db")
    assert on_disk.execute("SELECT DeviceId, Status FROM ParkingData ORDER BY DeviceId").fetchall() == expected
    on_disk.close()


async def test_a_statement_cannot_take_the_memory_of_the_daemon(sqlite: Sqlite) -> None:
    """One value of hundreds of megabytes is refused by SQLite before it exists."""
    with pytest.raises(ResultTooLargeError):
        await ask(sqlite, "SELECT hex(zeroblob(:n))", n=300_000_000)
    assert await ask(sqlite, "SELECT length(zeroblob(1000000))") == [(1_000_000,)]
