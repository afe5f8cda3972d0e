"""Connector mysql against a real MariaDB: what queries ask and get (see also test_servers.py)."""

import resource
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import trio

from daemon.island import Island
from plugins.api import (
    ConnectorError,
    NothingDoneError,
    ParameterError,
    ResultLimits,
    ResultTooLargeError,
    RowRejectedError,
    StatementError,
)
from plugins.connectors.mysql import CONNECTOR
from plugins.sql.mysql import Mysql
from tests.fakes.mariadb import MariadbDatabase, MariadbServer
from tests.plugins.connectors.contract import LIMITS, ask, batch, claimed, wait_until
from tests.plugins.connectors.servers import build


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


async def test_statements_beyond_those_remembered_are_forgotten_at_the_server(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """However many statements there are, a connection holds no more than its share of the server's."""
    for number in range(150):
        assert await ask(mysql, f"SELECT {number}") == [(number,)]
    held = mariadb_database.execute("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").split()[1]
    assert int(held) <= 129


SLOW = "SELECT count(*) AS slow_count FROM seq_1_to_1000000000 WHERE seq % :n = 1"


async def test_a_cancelled_query_ends_at_the_server(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """More callers than connections time out together; no statement runs on, and the pool serves at once."""
    with trio.move_on_after(0.5):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(lambda: ask(mysql, SLOW, n=7))
    await wait_until(lambda: mariadb_database.running("slow_count") == 0)
    assert await ask(mysql, "SELECT 1") == [(1,)]


async def test_a_query_that_takes_too_long_is_ended(mariadb_database: MariadbDatabase, island: Island) -> None:
    """command_timeout counts, here and at the server."""
    connector = build(CONNECTOR, {**mariadb_database.settings, "command_timeout": 0.3}, island)
    with pytest.raises(ConnectorError, match="no answer in time"):
        await ask(connector, SLOW, n=7)
    await wait_until(lambda: mariadb_database.running("slow_count") == 0)
    assert await ask(connector, "SELECT @@max_statement_time") == [(1.3,)]
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
        await wait_until(lambda: mariadb_database.running("slow_count") == 1)
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
    connector = build(CONNECTOR, {**mariadb_database.settings, "time_zone": "+02:00"}, island)
    await ask(connector, "CREATE TABLE t (ts timestamp NULL, dt datetime)")
    moment = datetime(2024, 6, 1, 12, tzinfo=UTC)
    await ask(connector, "INSERT INTO t VALUES (:m, :m)", m=moment)
    ((stamp, clock),) = await ask(connector, "SELECT * FROM t")
    assert (stamp, stamp.utcoffset()) == (moment, timedelta(hours=2))
    assert clock == datetime(2024, 6, 1, 14)  # noqa: DTZ001 - as a DATETIME is
    await connector.close()
    unknown = build(CONNECTOR, {**mariadb_database.settings, "time_zone": "Europe/Berlin"}, island)
    with pytest.raises(NothingDoneError, match="load its time zone tables"):
        await ask(unknown, "SELECT 1")


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
            await wait_until(lambda: mariadb_database.running("SLEEP(2.5)") == 1)
            impatient = build(CONNECTOR, mariadb_database.settings, island)
            with pytest.raises(NothingDoneError, match="others hold the rows"):
                await ask(impatient, "UPDATE ParkingData SET Status = '1'")
            await impatient.close()
    finally:
        mariadb_database.execute("SET GLOBAL innodb_lock_wait_timeout = DEFAULT")


async def test_a_row_that_is_far_too_large_is_not_taken_in(mysql: Mysql, mariadb_server: MariadbServer) -> None:
    """A server may send rows of a gigabyte: one beyond the limits costs no memory of the daemon's."""
    mariadb_server.execute("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ResultTooLargeError):
            await ask(mysql, "SELECT REPEAT('x', 300000000)")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024
        text = "é" * 900_000
        assert await ask(mysql, "SELECT :text", text=text) == [(text,)]
    finally:
        mariadb_server.execute("SET GLOBAL max_allowed_packet = DEFAULT")


async def test_a_row_of_several_packets_is_one(mysql: Mysql) -> None:
    """Beyond 16 MiB a row comes in parts; within the limits it is read as any other."""
    sql = "SELECT REPEAT('x', 15000000), REPEAT('y', 5000000), 7"
    ((x, y, seven),) = (await mysql.query(sql, {}, ResultLimits(10, 30_000_000))).rows
    assert (len(x), len(y), seven) == (15_000_000, 5_000_000, 7)


async def test_a_date_that_no_calendar_has_is_told(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """A server may hold one: the error says how to read it, and the connection serves on."""
    mariadb_database.execute(
        "SET sql_mode = 'ALLOW_INVALID_DATES'; CREATE TABLE t (d date, m datetime); "
        "INSERT INTO t VALUES ('2024-02-31', '2024-02-31 10:00:00')"
    )
    for column in "dm":
        with pytest.raises(StatementError, match=r"day is out of range.*CAST\(column AS CHAR\)"):
            await ask(mysql, f"SELECT {column} FROM t")
    assert await ask(mysql, "SELECT CAST(d AS CHAR) FROM t") == [("2024-02-31",)]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=1))),
    ],
)
async def test_a_moment_beyond_all_is_the_parameters_fault(mysql: Mysql, moment: datetime) -> None:
    """Whatever the zone makes of it."""
    with pytest.raises(ParameterError, match="parameter m: a moment beyond"):
        await ask(mysql, "SELECT :m", m=moment)


async def test_the_ends_of_every_type_come_as_they_are(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """The largest TIME, BIT, DECIMAL and integers; partial dates are nothing, bytes that are no text are marked."""
    digits = "-99999999999999999999999999999999999.999999999999999999999999999999"
    mariadb_database.execute(
        "SET sql_mode = ''; "
        "CREATE TABLE t (t time(6), b bit(64), d decimal(65,30), i bigint, u bigint unsigned, p date); "
        f"INSERT INTO t VALUES ('-838:59:59.999999', ~0, {digits}, {-(2**63)}, {2**64 - 1}, '2024-00-10')"
    )
    exact = Decimal(digits)
    assert await ask(mysql, "SELECT * FROM t") == [("-838:59:59.999999", 2**64 - 1, exact, -(2**63), 2**64 - 1, None)]
    assert await ask(mysql, "SELECT CAST(x'ff41' AS CHAR), x'ff41', _latin1 x'e9'") == [("?A", b"\xffA", "é")]
