"""Connector postgres against a real server."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
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
from plugins.connectors.postgres import CONNECTOR, Postgres, PostgresSettings
from tests.fakes.cutting_proxy import cutting_proxy
from tests.fakes.postgres import (  # noqa: F401 - fixtures
    PostgresDatabase,
    fixture_postgres_database,
    fixture_postgres_server,
)
from tests.plugins.no_bridge import NoBridge

LIMITS = ResultLimits(rows=1000, bytes=1_000_000)
PARKING = TargetTable("ParkingData", (("DeviceId", "string"), ("Status", "string")), key=("DeviceId",))
SOURCE = TopicPartition("parking-status", 2)


def build(settings: dict, island: Island) -> Postgres:
    return CONNECTOR.build(msgspec.convert(settings, PostgresSettings), Host(Path(), island))


@pytest.fixture
async def island() -> AsyncIterator[Island]:
    async with Island() as island:
        yield island


@pytest.fixture
async def postgres(postgres_database: PostgresDatabase, island: Island) -> AsyncIterator[Postgres]:
    connector = build(postgres_database.settings, island)
    yield connector
    await connector.close()


def batch(rows: list[tuple], *, epoch: int = 1, expected: int | None, table: TargetTable = PARKING) -> WriteBatch:
    return WriteBatch("to-table", SOURCE, epoch, expected, (expected or 0) + len(rows), table, rows)


async def ask(connector: Postgres, sql: str, **parameters: object) -> list[tuple]:
    return list((await connector.query(sql, parameters, LIMITS)).rows)


async def parked(connector: Postgres) -> list[tuple]:
    return await ask(connector, "SELECT DeviceId, Status FROM ParkingData ORDER BY DeviceId")


async def claimed(connector: Postgres) -> None:
    await connector.create_table(PARKING)
    await connector.claim("to-table", SOURCE)


# --- queries


async def test_the_example_runs_on_postgres_too(postgres: Postgres) -> None:
    """A table that a task made is found by the name that its manifest and its routes use."""
    await claimed(postgres)
    await postgres.write(batch([("lot-1", "0"), ("lot-2", "1")], expected=None))
    result = await postgres.query("SELECT COUNT(Status) AS FreeNo FROM ParkingData WHERE Status = '0'", {}, LIMITS)
    assert (result.columns, list(result.rows)) == (("freeno",), [(1,)])
    assert await ask(postgres, "SELECT Status FROM ParkingData WHERE DeviceId = :deviceId;", deviceId="lot-2") == [
        ("1",)
    ]


async def test_text_becomes_what_the_statement_asks_for(postgres: Postgres) -> None:
    """PostgreSQL tells the types of a statement's parameters; values come back as Python's own."""
    sql = "SELECT :n::int + 1, :d::numeric, :t::timestamptz, :j::jsonb, :b::bool, :a::int[], :s::text"
    values = {"n": "1", "d": "0.10", "t": "2024-02-29T12:00:00Z", "j": '{"a":[1]}', "b": "no", "a": "{1,2}", "s": "x"}
    (row,) = await ask(postgres, sql, **values)
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert row == (2, Decimal("0.10"), moment, {"a": [1]}, False, [1, 2], "x")


async def test_parameters_are_bound_and_never_pasted(postgres: Postgres) -> None:
    """A parameter's text is a value, whatever is in it."""
    evil = "x'; DROP TABLE t; --"
    assert await ask(postgres, "SELECT :a::text", a=evil, unused=1) == [(evil,)]


