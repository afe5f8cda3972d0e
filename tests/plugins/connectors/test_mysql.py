"""Connector mysql against a real MariaDB."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import trio

from daemon.island import Island
from plugins.api import (
    CommitUnknownError,
    ConnectorError,
    FencedError,
    Host,
    NothingDoneError,
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
from plugins.connectors.mysql import CONNECTOR, Mysql, MysqlSettings
from tests.fakes.cutting_proxy import cutting_proxy
from tests.fakes.mariadb import (  # noqa: F401 - fixtures
    PASSWORD,
    MariadbDatabase,
    MariadbServer,
    fixture_mariadb_database,
    fixture_mariadb_server,
)

LIMITS = ResultLimits(rows=1000, bytes=1_000_000)
PARKING = TargetTable("ParkingData", (("DeviceId", "string"), ("Status", "string")), key=("DeviceId",))
SOURCE = TopicPartition("parking-status", 2)


def build(settings: dict, island: Island) -> Mysql:
    return CONNECTOR.build(msgspec.convert(settings, MysqlSettings), Host(Path(), island))


@pytest.fixture
async def island() -> AsyncIterator[Island]:
    async with Island() as island:
        yield island


@pytest.fixture
async def mysql(mariadb_database: MariadbDatabase, island: Island) -> AsyncIterator[Mysql]:
    connector = build(mariadb_database.settings, island)
    yield connector
    await connector.close()


def batch(rows: list[tuple], *, epoch: int = 1, expected: int | None, table: TargetTable = PARKING) -> WriteBatch:
    return WriteBatch("to-table", SOURCE, epoch, expected, (expected or 0) + len(rows), table, rows)


async def ask(connector: Mysql, sql: str, **parameters: object) -> list[tuple]:
    return list((await connector.query(sql, parameters, LIMITS)).rows)


async def parked(connector: Mysql) -> list[tuple]:
    return await ask(connector, "SELECT DeviceId, Status FROM ParkingData ORDER BY DeviceId")


async def claimed(connector: Mysql) -> None:
    await connector.create_table(PARKING)
    await connector.claim("to-table", SOURCE)


async def wait_until(true: Callable[[], bool]) -> None:
    """Return once it is true, which takes real time."""
    for _ in range(500):
        if await trio.to_thread.run_sync(true):
            return
        await trio.sleep(0.02)
    pytest.fail("it has not come true")


# --- queries


async def test_the_example_runs_on_mysql_too(mysql: Mysql) -> None:
    """A table that a task made is found by the name that its manifest and its routes use."""
    await claimed(mysql)
    await mysql.write(batch([("lot-1", "0"), ("lot-2", "1")], expected=None))
    result = await mysql.query("SELECT COUNT(Status) AS FreeNo FROM ParkingData WHERE Status = '0'", {}, LIMITS)
    assert (result.columns, list(result.rows)) == (("FreeNo",), [(1,)])
    assert await ask(mysql, "SELECT Status FROM ParkingData WHERE DeviceId = :deviceId;", deviceId="lot-2") == [("1",)]


async def test_every_type_comes_as_json_can_have_it(mysql: Mysql) -> None:
    """Numbers exact, BIT a number, TIME its text, TIMESTAMP a moment, zero dates and NULL nothing."""
    await ask(
        mysql,
        "CREATE TABLE t (i bigint unsigned, d decimal(30,10), dt datetime(6), b bit(12), j json, bl blob, t time(3), "
        "ts timestamp NULL, y year, e enum('a','b'), v varchar(9), f double, o boolean, dd date)",
    )
    values = {
        "i": 2**64 - 1,
        "d": "1234567890123456789.5",
        "dt": datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        "b": 2571,
        "j": {"a": [1, "é"]},
        "bl": b"\0\xff",
        "t": "-25:06:07.5",
        "ts": "2024-01-01 00:00:00",
        "y": "2024",
        "e": "a",
        "v": "é😀",
        "f": 0.1,
        "o": True,
        "dd": date(2024, 2, 29),
    }
    await mysql.query(f"INSERT INTO t VALUES ({', '.join(f':{name}' for name in values)})", values, LIMITS)
    assert await ask(mysql, "SELECT * FROM t") == [
        (
            2**64 - 1,
            Decimal("1234567890123456789.5000000000"),
            datetime(2024, 2, 29, 10, 0, 0, 123456),  # noqa: DTZ001 - as a DATETIME is
            2571,
            '{"a":[1,"é"]}',
            b"\0\xff",
            "-25:06:07.500000",
            datetime(2024, 1, 1, tzinfo=UTC),
            2024,
            "a",
            "é😀",
            0.1,
            1,
            date(2024, 2, 29),
        )
    ]
    assert await ask(mysql, "SELECT CAST('0000-00-00' AS date), NULL, TIME'100:00:01', 10000000000000000000000") == [
        (None, None, "100:00:01", Decimal(10**22))
    ]


async def test_text_of_a_url_serves_where_a_number_is_wanted(mysql: Mysql) -> None:
    """MySQL makes of a bound text what the place asks for, in LIMIT as well."""
    sql = "SELECT seq FROM seq_1_to_10 WHERE seq > :n LIMIT :most OFFSET :skipped"
    assert await ask(mysql, sql, n="5", most="2", skipped="1") == [(7,), (8,)]
    assert await ask(mysql, "SELECT :n + 1, :n", n=10**30) == [(Decimal(10**30 + 1), Decimal(10**30))]


EVIL = ["x'; DROP TABLE t; --", "\\'; DROP TABLE t; --", '\\"; --', "\u00bf'", "\\", "%s", "?", ":p", "${p}", "é😀"]


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"])
async def test_parameters_are_bound_and_never_pasted(mariadb_server: MariadbServer, mysql: Mysql, mode: str) -> None:
    """A parameter's text is a value, whatever is in it and whatever the server's sql_mode is."""
    mariadb_server.execute(f"SET GLOBAL sql_mode = '{mode}', GLOBAL character_set_server = 'gbk'")
    try:
        for evil in EVIL:
            assert await ask(mysql, "SELECT :a, '\\'', \"it's\"", a=evil) == [(evil, "'", "it's")]
        assert await ask(mysql, "SELECT :a", a=b"\xbf'\\\0") == [(b"\xbf'\\\0",)]
    finally:
        mariadb_server.execute("SET GLOBAL sql_mode = DEFAULT, GLOBAL character_set_server = DEFAULT")


@pytest.mark.parametrize(
    ("sql", "parameters", "told"),
    [
        ("SELECT :n", {}, "parameter n is missing"),
        ("SELECT :n", {"n": {1}}, "parameter n: set is nothing that MySQL knows"),
        ("INSERT INTO t VALUES (:n)", {"n": "five"}, "Incorrect integer value"),
        ("INSERT INTO t VALUES (:n)", {"n": 10**30}, "Out of range"),
        ("SELECT :n", {"n": "\ud800"}, "no text of Unicode"),
        ("SELECT LENGTH(:n)", {"n": "x" * (17 << 20)}, "max_allowed_packet"),
    ],
)
async def test_parameters_that_do_not_fit_are_named(mysql: Mysql, sql: str, parameters: dict, told: str) -> None:
    """Missing, of no type, or not of the column's: an error of the parameter's, and the connection serves on."""
    await ask(mysql, "CREATE TABLE t (a int)")
    with pytest.raises(ParameterError, match=told):
        await mysql.query(sql, parameters, LIMITS)
    assert await ask(mysql, "SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "SELECT * FROM nowhere",
        "SELEKT 1",
        "SELECT 1 +",
        "SELECT nothing",
        "CALL nobody()",
        "BEGIN",
        "SET sql_mode = ''",
        "USE mysql",
        "SELECT 9223372036854775807 + 9223372036854775807",
        "SELECT ST_GeomFromText('POINT(1 1)') AS place",
        "SELECT (SELECT 1 UNION SELECT 2)",
    ],
)
async def test_statements_that_the_database_refuses_are_the_statements_fault(mysql: Mysql, sql: str) -> None:
    """And the connection serves on."""
    error = ParameterError if "9223372036854775807" in sql else StatementError
    with pytest.raises(error):
        await ask(mysql, sql)
    assert await ask(mysql, "SELECT 1") == [(1,)]


async def test_a_geometry_is_refused_with_advice(mysql: Mysql) -> None:
    """As its bytes nobody could read it; as GeoJSON or text it comes."""
    with pytest.raises(StatementError, match=r"ST_AsGeoJSON\(place\)"):
        await ask(mysql, "SELECT ST_GeomFromText('POINT(1 1)') AS place")
    assert await ask(mysql, "SELECT ST_AsText(ST_GeomFromText('POINT(1 1)'))") == [("POINT(1 1)",)]


async def test_a_query_may_write_and_says_how_much(mysql: Mysql) -> None:
    """DDL, INSERT, UPDATE (rows found), and INSERT ... RETURNING, each whole or not at all."""
    await ask(mysql, "CREATE TABLE t (a integer PRIMARY KEY, b text)")
    assert (await mysql.query("INSERT INTO t VALUES (1, 'x'), (2, 'y')", {}, LIMITS)).affected == 2
    assert (await mysql.query("UPDATE t SET b = 'x' WHERE a = :a", {"a": "1"}, LIMITS)).affected == 1
    result = await mysql.query("INSERT INTO t VALUES (3, :b) RETURNING a, b", {"b": "z"}, LIMITS)
    assert (list(result.rows), result.affected) == ([(3, "z")], 1)
    with pytest.raises(RowRejectedError, match="PRIMARY"):
        await ask(mysql, "INSERT INTO t VALUES (4, 'p'), (1, 'q')")
    with pytest.raises(ResultTooLargeError):
        await mysql.query("DELETE FROM t RETURNING b", {}, ResultLimits(2, 1000))
    assert await ask(mysql, "SELECT count(*) FROM t") == [(3,)]


async def test_a_table_may_change_under_a_prepared_statement(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """A statement whose result has another shape than when it was prepared brings the new one."""
    mariadb_database.execute("CREATE TABLE t (a integer); INSERT INTO t VALUES (1);")
    assert await ask(mysql, "SELECT * FROM t") == [(1,)]
    mariadb_database.execute("ALTER TABLE t MODIFY a text, ADD b text;")
    assert await ask(mysql, "SELECT * FROM t") == [("1", None)]


async def test_statements_beyond_those_remembered_are_forgotten_at_the_server(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """However many statements there are, a connection holds no more than its share of the server's."""
    for number in range(150):
        assert await ask(mysql, f"SELECT {number}") == [(number,)]
    held = mariadb_database.execute("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").split()[1]
    assert int(held) <= 129


