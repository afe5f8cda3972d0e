"""What a statement leaves behind in its connection meets nobody else: each kind of database, for real."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.island import Island
from plugins.api import ConnectorError, Host, StatementError
from plugins.connectors import sqlite as sqlite_module
from plugins.connectors.sqlite import Sqlite
from plugins.sql import mysql_session
from plugins.sql.mysql import Mysql
from plugins.sql.postgres import Postgres
from tests.fakes.mariadb import MariadbDatabase
from tests.fakes.postgres import PostgresDatabase
from tests.plugins.connectors import servers
from tests.plugins.connectors.contract import LIMITS, PARKING, SOURCE, ask, batch, claimed, parked

MYSQL_WORLD = """
CREATE TABLE person (id int AUTO_INCREMENT PRIMARY KEY, name varchar(99));
INSERT INTO person VALUES (7, 'Tom');
CREATE TABLE watched (id int);
CREATE TRIGGER note BEFORE INSERT ON watched FOR EACH ROW SET @x = 'secret';
DELIMITER //
CREATE FUNCTION noted() RETURNS int BEGIN SET @x = 'secret'; RETURN 1; END //
CREATE FUNCTION loosened() RETURNS int BEGIN SET SESSION group_concat_max_len = 5; RETURN 1; END //
CREATE VIEW noting AS SELECT noted() AS n //
CREATE PROCEDURE note() BEGIN SET @x = 'secret'; SET SESSION group_concat_max_len = 5; END //
CREATE PROCEDURE elsewhere() BEGIN EXECUTE IMMEDIATE 'USE information_schema'; END //
CREATE PROCEDURE locked() BEGIN DO GET_LOCK('penstock', 0); END //
CREATE PROCEDURE prepared() BEGIN PREPARE stolen FROM 'SELECT 1'; END //
CREATE PROCEDURE stolen() BEGIN EXECUTE stolen; END //
"""
X = ("SELECT @x", [(None,)])
LOCK = ("SELECT IS_USED_LOCK('penstock')", [(None,)])
LENGTH = ("SELECT @@group_concat_max_len > 5", [(1,)])
PERSONS = ("SELECT name FROM person", [("Tom",)])


@pytest.mark.parametrize(
    ("left", "asked", "found"),
    [
        ("SELECT @x := 'secret'", *X),
        ("SELECT 'secret' INTO @`x`", *X),
        ("INSERT INTO watched VALUES (1)", *X),
        ("SELECT noted()", *X),
        ("SELECT n FROM noting", *X),
        ("DELETE FROM watched WHERE id = noted() RETURNING id", *X),
        ("CALL note()", *X),
        ("SELECT loosened()", *LENGTH),
        ("CALL note()", *LENGTH),
        ("CALL elsewhere()", *PERSONS),
        ("SELECT GET_LOCK('penstock', 0)", *LOCK),
        ("SELECT `get_lock`('penstock', 0)", *LOCK),
        ("INSERT INTO person (name) SELECT GET_LOCK('penstock', 0)", *LOCK),
        ("DO GET_LOCK('penstock', 0)", *LOCK),
        ("CALL locked()", *LOCK),
        ("CREATE TEMPORARY TABLE person (name text)", *PERSONS),
        ("CREATE TEMPORARY TABLE person SELECT 'secret' AS name", *PERSONS),
        ("INSERT INTO person (name) VALUES ('Ann')", "SELECT LAST_INSERT_ID()", [(0,)]),
        ("INSERT IGNORE INTO watched VALUES ('secret')", "SHOW WARNINGS", []),
    ],
)
async def test_what_a_statement_of_mysql_leaves_behind_meets_nobody(
    mysql: Mysql, mariadb_database: MariadbDatabase, left: str, asked: str, found: list[tuple]
) -> None:
    """Variables, settings, the database, locks, temporary tables, warnings: the next statement finds none of them."""
    mariadb_database.execute(MYSQL_WORLD)
    await ask(mysql, left)
    assert mariadb_database.execute("SELECT IS_FREE_LOCK('penstock')").strip() == "1"
    assert await ask(mysql, asked) == found


async def test_what_a_procedure_of_mysql_prepared_is_forgotten(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """Nobody else runs a statement that somebody prepared by name."""
    mariadb_database.execute(MYSQL_WORLD)
    await ask(mysql, "CALL prepared()")
    with pytest.raises(StatementError, match="Unknown prepared statement"):
        await ask(mysql, "CALL stolen()")


async def test_a_statement_of_mysql_that_fails_leaves_nothing_either(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """What stood before its error is undone as well."""
    mariadb_database.execute(MYSQL_WORLD)
    with pytest.raises(StatementError, match="more than 1 row"):
        await ask(mysql, "SELECT @x := 'secret', GET_LOCK('penstock', 0), (SELECT 1 UNION SELECT 2)")
    assert await ask(mysql, "SELECT @x, IS_USED_LOCK('penstock')") == [(None, None)]


async def test_a_connection_of_mysql_is_set_up_again(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """Text, time zone, strictness and the bound of a statement are the connector's own after as before."""
    sql = """SELECT @@character_set_client, @@collation_connection, @@sql_mode, @@time_zone, @@autocommit,
             @@max_statement_time, DATABASE(), CONNECTION_ID()"""
    before = await ask(mysql, sql)
    await ask(mysql, "SELECT @x := 1")
    assert await ask(mysql, sql) == before
    assert before[0][:2] == ("utf8mb4", "utf8mb4_general_ci")
    assert before[0][6] == mariadb_database.name