@pytest.mark.parametrize(
    ("sql", "parameters", "told"),
    [
        ("SELECT :n::int", {"n": "five"}, "parameter n cannot be converted to int4"),
        ("SELECT :n::int", {}, "parameter n is missing"),
        ("SELECT :t::text::int", {"t": "five"}, "invalid input syntax for type integer"),
        ("SELECT :w::circle", {"w": "round"}, r"\$1"),
    ],
)
async def test_parameters_that_do_not_fit_are_named(postgres: Postgres, sql: str, parameters: dict, told: str) -> None:
    """Missing, or not of the type: an error of the parameter's, before or by the server."""
    with pytest.raises(ParameterError, match=told):
        await postgres.query(sql, parameters, LIMITS)
    assert await ask(postgres, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "SELECT * FROM nowhere",
        "SELEKT 1",
        "SELECT 1 +",
        "SELECT 1 / 0",
        "SELECT :p",
        "BEGIN",
        "SET search_path = x",
        "DO $$ BEGIN COMMIT; RAISE 'no'; END $$",
        'SELECT 1 WHERE "a" = "b"',
    ],
)
async def test_statements_that_the_database_refuses_are_the_statements_fault(postgres: Postgres, sql: str) -> None:
    """And the connection serves on."""
    if sql == "SELECT :p":
        # A lone parameter is text to PostgreSQL; it is no error.
        assert await ask(postgres, sql, p="x") == [("x",)]
        return
    with pytest.raises(StatementError):
        await ask(postgres, sql)
    assert await ask(postgres, "SELECT 1") == [(1,)]


async def test_a_query_may_write_and_says_how_much(postgres: Postgres) -> None:
    """DDL, INSERT, and UPDATE ... RETURNING, each whole or not at all."""
    await ask(postgres, "CREATE TABLE t (a integer PRIMARY KEY, b text)")
    assert (await postgres.query("INSERT INTO t VALUES (1, 'x'), (2, 'y')", {}, LIMITS)).affected == 2
    result = await postgres.query("UPDATE t SET b = 'z' WHERE a = :a RETURNING a, b", {"a": "1"}, LIMITS)
    assert (list(result.rows), result.affected) == ([(1, "z")], 1)
    with pytest.raises(RowRejectedError, match="t_pkey"):
        await ask(postgres, "INSERT INTO t VALUES (3, 'p'), (1, 'q')")
    assert await ask(postgres, "SELECT count(*) FROM t") == [(2,)]


