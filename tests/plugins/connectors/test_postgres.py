"""Connector postgres against a real server: queries, rights and settings (see also test_servers.py)."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import trio

from daemon.island import Island
from plugins.api import ConnectorError, Host, ParameterError, RowRejectedError, StatementError
from plugins.connectors.postgres import CONNECTOR
from plugins.sql.postgres import Postgres
from plugins.sql.postgres_settings import PostgresSettings
from tests.fakes.postgres import PostgresDatabase
from tests.plugins.connectors.contract import LIMITS, PARKING, SOURCE, ask, batch, claimed
from tests.plugins.connectors.servers import build
from tests.plugins.no_bridge import NoBridge


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


async def test_missing_rights_are_found_by_trying(
    postgres: Postgres, postgres_database: PostgresDatabase, island: Island
) -> None:
    """A user who may only read is told so; with the rights on the tables alone, tasks can be written."""
    await claimed(postgres)
    role = f"reader_{postgres_database.name}"
    postgres_database.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};")
    connector = build(CONNECTOR, {**postgres_database.settings, "user": role}, island)
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
        wrong = build(CONNECTOR, {**settings, "password": "wrong-password"}, island)
        await trio.sleep(0.1)
        report = await wrong.test()
        assert not report.connected
        assert "password is wrong" in report.problem
        assert postgres_database.name in report.problem
        assert "wrong-password" not in report.problem
        right = build(CONNECTOR, {**settings, "password": "right-password"}, island)
        assert (await right.test()).connected
        await right.close()
    finally:
        rules.write_text(before)
        server.execute("DROP ROLE guarded; SELECT pg_reload_conf();")


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


async def test_a_url_is_told_without_its_password(island: Island) -> None:
    """Where nobody listens, the place is told and nothing else of the url."""
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        refused = build(CONNECTOR, {"url": f"postgresql://me:top-secret@127.0.0.1:{port}/parking"}, island)
        problem = (await refused.test()).problem
    assert f"127.0.0.1:{port}/parking" in problem
    assert "nobody listens there" in problem
    assert "top-secret" not in problem


async def test_an_unreadable_url_is_told_without_its_text() -> None:
    """A url that cannot be parsed holds a password like any other."""
    connector = CONNECTOR.build(PostgresSettings(url="postgresql://me:s3cret@host:port/db"), Host(Path(), NoBridge()))
    assert "s3cret" not in connector._where


async def test_text_that_postgres_cannot_hold_is_the_parameters_fault(postgres: Postgres) -> None:
    """A NUL has no place in its texts, nor in those of its JSON: whoever sent it hears so."""
    for sql, value in (("SELECT :p::text", "a\0b"), ("SELECT :p::jsonb", '{"a": "\\u0000"}')):
        with pytest.raises(ParameterError):
            await ask(postgres, sql, p=value)
