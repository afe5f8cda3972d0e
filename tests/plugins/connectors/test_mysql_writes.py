"""Connector mysql against a real MariaDB: what tasks write."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import trio

from daemon.island import Island
from plugins.api import (
    CommitUnknownError,
    ConnectorError,
    Position,
    RowRejectedError,
    StatementError,
    TargetTable,
    TopicPartition,
    WriteBatch,
)
from plugins.connectors.mysql import CONNECTOR
from plugins.sql.mysql import Mysql
from tests.fakes.mariadb import MariadbDatabase, MariadbServer
from tests.plugins.connectors.contract import (
    PARKING,
    SOURCE,
    ask,
    batch,
    blames_the_table,
    claimed,
    parked,
    rejects,
    settled_position,
    wait_until,
)
from tests.plugins.connectors.servers import build


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
        connector = build(CONNECTOR, mariadb_database.settings, island)
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
    await rejects(mysql, bad, told)


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
        ("CREATE TABLE ParkingData (DeviceId text, Status text, UNIQUE (DeviceId(9)));", "each of them whole"),
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
async def test_tables_that_mysql_cannot_upsert_into_are_the_sinks_fault(
    mysql: Mysql, mariadb_database: MariadbDatabase, setup: str, told: str
) -> None:
    """The text says what to do, and once it is done the same batch is written, by the same connector."""
    mariadb_database.execute(setup)
    right = (
        "DROP TABLE IF EXISTS ParkingData; CREATE TABLE ParkingData (DeviceId varchar(99) PRIMARY KEY, Status text);"
    )
    await blames_the_table(mysql, told, lambda: mariadb_database.execute(right))


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


async def test_a_commit_that_takes_too_long_is_unknown_until_it_has_ended(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """A time-out during COMMIT is no proof that nothing happened; the position, once it is told, says what did."""
    await claimed(mysql)
    connector = build(CONNECTOR, {**mariadb_database.settings, "command_timeout": 1.5}, island)
    assert await ask(connector, "SELECT 1") == [(1,)]
    blocking = "BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT; SELECT SLEEP(6); BACKUP STAGE END"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, mariadb_database.execute, blocking)
        await wait_until(lambda: mariadb_database.running("SLEEP(6)") == 1)
        with pytest.raises(CommitUnknownError):
            await connector.write(batch([("a", "0")], expected=None))
        position = await settled_position(connector)
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