async def test_a_table_may_change_under_a_prepared_statement(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """A statement whose result has another shape than when it was prepared is prepared again."""
    postgres_database.execute("CREATE TABLE t (a integer); INSERT INTO t VALUES (1);")
    assert await ask(postgres, "SELECT * FROM t") == [(1,)]
    postgres_database.execute("ALTER TABLE t ALTER a TYPE text; ALTER TABLE t ADD b text;")
    assert await ask(postgres, "SELECT * FROM t") == [("1", None)]


async def test_results_are_bounded_while_they_are_fetched(postgres: Postgres) -> None:
    """Neither rows nor bytes beyond the limits are held; the connection serves on."""
    with pytest.raises(ResultTooLargeError, match="10 rows"):
        await postgres.query("SELECT generate_series(1, 1000000000)", {}, ResultLimits(10, 10_000))
    with pytest.raises(ResultTooLargeError, match="100 bytes"):
        await postgres.query("SELECT repeat('x', 101)", {}, ResultLimits(10, 100))
    exact = await postgres.query("SELECT generate_series(1, 600)", {}, ResultLimits(600, 4800))
    assert [row[0] for row in exact.rows] == list(range(1, 601))


async def test_a_cancelled_query_ends_at_the_server_and_gives_its_connection_back(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """More callers than connections time out together; no statement runs on, and the pool serves at once."""
    with trio.move_on_after(0.3):
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(ask, postgres, "SELECT pg_sleep(60)")
    assert await ask(postgres, "SELECT 1") == [(1,)]
    running = (
        f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND datname = '{postgres_database.name}'"
    )
    assert await ask(postgres, f"{running} AND state = 'active' AND pid <> pg_backend_pid()") == [(0,)]


async def test_connections_are_bounded_by_the_pool(postgres_database: PostgresDatabase, island: Island) -> None:
    """However many callers there are, the server sees `pool_size` connections, and all are answered."""
    connector = build({**postgres_database.settings, "pool_size": 2}, island)
    seen: list[int] = []

    async def one() -> None:
        seen.extend(row[0] for row in await ask(connector, "SELECT pg_backend_pid() FROM pg_sleep(0.01)"))

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(one)
    assert len(seen) == 12
    assert len(set(seen)) == 2
    await connector.close()


async def test_a_slow_statement_leaves_a_connection_to_others(
    postgres_database: PostgresDatabase, island: Island
) -> None:
    """Every connection that one statement may have is at work, and another statement is answered at once."""
    connector = build({**postgres_database.settings, "pool_size": 2}, island)
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask, connector, "SELECT pg_sleep(60)")
        await trio.sleep(0.2)
        with trio.fail_after(5):
            assert await ask(connector, "SELECT 1") == [(1,)]
        nursery.cancel_scope.cancel()
    await connector.close()


async def test_a_server_that_is_down_was_asked_nothing(postgres_database: PostgresDatabase, island: Island) -> None:
    """Neither a connection that cannot be made nor one that was lost while it was idle did anything."""
    connector = build(postgres_database.settings, island)
    assert await ask(connector, "SELECT 1") == [(1,)]
    with postgres_database.server.stopped(), pytest.raises(NothingDoneError, match="PostgreSQL"):
        await ask(connector, "SELECT 1")
    assert await ask(connector, "SELECT 1") == [(1,)]
    await connector.close()


async def test_stored_procedures_are_called(postgres: Postgres, postgres_database: PostgresDatabase) -> None:
    """What a procedure hands out is a row; one that commits by itself may; one that fails says why."""
    postgres_database.execute(
        """
        CREATE TABLE parked (n int);
        CREATE PROCEDURE park(n int, INOUT total int) LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO parked VALUES (n);
            COMMIT;
            SELECT sum(parked.n) INTO total FROM parked;
        END $$;
        CREATE PROCEDURE clear() LANGUAGE sql AS 'DELETE FROM parked';
        """
    )
    result = await postgres.query("CALL park(:n, NULL)", {"n": "2"}, LIMITS)
    assert (result.columns, list(result.rows)) == (("total",), [(2,)])
    assert await ask(postgres, "CALL park(n => ${n}, total => NULL)", n=3) == [(5,)]
    result = await postgres.query("CALL clear()", {}, LIMITS)
    assert (result.columns, await ask(postgres, "SELECT * FROM parked")) == ((), [])
    with pytest.raises(ParameterError, match="n cannot be converted to int4"):
        await ask(postgres, "CALL park(:n, NULL)", n="two")
    with pytest.raises(StatementError, match="does not exist"):
        await ask(postgres, "CALL nobody()")


async def test_values_are_bound_wherever_they_are_written(postgres: Postgres) -> None:
    """`${name}` and `'${name}'` are parameters like `:name`; SQL in a value is a value."""
    evil = "'; DROP TABLE t; --"
    assert await ask(postgres, "SELECT ${a}::text, '${a}'::text, :a::text", a=evil) == [(evil, evil, evil)]


# --- batched writes


async def test_rows_and_position_move_together(postgres: Postgres) -> None:
    """After a write both the rows and the next offset stand; the same key is overwritten, within a batch as well."""
    await postgres.create_table(PARKING)
    assert await postgres.position("to-table", SOURCE) == Position(0, None)
    assert await postgres.claim("to-table", SOURCE) == Position(1, None)
    await postgres.write(batch([("a", "0"), ("b", "0"), ("a", "1")], expected=None))
    assert await postgres.position("to-table", SOURCE) == Position(1, 3)
    await postgres.write(batch([("b", "1")], expected=3))
    await postgres.write(WriteBatch("to-table", SOURCE, 1, 4, 9, PARKING, ()))
    assert await parked(postgres) == [("a", "1"), ("b", "1")]
    assert await postgres.claim("to-table", SOURCE) == Position(2, 9)


async def test_claims_at_the_same_time_all_succeed(postgres: Postgres) -> None:
    """Runners that start together make one position table and one table, and get epochs of their own."""
    epochs: list[int] = []

    async def one() -> None:
        await postgres.create_table(PARKING)
        epochs.append((await postgres.claim("to-table", SOURCE)).epoch)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one)
    assert sorted(epochs) == list(range(1, 9))


