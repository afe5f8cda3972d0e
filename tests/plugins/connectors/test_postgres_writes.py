"""Connector postgres against a real server: what tasks write."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import trio

from daemon.island import Island
from plugins.api import CommitUnknownError, ConnectorError, Position, RowRejectedError, TargetTable, WriteBatch
from plugins.connectors.postgres import CONNECTOR
from plugins.sql.postgres import Postgres
from tests.fakes.postgres import PostgresDatabase
from tests.plugins.connectors.contract import PARKING, SOURCE, ask, batch, claimed, parked, rejects, settled_position
from tests.plugins.connectors.servers import build


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
    await rejects(postgres, bad, told)


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


async def test_a_commit_that_takes_too_long_is_unknown_until_it_has_ended(
    postgres_database: PostgresDatabase, island: Island
) -> None:
    """A time-out during COMMIT is no proof that nothing happened, and the position is told only once that is known."""
    connector = build(CONNECTOR, {**postgres_database.settings, "command_timeout": 0.3}, island)
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
    position = await settled_position(connector)
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