async def test_results_are_bounded_while_they_are_fetched(mysql: Mysql) -> None:
    """Neither rows nor bytes beyond the limits are held; the connector serves on."""
    with pytest.raises(ResultTooLargeError, match="10 rows"):
        await mysql.query("SELECT seq FROM seq_1_to_1000000000", {}, ResultLimits(10, 10_000))
    with pytest.raises(ResultTooLargeError, match="100 bytes"):
        await mysql.query("SELECT repeat('x', 101)", {}, ResultLimits(10, 100))
    exact = await mysql.query("SELECT seq FROM seq_1_to_600", {}, ResultLimits(600, 4800))
    assert [row[0] for row in exact.rows] == list(range(1, 601))


def running(database: MariadbDatabase, text: str) -> int:
    sql = f"SELECT count(*) FROM information_schema.processlist WHERE db = '{database.name}' AND info LIKE '%{text}%'"
    return int(database.server.execute(sql))


SLOW = "SELECT count(*) AS slow_count FROM seq_1_to_1000000000 WHERE seq % :n = 1"


async def test_a_cancelled_query_ends_at_the_server(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """More callers than connections time out together; no statement runs on, and the pool serves at once."""
    with trio.move_on_after(0.5):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(lambda: ask(mysql, SLOW, n=7))
    await wait_until(lambda: running(mariadb_database, "slow_count") == 0)
    assert await ask(mysql, "SELECT 1") == [(1,)]


async def test_a_query_that_takes_too_long_is_ended(mariadb_database: MariadbDatabase, island: Island) -> None:
    """command_timeout counts, here and at the server."""
    connector = build({**mariadb_database.settings, "command_timeout": 0.3}, island)
    with pytest.raises(ConnectorError, match="no answer in time"):
        await ask(connector, SLOW, n=7)
    await wait_until(lambda: running(mariadb_database, "slow_count") == 0)
    assert await ask(connector, "SELECT @@max_statement_time") == [(1.3,)]
    await connector.close()


async def test_connections_are_bounded_by_the_pool(mariadb_database: MariadbDatabase, island: Island) -> None:
    """However many callers there are, the server sees `pool_size` connections, and all are answered."""
    connector = build({**mariadb_database.settings, "pool_size": 2}, island)
    seen: list[int] = []

    async def one() -> None:
        seen.extend(row[0] for row in await ask(connector, "SELECT CONNECTION_ID(), SLEEP(0.01)"))

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(one)
    assert len(seen) == 12
    assert len(set(seen)) == 2
    await connector.close()


async def test_a_slow_statement_leaves_a_connection_to_others(
    mariadb_database: MariadbDatabase, island: Island
) -> None:
    """Every connection that one statement may have is at work, and another statement is answered at once."""
    connector = build({**mariadb_database.settings, "pool_size": 2}, island)
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask, connector, "SELECT SLEEP(60)")
        await trio.sleep(0.2)
        with trio.fail_after(5):
            assert await ask(connector, "SELECT 1") == [(1,)]
        nursery.cancel_scope.cancel()
    await connector.close()