async def test_a_position_that_was_set_fences_whoever_writes(postgres: Postgres) -> None:
    """Setting positions makes their table, raises their epochs, and fences the writer of before."""
    other = TopicPartition(SOURCE.topic, SOURCE.partition + 1)
    await postgres.reset("to-table", {other: 0})
    await claimed(postgres)
    await postgres.write(batch([("a", "0")], expected=None))
    await postgres.reset("to-table", {SOURCE: 40, other: 7})
    with pytest.raises(FencedError):
        await postgres.write(batch([("b", "0")], expected=1))
    assert await postgres.claim("to-table", SOURCE) == Position(3, 40)
    assert await postgres.claim("to-table", other) == Position(3, 7)


@pytest.mark.parametrize(("epoch", "expected"), [(1, None), (2, 5), (3, None)])
async def test_a_fenced_writer_writes_nothing(postgres: Postgres, epoch: int, expected: int | None) -> None:
    """An older epoch, or an offset that is not the one in the sink, changes neither row nor position."""
    await claimed(postgres)
    await postgres.claim("to-table", SOURCE)
    with pytest.raises(FencedError, match="parking-status-2"):
        await postgres.write(batch([("a", "0")], epoch=epoch, expected=expected))
    assert await parked(postgres) == []
    assert await postgres.position("to-table", SOURCE) == Position(2, None)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (("b", None), "status"),
        (("b", "too long"), "character varying"),
        (("b", "9"), "known_status"),
        (("b", "\x00"), "invalid byte"),
        (("b", 5), "column Status"),
        (("b", "\ud800"), "ParkingData"),
    ],
)
async def test_one_bad_row_rejects_the_batch_and_leaves_nothing(
    postgres: Postgres, postgres_database: PostgresDatabase, bad: tuple, told: str
) -> None:
    """Classes 22 and 23, and values that cannot even be sent, are the rows' fault; column or constraint is named."""
    postgres_database.execute(
        "CREATE TABLE ParkingData (DeviceId text PRIMARY KEY, Status varchar(3) NOT NULL "
        "CONSTRAINT known_status CHECK (Status <> '9'));"
    )
    await postgres.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError, match=told):
        await postgres.write(batch([("a", "0"), bad], expected=None))
    assert await parked(postgres) == []
    await postgres.write(batch([("a", "0")], expected=None))
    assert await parked(postgres) == [("a", "0")]


@pytest.mark.parametrize("kind", ["inet", "mood"])
async def test_a_rejected_row_is_told_without_its_values(
    postgres: Postgres, postgres_database: PostgresDatabase, kind: str
) -> None:
    """Values may be masked for those who read the reason: neither the server's nor asyncpg's quotes of them get out."""
    postgres_database.execute(
        f"CREATE TYPE mood AS ENUM ('glad');CREATE TABLE ParkingData (DeviceId text PRIMARY KEY, Status {kind});"
    )
    await postgres.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError) as caught:
        await postgres.write(batch([("a", 'O"Neill')], expected=None))
    assert "Neill" not in str(caught.value)


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("SELECT 1;", "create: true"),
        ("CREATE TABLE ParkingData (DeviceId text, Status text);", "CREATE UNIQUE INDEX"),
        ("CREATE TABLE ParkingData (DeviceId text PRIMARY KEY);", "column is missing"),
    ],
)
async def test_a_table_that_does_not_fit_is_the_sinks_fault(
    postgres: Postgres, postgres_database: PostgresDatabase, setup: str, told: str
) -> None:
    """The text says what to do, and once it is done the same batch is written, by the same connector."""
    postgres_database.execute(setup)
    await postgres.claim("to-table", SOURCE)
    with pytest.raises(ConnectorError, match=told) as caught:
        await postgres.write(batch([("a", "0")], expected=None))
    assert type(caught.value) is ConnectorError
    postgres_database.execute(
        "DROP TABLE IF EXISTS ParkingData; CREATE TABLE ParkingData (DeviceId text PRIMARY KEY, Status text);"
    )
    await postgres.write(batch([("a", "0")], expected=None))
    assert await parked(postgres) == [("a", "0")]