async def test_plain_statements_of_mysql_cost_nothing_more(mysql: Mysql, mariadb_database: MariadbDatabase) -> None:
    """What cannot leave anything behind keeps its connection as it is, with what is prepared there."""
    mariadb_database.execute(MYSQL_WORLD)

    def prepared() -> int:
        found = re.search(r"\d+", mariadb_database.execute("SHOW GLOBAL STATUS LIKE 'Com_stmt_prepare'"))
        assert found is not None
        return int(found[0])

    async def round_of_them() -> None:
        await ask(mysql, "SELECT name FROM person WHERE id = :id", id=7)
        await ask(mysql, "INSERT INTO person (name) VALUES (:name)", name="Ann")
        await ask(mysql, "UPDATE person SET name = UPPER(name) WHERE name = :name", name="Ann")
        await ask(mysql, "WITH p AS (SELECT * FROM person) SELECT count(*) FROM p")
        await ask(mysql, "DELETE FROM person WHERE name = :name RETURNING id", name="ANN")

    await round_of_them()
    before = prepared()
    for _ in range(3):
        await round_of_them()
    assert prepared() == before


@pytest.mark.parametrize("missing", ["tracking", "resetting"])
async def test_servers_that_know_less_are_served_as_safely(
    mariadb_database: MariadbDatabase, island: Island, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Where the server does not tell what changed each statement is undone; where it cannot, the connection is cut."""
    mariadb_database.execute(MYSQL_WORLD)
    if missing == "tracking":
        monkeypatch.setattr(mysql_session, "_TRACKING", "SET no_such_variable = 1")
    else:
        monkeypatch.setattr("plugins.sql.mysql_wire._RESET_CONNECTION", 0x7F)
    connector = servers.Mariadb(mariadb_database, island).build()
    for left in ("SELECT noted()", "SELECT @x := 'secret', GET_LOCK('penstock', 0)"):
        await ask(connector, left)
        assert await ask(connector, "SELECT CONCAT(@x)") == [(None,)]
    assert mariadb_database.execute("SELECT IS_FREE_LOCK('penstock')").strip() == "1"
    await connector.close()


async def test_a_task_writes_into_the_table_that_everybody_sees(
    mysql: Mysql, mariadb_database: MariadbDatabase
) -> None:
    """A temporary table of the same name would take its rows, and lose them."""
    await claimed(mysql)
    await ask(mysql, "CREATE TEMPORARY TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status text)")
    await mysql.write(batch([("a", "0")], expected=None))
    assert mariadb_database.execute("SELECT DeviceId FROM ParkingData").split() == ["a"]


POSTGRES_WORLD = """
CREATE TABLE person (name text);
INSERT INTO person VALUES ('Tom');
CREATE SEQUENCE numbers;
CREATE ROLE nobody_{name};
CREATE FUNCTION noted() RETURNS int LANGUAGE plpgsql AS $$ BEGIN SET search_path = pg_catalog; RETURN 1; END $$;
CREATE PROCEDURE note() LANGUAGE plpgsql AS $$ BEGIN SET search_path = pg_catalog; COMMIT; END $$;
"""


@pytest.mark.parametrize(
    ("left", "asked", "found"),
    [
        ("SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", [(0,)]),
        ("SELECT set_config('penstock.x', 'secret', false)", "SELECT current_setting('penstock.x', true)", [("",)]),
        ("SELECT set_config('search_path', 'pg_catalog', false)", *PERSONS),
        ("SELECT noted()", *PERSONS),
        ("CALL note()", *PERSONS),
        ("CREATE TEMP TABLE person (name text)", *PERSONS),
        ("CREATE TEMP TABLE person AS SELECT 'secret' AS name", *PERSONS),
        ("SELECT 'secret' AS name INTO TEMP person", *PERSONS),
        ("DO $$ BEGIN SET ROLE nobody_{name}; END $$", "SELECT current_user::text", [("postgres",)]),
        ("DO $$ BEGIN EXECUTE 'LISTEN x'; END $$", "SELECT count(*) FROM pg_listening_channels()", [(0,)]),
        (
            "DO $$ BEGIN EXECUTE 'PREPARE stolen AS SELECT 1'; END $$",
            "SELECT count(*) FROM pg_prepared_statements WHERE from_sql",
            [(0,)],
        ),
        (
            "DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'; END $$",
            "SELECT count(*) FROM pg_cursors WHERE is_holdable",
            [(0,)],
        ),
        ("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$", *PERSONS),
        ("SELECT nextval('numbers')", "SELECT 1", [(1,)]),
    ],
)
async def test_what_a_statement_of_postgres_leaves_behind_meets_nobody(
    postgres: Postgres, postgres_database: PostgresDatabase, left: str, asked: str, found: list[tuple]
) -> None:
    """Locks, settings, roles, temporary tables, what is prepared: the next statement finds none of them."""
    name = postgres_database.name
    postgres_database.execute(POSTGRES_WORLD.format(name=name))
    await ask(postgres, "SELECT name FROM person")
    await ask(postgres, left.replace("{name}", name))
    held = postgres_database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert re.search(r"^ *0$", held, re.MULTILINE)
    assert await ask(postgres, asked) == found
    postgres_database.server.execute(f"DROP OWNED BY nobody_{name}; DROP ROLE nobody_{name}")


async def test_the_last_number_of_a_sequence_of_postgres_is_told_to_nobody(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """lastval() of a statement of its own would be another caller's."""
    postgres_database.execute("CREATE SEQUENCE numbers")
    await ask(postgres, "SELECT nextval('numbers')")
    with pytest.raises(ConnectorError, match="lastval is not yet defined"):
        await ask(postgres, "SELECT lastval()")


async def test_a_connection_of_postgres_is_set_up_again(postgres: Postgres) -> None:
    """Values of JSON still come as values, and the server still knows whose connection it is."""
    sql = "SELECT current_setting('application_name'), '{\"a\": 1}'::jsonb, pg_backend_pid()"
    before = await ask(postgres, sql)
    await ask(postgres, "SELECT set_config('application_name', 'evil', false)")
    assert await ask(postgres, sql) == before
    assert before[0][:2] == ("penstock", {"a": 1})


async def test_a_task_goes_on_although_its_statements_were_forgotten(
    postgres: Postgres, postgres_database: PostgresDatabase
) -> None:
    """A function that throws away what is prepared costs a connection, and no more than one try."""
    postgres_database.execute(
        "CREATE FUNCTION forgetful() RETURNS int LANGUAGE plpgsql AS "
        "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$"
    )
    await claimed(postgres)
    await postgres.write(batch([("a", "0")], expected=None))
    await ask(postgres, "SELECT forgetful()")
    for _ in range(2):
        try:
            await postgres.write(batch([("b", "0")], expected=1))
        except ConnectorError:
            continue
        break
    assert await parked(postgres) == [("a", "0"), ("b", "0")]


@pytest.fixture
async def sqlite(tmp_path: Path, island: Island) -> AsyncIterator[Sqlite]:
    connector = build_sqlite(tmp_path, island)
    yield connector
    await connector.close()


def build_sqlite(folder: Path, island: Island) -> Sqlite:
    return Sqlite(sqlite_module.SqliteSettings(path="db.sqlite"), Host(folder, island))


@pytest.mark.parametrize(
    "left",
    [
        "CREATE TEMP TABLE ParkingData (DeviceId text PRIMARY KEY, Status text)",
        "CREATE TABLE temp.ParkingData (DeviceId text PRIMARY KEY, Status text)",
        "CREATE TEMPORARY TABLE ParkingData AS SELECT 'x' AS DeviceId, 'y' AS Status",
        "CREATE TEMP VIEW ParkingData AS SELECT 'x' AS DeviceId, 'y' AS Status",
        "CREATE TEMP TRIGGER t AFTER INSERT ON ParkingData BEGIN DELETE FROM ParkingData; END",
        "CREATE VIRTUAL TABLE temp.ParkingData USING fts5(DeviceId, Status)",
        "CREATE TEMP TABLE penstock_offsets (task text)",
        "PRAGMA query_only = OFF",
        "PRAGMA synchronous = OFF",
        "PRAGMA case_sensitive_like = ON",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "BEGIN",
        "SAVEPOINT s",
        "VACUUM INTO 'stolen.sqlite'",
        "SELECT load_extension('x')",
    ],
)
async def test_a_statement_leaves_nothing_behind_in_a_connection_of_sqlite(sqlite: Sqlite, left: str) -> None:
    """What would stay in a connection is refused; a temporary table would take the rows of everybody."""
    await claimed(sqlite)
    with pytest.raises(StatementError):
        await ask(sqlite, left)
    await sqlite.write(batch([("a", "0")], expected=None))
    assert await parked(sqlite) == [("a", "0")]
    assert (await sqlite.position("to-table", SOURCE)).offset == 1


async def test_what_is_refused_on_sqlite_says_why(sqlite: Sqlite) -> None:
    """Temporary tables, with what to do."""
    with pytest.raises(StatementError, match="temporary"):
        await ask(sqlite, "CREATE TEMP TABLE t (a)")
    await sqlite.create_table(PARKING)
    with pytest.raises(StatementError, match="no such table"):
        await sqlite.query("SELECT * FROM t", {}, LIMITS)