async def test_a_server_that_is_down_was_asked_nothing(mariadb_database: MariadbDatabase, island: Island) -> None:
    """Neither a connection that cannot be made nor one that was lost while it was idle did anything."""
    connector = build(mariadb_database.settings, island)
    assert await ask(connector, "SELECT 1") == [(1,)]
    with mariadb_database.server.stopped(), pytest.raises(NothingDoneError, match="nobody listens there"):
        await ask(connector, "SELECT 1")
    assert await ask(connector, "SELECT 1") == [(1,)]
    await connector.close()


async def test_a_server_that_goes_in_the_middle_of_a_query_is_told(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """A query whose server is gone fails by name, and the next one has the server that came back."""
    told: list[ConnectorError] = []

    async def ask_slowly() -> None:
        try:
            await ask(mysql, SLOW, n=7)
        except ConnectorError as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_slowly)
        await wait_until(lambda: running(mariadb_database, "slow_count") == 1)
        server = mariadb_database.server
        assert server.process is not None
        server.process.kill()
        await trio.to_thread.run_sync(server.process.wait)
    assert [type(error) for error in told] == [ConnectorError]
    assert "MySQL 127.0.0.1" in str(told[0])
    await trio.to_thread.run_sync(server.start)
    assert await ask(mysql, "SELECT 1") == [(1,)]


PROCEDURES = """
DELIMITER //
CREATE TABLE parked (n int) //
CREATE PROCEDURE park(IN more int, OUT total int) BEGIN
    INSERT INTO parked VALUES (more);
    SELECT count(*) AS reports FROM parked;
    SELECT 'last' AS word, more AS n;
    SELECT sum(n) INTO total FROM parked;
END //
CREATE PROCEDURE clear_all() BEGIN DELETE FROM parked; END //
CREATE PROCEDURE unruly() BEGIN
    SET SESSION time_zone = '+05:00', SESSION max_statement_time = 0;
    SET NAMES latin1;
    START TRANSACTION;
    INSERT INTO parked VALUES (9);
END //
CREATE PROCEDURE careless() BEGIN SET autocommit = 0; INSERT INTO parked VALUES (8); END //
CREATE PROCEDURE failing() BEGIN START TRANSACTION; INSERT INTO parked VALUES (7); SELECT * FROM nowhere; END //
CREATE PROCEDURE angry() BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the lot is closed'; END //
"""