async def test_tables_of_other_people_are_written_to_as_they_are(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """Names in quotes, another schema, and columns of other types than the fields'."""
    postgres_database.execute(
        'CREATE SCHEMA other; CREATE TABLE other."Log" ("When" timestamptz, amount numeric, "order" integer, raw text);'
    )
    fields = (("When", "integer"), ("amount", "number"), ("order", "string"), ("Raw", "json"))
    table = TargetTable("other.Log", fields)
    await postgres.claim("to-table", SOURCE)
    await postgres.write(batch([(1000, 0.1, "7", {"a": 1}), (None, None, None, None)], expected=None, table=table))
    first = (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), Decimal("0.1"), 7, '{"a":1}')
    assert await ask(postgres, 'SELECT * FROM other."Log"') == [first, (None, None, None, None)]
    with pytest.raises(RowRejectedError, match="column order"):
        await postgres.write(batch([(1, 1.0, "seven", None)], expected=2, table=table))
    assert await postgres.tables() == ["other.Log", "penstock_offsets"]


async def test_field_types_have_their_columns(postgres: Postgres) -> None:
    """What create_table makes takes every field type, key-only tables included."""
    fields = (("Id", "integer"), ("select", "boolean"), ('a"b', "json"), ("x y", "number"), ("s", "string"))
    table = TargetTable("every type", fields, key=("Id",))
    await postgres.create_table(table)
    await postgres.create_table(table)
    await postgres.claim("to-table", SOURCE)
    rows = [(1, True, {"a": [1, None]}, 1.5, "é"), (2, False, "text", 2, None), (3, None, None, None, "")]
    await postgres.write(batch(rows, expected=None, table=table))
    assert await ask(postgres, 'SELECT * FROM "every type" ORDER BY id') == rows
    columns = await postgres.columns("every type")
    assert [(column.name, column.type, column.key, column.nullable) for column in columns] == [
        ("id", "bigint", True, False),
        ("select", "boolean", False, True),
        ('a"b', "jsonb", False, True),
        ("x y", "double precision", False, True),
        ("s", "text", False, True),
    ]
    seen = TargetTable("seen", (("Id", "string"),), key=("Id",))
    await postgres.create_table(seen)
    await postgres.write(batch([("a",), ("a",)], expected=3, table=seen))
    assert await ask(postgres, "SELECT id FROM seen") == [("a",)]


# --- loss, rights, reports


@pytest.mark.parametrize(("moment", "rows"), [("before", []), ("after", [("a", "0")])])
async def test_a_lost_answer_to_commit_is_told_as_such(
    postgres_database: PostgresDatabase, island: Island, moment: str, rows: list
) -> None:
    """Nobody knows whether it happened; the position does, and the next write goes on from there."""
    async with cutting_proxy(f"{postgres_database.server.host}/.s.PGSQL.5432") as proxy:
        settings = {**postgres_database.settings, "host": "127.0.0.1", "port": proxy.port}
        connector = build(settings, island)
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
    postgres_database: PostgresDatabase, island: Island
) -> None:
    """A time-out during COMMIT is no proof that nothing happened, and the position is told only once that is known."""
    connector = build({**postgres_database.settings, "command_timeout": 0.3}, island)
    postgres_database.execute(
        "CREATE TABLE ParkingData (DeviceId text PRIMARY KEY, Status text);"
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$"
        "BEGIN PERFORM pg_sleep(1); RETURN NULL; EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(1); RETURN NULL; "
        "END $$; CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ParkingData INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.DeviceId = 'a') EXECUTE FUNCTION slow();"
    )
    await connector.claim("to-table", SOURCE)
    with pytest.raises(CommitUnknownError):
        await connector.write(batch([("a", "0")], expected=None))
    with pytest.raises(ConnectorError, match="no answer in time"):
        await connector.position("to-table", SOURCE)
    position = None
    while position is None:
        with suppress(ConnectorError):
            position = await connector.position("to-table", SOURCE)
    assert position == Position(1, 1)
    await connector.write(batch([("b", "0")], expected=1))
    assert await parked(connector) == [("a", "0"), ("b", "0")]
    await connector.close()