async def test_stored_procedures_are_called(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """Each of a procedure's results comes in order, what it hands out is the last; one that fails says why."""
    mariadb_database.execute(PROCEDURES)
    result = await mysql.query("CALL park(:n, :total)", {"n": "2", "total": None}, LIMITS)
    assert (result.columns, list(result.rows)) == (("reports",), [(1,)])
    assert [(more.columns, list(more.rows)) for more in result.more] == [
        (("word", "n"), [("last", 2)]),
        (("total",), [(2,)]),
    ]
    result = await mysql.query("CALL clear_all()", {}, LIMITS)
    assert (result.columns, result.affected, await ask(mysql, "SELECT * FROM parked")) == ((), 1, [])
    with pytest.raises(StatementError, match="the lot is closed"):
        await ask(mysql, "CALL angry()")
    with pytest.raises(ResultTooLargeError):
        await mysql.query("CALL park(1, :total)", {"total": None}, ResultLimits(2, 1000))


async def test_what_a_procedure_leaves_behind_is_undone(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """Neither its settings nor its open transaction meet whoever has the connection next."""
    mariadb_database.execute(PROCEDURES)
    await ask(mysql, "CALL unruly()")
    await ask(mysql, "CALL careless()")
    with pytest.raises(StatementError, match="nowhere"):
        await ask(mysql, "CALL failing()")
    sql = "SELECT @@time_zone, @@character_set_client, @@in_transaction, @@max_statement_time > 0, :e"
    assert await ask(mysql, sql, e="é") == [("+00:00", "utf8mb4", 0, 1, "é")]
    assert await ask(mysql, "SELECT * FROM parked") == []


async def test_the_sessions_time_zone_is_the_settings(mariadb_database: MariadbDatabase, island: Island) -> None:
    """A moment is the same one for TIMESTAMP, and shows the zone's clock in DATETIME."""
    connector = build({**mariadb_database.settings, "time_zone": "+02:00"}, island)
    await ask(connector, "CREATE TABLE t (ts timestamp NULL, dt datetime)")
    moment = datetime(2024, 6, 1, 12, tzinfo=UTC)
    await ask(connector, "INSERT INTO t VALUES (:m, :m)", m=moment)
    ((stamp, clock),) = await ask(connector, "SELECT * FROM t")
    assert (stamp, stamp.utcoffset()) == (moment, timedelta(hours=2))
    assert clock == datetime(2024, 6, 1, 14)  # noqa: DTZ001 - as a DATETIME is
    await connector.close()
    unknown = build({**mariadb_database.settings, "time_zone": "Europe/Berlin"}, island)
    with pytest.raises(NothingDoneError, match="load its time zone tables"):
        await ask(unknown, "SELECT 1")


# --- tasks


async def test_positions_are_claimed_raised_and_set(mysql: Mysql) -> None:
    """A claim raises the epoch; a reset sets the offset and raises it, too; both fence who wrote before."""
    other = TopicPartition("parking-status", 3)
    assert await mysql.position("to-table", SOURCE) == Position(0, None)
    await mysql.reset("to-table", {other: 0})
    await claimed(mysql)
    await mysql.write(batch([("a", "0")], expected=None))
    assert await mysql.position("to-table", SOURCE) == Position(1, 1)
    await mysql.reset("to-table", {SOURCE: 40, other: 7})
    with pytest.raises(FencedError):
        await mysql.write(batch([("b", "0")], expected=1))
    assert await mysql.claim("to-table", SOURCE) == Position(3, 40)
    assert await mysql.claim("to-table", other) == Position(3, 7)


async def test_a_position_moves_without_rows_and_where_it_stands(mysql: Mysql) -> None:
    """Records that map to nothing move it, and one that need not move is no fence."""
    await claimed(mysql)
    await mysql.write(WriteBatch("to-table", SOURCE, 1, None, 5, PARKING, []))
    await mysql.write(WriteBatch("to-table", SOURCE, 1, 5, 5, PARKING, []))
    assert await mysql.position("to-table", SOURCE) == Position(1, 5)


@pytest.mark.parametrize(("epoch", "expected"), [(1, None), (2, 5), (3, None)])
async def test_a_fenced_writer_writes_nothing(mysql: Mysql, epoch: int, expected: int | None) -> None:
    """An older epoch, or an offset that is not the one in the sink, changes neither row nor position."""
    await claimed(mysql)
    await mysql.claim("to-table", SOURCE)
    with pytest.raises(FencedError, match="parking-status-2"):
        await mysql.write(batch([("a", "0")], epoch=epoch, expected=expected))
    assert await parked(mysql) == []
    assert await mysql.position("to-table", SOURCE) == Position(2, None)


async def test_a_writer_without_a_claim_is_fenced(mysql: Mysql) -> None:
    """Where nobody has ever claimed there is no position to move."""
    await mysql.create_table(PARKING)
    with pytest.raises(FencedError):
        await mysql.write(batch([("a", "0")], expected=None))


async def test_rows_are_upserted_in_their_order(mysql: Mysql) -> None:
    """The last one of a key stands, in one batch and over several; keys are told apart by case and blanks."""
    await claimed(mysql)
    await mysql.write(batch([("a", "0"), ("b", "0"), ("a", "1"), ("A", "2"), ("a ", "3")], expected=None))
    await mysql.write(batch([("b", "9")], expected=5))
    assert await parked(mysql) == [("A", "2"), ("a", "1"), ("a ", "3"), ("b", "9")]


async def test_long_batches_go_in_parts(mysql: Mysql) -> None:
    """Of any length, in one transaction."""
    await claimed(mysql)
    await mysql.write(batch([(f"d{number:05}", str(number)) for number in range(3_003)], expected=None))
    assert await ask(mysql, "SELECT count(*), min(Status + 0), max(Status + 0) FROM ParkingData") == [(3003, 0, 3002)]


async def test_rows_stay_within_what_the_server_takes_at_once(
    mysql: Mysql, mariadb_server: MariadbServer, island: Island, mariadb_database: MariadbDatabase
) -> None:
    """A batch beyond max_allowed_packet goes in smaller parts; a row beyond it is a bad one."""
    mariadb_server.execute("SET GLOBAL max_allowed_packet = 65536")
    try:
        connector = build(mariadb_database.settings, island)
        await claimed(connector)
        await connector.write(batch([(str(number), "x" * 20_000) for number in range(10)], expected=None))
        with pytest.raises(RowRejectedError, match="max_allowed_packet"):
            await connector.write(batch([("a", "0"), ("b", "x" * 70_000)], expected=10))
        await connector.close()
    finally:
        mariadb_server.execute("SET GLOBAL max_allowed_packet = DEFAULT")
    assert await ask(mysql, "SELECT count(*) FROM ParkingData") == [(10,)]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (("b", None), "Status"),
        (("b", "too long"), "Data too long for column 'Status'"),
        (("b", "9"), "known_status"),
        (("b", "\ud800"), "ParkingData"),
        (("b" * 256, "1"), "DeviceId"),
    ],
)
async def test_one_bad_row_rejects_the_batch_and_leaves_nothing(
    mysql: Mysql, mariadb_database: MariadbDatabase, bad: tuple, told: str
) -> None:
    """What a column or a constraint refuses, and what cannot even be sent, is the rows' fault."""
    mariadb_database.execute(
        "CREATE TABLE ParkingData (DeviceId varchar(255) PRIMARY KEY, Status varchar(3) NOT NULL, "
        "CONSTRAINT known_status CHECK (Status <> '9'));"
    )
    await mysql.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError, match=told):
        await mysql.write(batch([("a", "0"), bad], expected=None))
    assert await parked(mysql) == []
    await mysql.write(batch([("a", "0")], expected=None))
    assert await parked(mysql) == [("a", "0")]


@pytest.mark.parametrize(
    "kind",
    [
        *("int", "decimal(9,2)", "double", "year", "bit(3)", "datetime", "timestamp NULL", "date", "time"),
        *("enum('glad')", "set('glad')", "varchar(3)", "inet6", "uuid", "json", "varchar(99) CHARACTER SET latin1"),
    ],
)
async def test_a_rejected_row_is_told_without_its_values(
    mysql: Mysql, mariadb_database: MariadbDatabase, kind: str
) -> None:
    """Values may be masked for those who read the reason: no quotes of them get out, whatever quotes they have."""
    mariadb_database.execute(f"CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status {kind});")
    await mysql.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError) as caught:
        await mysql.write(batch([("a", "O'Neill' for column \"😀ecret")], expected=None))
    assert not any(part in str(caught.value) for part in ("Neill", "ecret", 'for column "')), caught.value
    assert "tatus" in str(caught.value)


async def test_a_duplicate_without_a_key_is_a_bad_row_without_its_value(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """A task that only inserts meets the table's own unique index."""
    mariadb_database.execute("CREATE TABLE Log (Name varchar(99) UNIQUE);")
    await mysql.claim("to-table", SOURCE)
    log = TargetTable("Log", (("Name", "string"),))
    with pytest.raises(RowRejectedError, match="key 'Name'") as caught:
        await mysql.write(batch([("O'Secret",), ("O'Secret",)], expected=None, table=log))
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("SELECT 1;", "create: true"),
        ("CREATE TABLE ParkingData (DeviceId varchar(99), Status text);", "CREATE UNIQUE INDEX"),
        ("CREATE TABLE ParkingData (DeviceId text, Status text, UNIQUE (DeviceId(9)));", "each of them whole"),
        ("CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY);", "column is missing"),
        ("CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status varchar(9) UNIQUE);", "index .*, Status:"),
        (
            "CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status varchar(9), UNIQUE (DeviceId(2)));",
            "another unique index",
        ),
        ("CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status text) ENGINE=MyISAM;", "ENGINE=InnoDB"),
        ("CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status point);", "geometry"),
        ("CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status text, x int NOT NULL);", "no default"),
    ],
)
async def test_a_table_that_does_not_fit_is_the_sinks_fault(
    mysql: Mysql, mariadb_database: MariadbDatabase, setup: str, told: str
) -> None:
    """The text says what to do, and once it is done the same batch is written, by the same connector."""
    mariadb_database.execute(setup)
    await mysql.claim("to-table", SOURCE)
    with pytest.raises(ConnectorError, match=told) as caught:
        await mysql.write(batch([("a", "0")], expected=None))
    assert type(caught.value) is ConnectorError
    mariadb_database.execute(
        "DROP TABLE IF EXISTS ParkingData; CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status text);"
    )
    await mysql.write(batch([("a", "0")], expected=None))
    assert await parked(mysql) == [("a", "0")]