async def test_a_refusal_at_commit_is_the_rows_fault(postgres: Postgres, postgres_database: PostgresDatabase) -> None:
    """A deferred constraint speaks up at COMMIT, and then it is known that nothing was written."""
    postgres_database.execute(
        "CREATE TABLE known (id text PRIMARY KEY); CREATE TABLE ParkingData (DeviceId text PRIMARY KEY, "
        "Status text REFERENCES known DEFERRABLE INITIALLY DEFERRED);"
    )
    await postgres.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError, match="foreign key"):
        await postgres.write(batch([("a", "0")], expected=None))
    assert await postgres.position("to-table", SOURCE) == Position(1, None)


async def test_a_connection_killed_in_the_middle_of_a_write_is_replaced(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """What was killed is the sink's fault, nothing of it stays, and the next write has a new connection."""
    await claimed(postgres)
    await postgres.write(batch([("a", "0")], expected=None))
    postgres_database.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';"
        "CREATE TRIGGER die BEFORE INSERT ON ParkingData FOR EACH ROW WHEN (NEW.Status = '9') EXECUTE FUNCTION die();"
    )
    with pytest.raises(ConnectorError, match="terminating connection") as caught:
        await postgres.write(batch([("b", "0"), ("c", "9")], expected=1))
    assert type(caught.value) is ConnectorError
    assert await parked(postgres) == [("a", "0")]
    await postgres.write(batch([("b", "0")], expected=1))


async def test_idle_connections_that_the_server_ended_are_replaced(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """After the server has closed every connection, the next query opens one."""
    (before,) = await ask(postgres, "SELECT pg_backend_pid()")
    postgres_database.execute(
        f"SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = '{postgres_database.name}' "
        "AND pid <> pg_backend_pid();"
    )
    await trio.sleep(0.05)
    (after,) = await ask(postgres, "SELECT pg_backend_pid()")
    assert after != before


async def test_a_cancelled_write_leaves_no_transaction_open(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """A runner that is stopped while its rows wait for a lock lets go of its position, too."""
    await claimed(postgres)
    postgres_database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE INSERT ON ParkingData FOR EACH ROW EXECUTE FUNCTION slow();"
    )
    with trio.move_on_after(0.2) as scope:
        await postgres.write(batch([("a", "0")], expected=None))
    assert scope.cancelled_caught
    with trio.fail_after(5):
        assert await postgres.claim("to-table", SOURCE) == Position(2, None)


async def test_a_good_connection_tests_well_and_leaves_no_trace(postgres: Postgres) -> None:
    """Version, time and rights, each tried; what the test wrote is rolled back."""
    report = await postgres.test()
    assert (report.connected, report.may_read, report.may_write, report.problem) == (True, True, True, "")
    assert report.version.startswith("PostgreSQL 1")
    assert report.milliseconds > 0
    assert await postgres.tables() == []


async def test_missing_rights_are_found_by_trying(
    postgres: Postgres, postgres_database: PostgresDatabase, island: Island
) -> None:
    """A user who may only read is told so; with the rights on the tables alone, tasks can be written."""
    await claimed(postgres)
    role = f"reader_{postgres_database.name}"
    postgres_database.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};")
    connector = build({**postgres_database.settings, "user": role}, island)
    report = await connector.test()
    assert (report.connected, report.may_read, report.may_write) == (True, True, False)
    assert "GRANT" in report.problem
    with pytest.raises(ConnectorError, match="GRANT"):
        await connector.query("DELETE FROM ParkingData", {}, LIMITS)
    postgres_database.execute(f"GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role};")
    assert (await connector.test()).may_write
    await connector.create_table(PARKING)
    assert (await connector.claim("to-table", SOURCE)).epoch == 2
    await connector.write(batch([("a", "0")], epoch=2, expected=None))
    await connector.close()
    postgres_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role};")