async def test_unique_indexes_that_no_other_row_can_meet_do_not_matter(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """The table's own number, columns that the task does not write, and the key with more."""
    mariadb_database.execute(
        "CREATE TABLE ParkingData (id int AUTO_INCREMENT PRIMARY KEY, DeviceId varchar(99) UNIQUE, Status varchar(9), "
        "other int UNIQUE, UNIQUE (DeviceId, Status));"
    )
    await mysql.claim("to-table", SOURCE)
    await mysql.write(batch([("a", "0"), ("b", "1"), ("a", "1")], expected=None))
    assert await parked(mysql) == [("a", "1"), ("b", "1")]


async def test_a_table_that_changes_later_is_looked_at_again(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """A column that goes and comes back under a running task holds it up and no longer."""
    await claimed(mysql)
    await mysql.write(batch([("a", "0")], expected=None))
    mariadb_database.execute("ALTER TABLE ParkingData DROP Status")
    with pytest.raises(ConnectorError, match="the column is missing"):
        await mysql.write(batch([("b", "1")], expected=1))
    mariadb_database.execute("ALTER TABLE ParkingData ADD Status int")
    with pytest.raises(RowRejectedError):
        await mysql.write(batch([("b", "one")], expected=1))
    await mysql.write(batch([("b", "1")], expected=1))
    assert await parked(mysql) == [("a", None), ("b", 1)]


async def test_tables_of_other_people_are_written_to_as_they_are(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """Names in quotes, another database, and columns of other types than the fields'."""
    other = f"{mariadb_database.name}_other"
    mariadb_database.execute(
        f"CREATE DATABASE {other}; GRANT ALL ON {other}.* TO {mariadb_database.name}@'%';"
        f"CREATE TABLE {other}.`Log` (`When` datetime(3), amount decimal(9,2), `order` int, raw text, flag varchar(5), "
        "bits bit(4), day date, at timestamp NULL);"
    )
    fields = (("When", "integer"), ("amount", "number"), ("order", "string"), ("Raw", "json"), ("flag", "boolean"))
    fields += (("bits", "string"), ("day", "string"), ("at", "string"))
    table = TargetTable(f"{other}.Log", fields)
    await mysql.claim("to-table", SOURCE)
    row = (1000, 0.1, "7", {"a": 1}, True, "5", "2024-02-29", "2024-02-29T12:00:00+02:00")
    await mysql.write(batch([row, (None,) * 8], expected=None, table=table))
    first = (
        datetime(1970, 1, 1, 0, 0, 1),  # noqa: DTZ001 - as a DATETIME is
        Decimal("0.10"),
        7,
        '{"a":1}',
        "true",
        5,
        date(2024, 2, 29),
        datetime(2024, 2, 29, 10, tzinfo=UTC),
    )
    assert await ask(mysql, f"SELECT * FROM {other}.Log") == [first, (None,) * 8]
    for wrong in ("seven", "1.5"):
        with pytest.raises(RowRejectedError, match="column order"):
            await mysql.write(batch([(1, 1.0, wrong, *row[3:])], expected=2, table=table))
    assert sorted(await mysql.tables()) == sorted(["penstock_offsets", f"{other}.Log"])
    mariadb_database.execute(f"DROP DATABASE {other}")


async def test_field_types_have_their_columns(mysql: Mysql) -> None:
    """What create_table makes takes every field type, key-only tables included."""
    fields = (("Id", "integer"), ("select", "boolean"), ("a`b", "json"), ("x y", "number"), ("s", "string"))
    table = TargetTable("every type", fields, key=("Id",))
    await mysql.create_table(table)
    await mysql.create_table(table)
    await mysql.claim("to-table", SOURCE)
    rows = [(1, True, {"a": [1, None]}, 1.5, "é"), (2, False, "text", 2, None), (3, None, None, None, "")]
    await mysql.write(batch(rows, expected=None, table=table))
    assert await ask(mysql, "SELECT * FROM `every type` ORDER BY id") == [
        (1, 1, '{"a":[1,null]}', 1.5, "é"),
        (2, 0, '"text"', 2.0, None),
        (3, None, None, None, ""),
    ]
    columns = await mysql.columns("every type")
    assert [(column.name, column.type, column.key, column.nullable) for column in columns] == [
        ("Id", "bigint(20)", True, False),
        ("select", "tinyint(1)", False, True),
        ("a`b", "longtext", False, True),
        ("x y", "double", False, True),
        ("s", "longtext", False, True),
    ]
    seen = TargetTable("seen", (("Id", "string"),), key=("Id",))
    await mysql.create_table(seen)
    await mysql.write(batch([("a",), ("a",)], expected=3, table=seen))
    assert await ask(mysql, "SELECT Id FROM seen") == [("a",)]
    with pytest.raises(StatementError, match="no such table: nowhere"):
        await mysql.columns("nowhere")


async def test_writers_that_meet_in_a_deadlock_all_get_through(mysql: Mysql) -> None:
    """Whom the server rolls back for the sake of another does it again, and nobody hears of it."""
    await mysql.create_table(PARKING)
    sources = [TopicPartition("parking-status", number) for number in range(2)]
    for source in sources:
        await mysql.claim("to-table", source)
    names = [f"d{number}" for number in range(200)]

    async def write(source: TopicPartition) -> None:
        ordered = names if source.partition % 2 else names[::-1]
        for at in range(10):
            rows = [(name, str(at)) for name in ordered]
            await mysql.write(WriteBatch("to-table", source, 1, at or None, at + 1, PARKING, rows))

    async with trio.open_nursery() as nursery:
        for source in sources:
            nursery.start_soon(write, source)
    assert await ask(mysql, "SELECT DISTINCT Status FROM ParkingData") == [("9",)]
    assert [(await mysql.position("to-table", source)).offset for source in sources] == [10] * 2


async def test_a_query_that_met_a_lock_was_not_done(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """A wait for a lock that ends is told as something that may be tried again."""
    await claimed(mysql)
    await mysql.write(batch([("a", "0")], expected=None))
    mariadb_database.execute("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        async with trio.open_nursery() as nursery:
            holding = "BEGIN; SELECT * FROM ParkingData FOR UPDATE; SELECT SLEEP(2.5)"
            nursery.start_soon(trio.to_thread.run_sync, mariadb_database.execute, holding)
            await wait_until(lambda: running(mariadb_database, "SLEEP(2.5)") == 1)
            impatient = build(mariadb_database.settings, island)
            with pytest.raises(NothingDoneError, match="others hold the rows"):
                await ask(impatient, "UPDATE ParkingData SET Status = '1'")
            await impatient.close()
    finally:
        mariadb_database.execute("SET GLOBAL innodb_lock_wait_timeout = DEFAULT")


# --- loss, rights, reports


@pytest.mark.parametrize(("moment", "rows"), [("before", []), ("after", [("a", "0")])])
async def test_a_lost_answer_to_commit_is_told_as_such(
    mariadb_database: MariadbDatabase, island: Island, moment: str, rows: list
) -> None:
    """Nobody knows whether it happened; the position does, and the next write goes on from there."""
    async with cutting_proxy(mariadb_database.server.socket) as proxy:
        connector = build({**mariadb_database.settings, "port": proxy.port, "ssl": "disable"}, island)
        await claimed(connector)
        proxy.armed = moment
        with pytest.raises(CommitUnknownError, match="COMMIT"):
            await connector.write(batch([("a", "0")], expected=None))
        position = await connector.position("to-table", SOURCE)
        assert position == Position(1, len(rows) or None)
        await connector.write(batch([("b", "0")], expected=position.offset))
        assert await parked(connector) == [*rows, ("b", "0")]
        await connector.close()


async def test_a_commit_that_takes_too_long_is_unknown_until_it_has_ended(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """A time-out during COMMIT is no proof that nothing happened, and the position is told only once that is known."""
    await claimed(mysql)
    connector = build({**mariadb_database.settings, "command_timeout": 0.5}, island)
    assert await ask(connector, "SELECT 1") == [(1,)]
    blocking = "BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT; SELECT SLEEP(3); BACKUP STAGE END"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, mariadb_database.execute, blocking)
        await wait_until(lambda: running(mariadb_database, "SLEEP(3)") == 1)
        with pytest.raises(CommitUnknownError):
            await connector.write(batch([("a", "0")], expected=None))
        with pytest.raises(ConnectorError, match="no answer in time"):
            await connector.position("to-table", SOURCE)
    position = None
    while position is None:
        with suppress(ConnectorError):
            position = await connector.position("to-table", SOURCE)
    rows = [("a", "0")] if position.offset else []
    assert position == Position(1, len(rows) or None)
    assert await parked(mysql) == rows
    await connector.close()


async def test_a_connection_killed_in_the_middle_of_a_write_is_replaced(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """What was killed is the sink's fault, nothing of it stays, and the next write has a new connection."""
    await claimed(mysql)
    await mysql.write(batch([("a", "0")], expected=None))
    mariadb_database.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON ParkingData FOR EACH ROW SET @x = IF(NEW.Status = '9', SLEEP(9), 0)"
    )

    def kill() -> bool:
        found = mariadb_database.server.execute(
            f"SELECT id FROM information_schema.processlist WHERE db = '{mariadb_database.name}' "
            "AND state = 'User sleep'"
        ).split()
        for number in found:
            mariadb_database.server.execute(f"KILL {number}")
        return bool(found)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_until, kill)
        with pytest.raises(ConnectorError, match="MySQL") as caught:
            await mysql.write(batch([("b", "0"), ("c", "9")], expected=1))
    assert type(caught.value) is ConnectorError
    assert await parked(mysql) == [("a", "0")]
    await mysql.write(batch([("b", "0")], expected=1))


async def test_idle_connections_that_the_server_ended_are_replaced(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """After the server has closed every connection, the next query opens one."""
    (before,) = await ask(mysql, "SELECT CONNECTION_ID()")
    mariadb_database.execute(f"KILL USER {mariadb_database.name}")
    left = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{mariadb_database.name}'"
    await wait_until(lambda: int(mariadb_database.server.execute(left)) == 0)
    await trio.sleep(0.1)
    (after,) = await ask(mysql, "SELECT CONNECTION_ID()")
    assert after != before


async def test_a_cancelled_write_leaves_no_transaction_open(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """A runner that is stopped while its rows wait lets go of its position, too."""
    await claimed(mysql)
    # A trigger that runs as somebody else could be ended only by him.
    definer = f"DEFINER = {mariadb_database.name}@`%`"
    mariadb_database.execute(f"CREATE {definer} TRIGGER slow BEFORE INSERT ON ParkingData FOR EACH ROW DO SLEEP(60)")
    with trio.move_on_after(0.3) as scope:
        await mysql.write(batch([("a", "0")], expected=None))
    assert scope.cancelled_caught
    with trio.fail_after(5):
        assert await mysql.claim("to-table", SOURCE) == Position(2, None)


async def test_a_good_connection_tests_well_and_leaves_no_trace(mysql: Mysql) -> None:
    """Version, time and rights, each tried; nothing of it stays."""
    for tables in ([], ["ParkingData", "penstock_offsets"]):
        report = await mysql.test()
        assert (report.connected, report.may_read, report.may_write, report.problem) == (True, True, True, "")
        assert "MariaDB" in report.version
        assert report.milliseconds > 0
        assert await mysql.tables() == tables
        await claimed(mysql)
    assert await ask(mysql, "SELECT task FROM penstock_offsets") == [("to-table",)]


async def test_missing_rights_are_found_by_trying(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """A user who may only read is told so; with the rights on the tables alone, tasks can be written."""
    name = mariadb_database.name
    reader = f"{name}_reader"
    mariadb_database.execute(f"CREATE USER {reader} IDENTIFIED BY 'x'; GRANT SELECT ON {name}.* TO {reader};")
    connector = build({**mariadb_database.settings, "user": reader, "password": "x"}, island)
    for _ in range(2):
        report = await connector.test()
        assert (report.connected, report.may_read, report.may_write) == (True, True, False)
        assert "GRANT" in report.problem
        await claimed(mysql)
    with pytest.raises(ConnectorError, match="GRANT"):
        await connector.query("DELETE FROM ParkingData", {}, LIMITS)
    mariadb_database.execute(f"GRANT INSERT, UPDATE ON {name}.* TO {reader};")
    await connector.close()
    connector = build({**mariadb_database.settings, "user": reader, "password": "x"}, island)
    assert (await connector.test()).may_write
    await connector.create_table(PARKING)
    assert (await connector.claim("to-table", SOURCE)).epoch == 3
    await connector.write(batch([("a", "0")], epoch=3, expected=None))
    await connector.close()
    mariadb_database.execute(f"DROP USER {reader}")


async def test_a_wrong_password_is_told_without_it(mariadb_database: MariadbDatabase, island: Island) -> None:
    """What failed, where, why and what to do; the password is nowhere in it."""
    wrong = build({**mariadb_database.settings, "password": "wrong-password"}, island)
    report = await wrong.test()
    assert not report.connected
    assert "password is wrong" in report.problem
    assert mariadb_database.name in report.problem
    assert "wrong-password" not in report.problem
    assert PASSWORD not in report.problem


async def test_a_missing_database_and_a_closed_port_are_told(mariadb_database: MariadbDatabase, island: Island) -> None:
    """Each has its own hint, and a query meets the same words."""
    mariadb_database.execute(f"GRANT ALL ON nowhere.* TO {mariadb_database.name}@'%'")
    missing = build({**mariadb_database.settings, "database": "nowhere"}, island)
    assert "there is no such database" in (await missing.test()).problem
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        refused = build({**mariadb_database.settings, "port": port}, island)
        problem = (await refused.test()).problem
        assert f"127.0.0.1:{port}/{mariadb_database.name}" in problem
        assert "nobody listens there" in problem
        with pytest.raises(NothingDoneError, match="nobody listens there"):
            await ask(refused, "SELECT 1")


async def test_a_server_that_never_answers_is_given_up(island: Island) -> None:
    """connect_timeout bounds the wait for a host that takes connections and says nothing."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "database": "x", "user": "x", "connect_timeout": 0.2}
        report = await build(settings, island).test()
    assert not report.connected
    assert "no answer in time" in report.problem


async def test_a_unix_socket_is_a_way_in(mariadb_database: MariadbDatabase, island: Island) -> None:
    """A host that is a path is a socket, where TLS makes no sense."""
    settings = {**mariadb_database.settings, "host": mariadb_database.server.socket, "ssl": "require"}
    connector = build(settings, island)
    assert await ask(connector, "SELECT CURRENT_USER()") == [(f"{mariadb_database.name}@%",)]
    await connector.close()


@pytest.mark.parametrize(
    ("mode", "encrypted"), [("disable", False), ("prefer", True), ("require", True), ("verify-full", True)]
)
async def test_tls_is_spoken_as_the_settings_say(
    mariadb_database: MariadbDatabase, island: Island, mode: str, *, encrypted: bool
) -> None:
    """The server itself tells whether the connection is encrypted."""
    settings = {**mariadb_database.settings, "ssl": mode}
    if mode == "verify-full":
        settings["ssl_ca"] = mariadb_database.server.ca
    connector = build(settings, island)
    ((_, cipher),) = await ask(connector, "SHOW STATUS LIKE 'Ssl_cipher'")
    assert bool(cipher) is encrypted
    await connector.close()


async def test_a_server_that_is_not_believed_is_not_talked_to(
    mariadb_database: MariadbDatabase, island: Island
) -> None:
    """Of an authority that is not known, or of another name, or files that are not there: each is told."""
    settings = {**mariadb_database.settings, "ssl": "verify-ca"}
    assert "check ssl_ca" in (await build(settings, island).test()).problem
    settings["ssl_ca"] = mariadb_database.server.ca
    by_name = build({**settings, "host": "localhost"}, island)
    assert (await by_name.test()).connected
    await by_name.close()
    strict = {**settings, "host": "localhost", "ssl": "verify-full"}
    assert "the host's name" in (await build(strict, island).test()).problem
    missing = {**settings, "ssl_ca": "/nowhere/ca.pem"}
    assert "ssl_ca, ssl_cert or ssl_key cannot be used" in (await build(missing, island).test()).problem


# A greeting (protocol 10) of a server without TLS, and its wish to be told the password as it is.
GREETING = (
    b"\x0a5.7.0-fake\0\x01\0\0\0abcdefgh\0" + b"\x00\xa2" + b"\x2d\x02\0" + b"\x08\0" + b"\x15" + b"\0" * 10
) + b"ijklmnopqrst\0mysql_native_password\0"
CLEARTEXT = b"\xfemysql_clear_password\0"


@pytest.mark.parametrize(("mode", "told"), [("prefer", "clear text"), ("require", "speaks no TLS")])
async def test_a_password_is_not_told_to_whoever_asks(island: Island, mode: str, told: str) -> None:
    """A server that speaks no TLS gets no password as it is, and where TLS is required nothing at all."""
    heard = bytearray()

    async def pretend(stream: trio.SocketStream) -> None:
        await stream.send_all(len(GREETING).to_bytes(3, "little") + b"\0" + GREETING)
        heard.extend(await stream.receive_some())
        with suppress(trio.BrokenResourceError):
            await stream.send_all(len(CLEARTEXT).to_bytes(3, "little") + b"\2" + CLEARTEXT)
            async for data in stream:
                heard.extend(data)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, pretend, 0)
        port = listeners[0].socket.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "database": "x", "user": "me", "password": "s3cret"}
        problem = (await build({**settings, "ssl": mode}, island).test()).problem
        nursery.cancel_scope.cancel()
    assert told in problem
    assert b"s3cret" not in heard
    assert (b"me" in heard) == (mode == "prefer")


async def test_a_closed_connector_says_so(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """Closing ends the server's side as well; later calls are refused; closing twice is nothing."""
    await ask(mysql, "SELECT 1")
    await mysql.close()
    await mysql.close()
    left = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{mariadb_database.name}'"
    await wait_until(lambda: int(mariadb_database.execute(left)) == 0)
    with pytest.raises(ConnectorError, match="closed"):
        await ask(mysql, "SELECT 1")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"database": "x"},
        {"database": "", "user": "x"},
        {"database": "x", "user": "x", "pool_size": 0},
        {"database": "x", "user": "x", "ssl": "perhaps"},
        {"database": "x", "user": "x", "ssl": "disable", "ssl_ca": "ca.pem"},
        {"database": "x", "user": "x", "ssl_key": "key.pem"},
        {"database": "x", "user": "x", "time_zone": "Nowhere/Atall"},
        {"database": "x", "user": "x", "time_zone": "+00:00'"},
        {"database": "x", "user": "x", "time_zone": "../../etc/passwd"},
        {"database": "x", "user": "x", "charset": "gbk"},
    ],
)
def test_settings_name_one_database(settings: dict) -> None:
    """Who and where are needed, each within its bounds; the charset is nobody's to choose."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, MysqlSettings)