async def test_a_wrong_password_is_told_without_it(postgres_database: PostgresDatabase, island: Island) -> None:
    """What failed, where, why and what to do; the password is nowhere in it."""
    server = postgres_database.server
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    server.execute("SET password_encryption = 'scram-sha-256'; CREATE ROLE guarded LOGIN PASSWORD 'right-password';")
    rules.write_text("local all guarded scram-sha-256\n" + before)
    server.execute("SELECT pg_reload_conf();")
    try:
        settings = {**postgres_database.settings, "user": "guarded"}
        wrong = build({**settings, "password": "wrong-password"}, island)
        await trio.sleep(0.1)
        report = await wrong.test()
        assert not report.connected
        assert "password is wrong" in report.problem
        assert postgres_database.name in report.problem
        assert "wrong-password" not in report.problem
        right = build({**settings, "password": "right-password"}, island)
        assert (await right.test()).connected
        await right.close()
    finally:
        rules.write_text(before)
        server.execute("DROP ROLE guarded; SELECT pg_reload_conf();")


async def test_a_missing_database_and_a_closed_port_are_told(
    postgres_database: PostgresDatabase, island: Island
) -> None:
    """Each has its own hint, and a query meets the same words."""
    missing = build({**postgres_database.settings, "database": "nowhere"}, island)
    assert "there is no such database" in (await missing.test()).problem
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"postgresql://me:top-secret@127.0.0.1:{port}/parking"
        refused = build({"url": url}, island)
        problem = (await refused.test()).problem
        assert f"127.0.0.1:{port}/parking" in problem
        assert "nobody listens there" in problem
        assert "top-secret" not in problem
        with pytest.raises(ConnectorError, match="nobody listens there"):
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


async def test_a_closed_connector_says_so(postgres: Postgres, postgres_database: PostgresDatabase) -> None:
    """Closing ends the server's side as well; later calls are refused; closing twice is nothing."""
    await ask(postgres, "SELECT 1")
    await postgres.close()
    await postgres.close()
    await trio.sleep(0.05)
    left = postgres_database.execute(
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock' "
        f"AND datname = '{postgres_database.name}';"
    )
    assert "\n     0" in left
    with pytest.raises(ConnectorError, match="closed"):
        await ask(postgres, "SELECT 1")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "localhost"},
        {"url": "postgresql://x/y", "host": "z"},
        {"database": "x", "pool_size": 0},
        {"database": "x", "ssl": "perhaps"},
    ],
)
def test_settings_name_one_database(settings: dict) -> None:
    """Either the parts or a url, each within its bounds."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, PostgresSettings)


async def test_an_unreadable_url_is_told_without_its_text() -> None:
    """A url that cannot be parsed holds a password like any other."""
    connector = CONNECTOR.build(PostgresSettings(url="postgresql://me:s3cret@host:port/db"), Host(Path(), NoBridge()))
    assert "s3cret" not in connector._where


async def test_text_that_postgres_cannot_hold_is_the_parameters_fault(postgres: Postgres) -> None:
    """A NUL has no place in its texts, nor in those of its JSON: whoever sent it hears so."""
    for sql, value in (("SELECT :p::text", "a\0b"), ("SELECT :p::jsonb", '{"a": "\\u0000"}')):
        with pytest.raises(ParameterError):
            await ask(postgres, sql, p=value)
