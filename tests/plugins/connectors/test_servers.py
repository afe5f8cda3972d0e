"""What every connector to a server of SQL keeps, each against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from daemon.island import Island
from plugins.api import (
    CommitUnknownError,
    Connector,
    ConnectorError,
    FencedError,
    NothingDoneError,
    Position,
    ResultLimits,
    ResultTooLargeError,
    TopicPartition,
    WriteBatch,
)
from tests.fakes.cutting_proxy import cutting_proxy
from tests.fakes.mariadb import MariadbDatabase
from tests.fakes.postgres import PostgresDatabase
from tests.plugins.connectors.contract import (
    LIMITS,
    PARKING,
    SOURCE,
    ask,
    batch,
    blames_the_table,
    claimed,
    parked,
    wait_until,
)
from tests.plugins.connectors.servers import Mariadb, Postgres, Server, build


@pytest.fixture(params=["mariadb_database", "postgres_database"])
def database(request: pytest.FixtureRequest) -> MariadbDatabase | PostgresDatabase:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def server(database: MariadbDatabase | PostgresDatabase, island: Island) -> Server:
    return Mariadb(database, island) if isinstance(database, MariadbDatabase) else Postgres(database, island)


@pytest.fixture
async def connector(server: Server) -> AsyncIterator[Connector]:
    connector = server.build()
    yield connector
    await connector.close()


# --- queries


async def test_the_example_runs_on_servers_too(server: Server, connector: Connector) -> None:
    """A table that a task made is found by the name that its manifest and its routes use."""
    await claimed(connector)
    await connector.write(batch([("lot-1", "0"), ("lot-2", "1")], expected=None))
    result = await connector.query("SELECT COUNT(Status) AS FreeNo FROM ParkingData WHERE Status = '0'", {}, LIMITS)
    assert (result.columns, list(result.rows)) == ((server.result_name,), [(1,)])
    sql = "SELECT Status FROM ParkingData WHERE DeviceId = :deviceId;"
    assert await ask(connector, sql, deviceId="lot-2") == [("1",)]


async def test_a_table_may_change_under_a_prepared_statement(server: Server, connector: Connector) -> None:
    """A statement whose result has another shape than when it was prepared brings the new one."""
    server.database.execute("CREATE TABLE t (a integer); INSERT INTO t VALUES (1);")
    assert await ask(connector, "SELECT * FROM t") == [(1,)]
    server.database.execute(f"ALTER TABLE t {', '.join(server.changed)};")
    assert await ask(connector, "SELECT * FROM t") == [("1", None)]


async def test_results_are_bounded_while_they_are_fetched(server: Server, connector: Connector) -> None:
    """Neither rows nor bytes beyond the limits are held; the connector serves on."""
    with pytest.raises(ResultTooLargeError, match="10 rows"):
        await connector.query(server.series.format(1_000_000_000), {}, ResultLimits(10, 10_000))
    with pytest.raises(ResultTooLargeError, match="100 bytes"):
        await connector.query("SELECT repeat('x', 101)", {}, ResultLimits(10, 100))
    exact = await connector.query(server.series.format(600), {}, ResultLimits(600, 4800))
    assert [row[0] for row in exact.rows] == list(range(1, 601))


async def test_connections_are_bounded_by_the_pool(server: Server) -> None:
    """However many callers there are, the server sees `pool_size` connections, and all are answered."""
    connector = server.build(pool_size=2)
    seen: list[int] = []

    async def one() -> None:
        seen.extend(row[0] for row in await ask(connector, server.who))

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(one)
    assert len(seen) == 12
    assert len(set(seen)) == 2
    await connector.close()


async def test_a_slow_statement_leaves_a_connection_to_others(server: Server) -> None:
    """Every connection that one statement may have is at work, and another statement is answered at once."""
    connector = server.build(pool_size=2)
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask, connector, server.sleep)
        await trio.sleep(0.2)
        with trio.fail_after(5):
            assert await ask(connector, "SELECT 1") == [(1,)]
        nursery.cancel_scope.cancel()
    await connector.close()


async def test_a_server_that_is_down_was_asked_nothing(server: Server, connector: Connector) -> None:
    """Neither a connection that cannot be made nor one that was lost while it was idle did anything."""
    assert await ask(connector, "SELECT 1") == [(1,)]
    with server.database.server.stopped(), pytest.raises(NothingDoneError, match="nobody listens there"):
        await ask(connector, "SELECT 1")
    assert await ask(connector, "SELECT 1") == [(1,)]


# --- tasks


async def test_positions_are_claimed_raised_and_set(connector: Connector) -> None:
    """A claim raises the epoch; a reset sets the offset and raises it, too; both fence who wrote before."""
    other = TopicPartition(SOURCE.topic, SOURCE.partition + 1)
    assert await connector.position("to-table", SOURCE) == Position(0, None)
    await connector.reset("to-table", {other: 0})
    await claimed(connector)
    await connector.write(batch([("a", "0")], expected=None))
    assert await connector.position("to-table", SOURCE) == Position(1, 1)
    await connector.reset("to-table", {SOURCE: 40, other: 7})
    with pytest.raises(FencedError):
        await connector.write(batch([("b", "0")], expected=1))
    assert await connector.claim("to-table", SOURCE) == Position(3, 40)
    assert await connector.claim("to-table", other) == Position(3, 7)


async def test_a_position_moves_without_rows_and_where_it_stands(connector: Connector) -> None:
    """Records that map to nothing move it, and one that need not move is no fence."""
    await claimed(connector)
    await connector.write(WriteBatch("to-table", SOURCE, 1, None, 5, PARKING, []))
    await connector.write(WriteBatch("to-table", SOURCE, 1, 5, 5, PARKING, []))
    assert await connector.position("to-table", SOURCE) == Position(1, 5)


@pytest.mark.parametrize(("epoch", "expected"), [(1, None), (2, 5), (3, None)])
async def test_a_fenced_writer_writes_nothing(connector: Connector, epoch: int, expected: int | None) -> None:
    """An older epoch, or an offset that is not the one in the sink, changes neither row nor position."""
    await claimed(connector)
    await connector.claim("to-table", SOURCE)
    with pytest.raises(FencedError, match="parking-status-2"):
        await connector.write(batch([("a", "0")], epoch=epoch, expected=expected))
    assert await parked(connector) == []
    assert await connector.position("to-table", SOURCE) == Position(2, None)


async def test_a_writer_without_a_claim_is_fenced(connector: Connector) -> None:
    """Where nobody has ever claimed there is no position to move."""
    await connector.create_table(PARKING)
    with pytest.raises(FencedError):
        await connector.write(batch([("a", "0")], expected=None))


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("SELECT 1;", "create: true"),
        ("CREATE TABLE ParkingData (DeviceId {key}, Status text);", "CREATE UNIQUE INDEX"),
        ("CREATE TABLE ParkingData (DeviceId {key} PRIMARY KEY);", "column is missing"),
    ],
)
async def test_a_table_that_does_not_fit_is_the_sinks_fault(
    server: Server, connector: Connector, setup: str, told: str
) -> None:
    """The text says what to do, and once it is done the same batch is written, by the same connector."""
    right = "DROP TABLE IF EXISTS ParkingData; CREATE TABLE ParkingData (DeviceId {key} PRIMARY KEY, Status text);"
    server.database.execute(setup.format(key=server.key_type))
    await blames_the_table(connector, told, lambda: server.database.execute(right.format(key=server.key_type)))


# --- loss and reports


@pytest.mark.parametrize(("moment", "rows"), [("before", []), ("after", [("a", "0")])])
async def test_a_lost_answer_to_commit_is_told_as_such(server: Server, moment: str, rows: list) -> None:
    """Nobody knows whether it happened; the position does, and the next write goes on from there."""
    async with cutting_proxy(server.socket) as proxy:
        connector = server.build(host="127.0.0.1", port=proxy.port, ssl="disable")
        await claimed(connector)
        proxy.armed = moment
        with pytest.raises(CommitUnknownError, match="COMMIT"):
            await connector.write(batch([("a", "0")], expected=None))
        position = await connector.position("to-table", SOURCE)
        assert position == Position(1, len(rows) or None)
        await connector.write(batch([("b", "0")], expected=position.offset))
        assert await parked(connector) == [*rows, ("b", "0")]
        await connector.close()


async def test_idle_connections_that_the_server_ended_are_replaced(server: Server, connector: Connector) -> None:
    """After the server has closed every connection, the next query opens one."""
    ((before, *_),) = await ask(connector, server.who)
    server.database.execute(server.end_connections)
    await wait_until(lambda: server.count(server.connections) == 0)
    await trio.sleep(0.1)
    ((after, *_),) = await ask(connector, server.who)
    assert after != before


async def test_a_cancelled_write_leaves_no_transaction_open(server: Server, connector: Connector) -> None:
    """A runner that is stopped while its rows wait lets go of its position, too."""
    await claimed(connector)
    server.database.execute(server.slow_inserts)
    with trio.move_on_after(0.3) as scope:
        await connector.write(batch([("a", "0")], expected=None))
    assert scope.cancelled_caught
    with trio.fail_after(5):
        assert await connector.claim("to-table", SOURCE) == Position(2, None)


async def test_a_good_connection_tests_well_and_leaves_no_trace(server: Server, connector: Connector) -> None:
    """Version, time and rights, each tried; nothing of it stays."""
    for tables in ([], ["parkingdata", "penstock_offsets"]):
        report = await connector.test()
        assert (report.connected, report.may_read, report.may_write, report.problem) == (True, True, True, "")
        assert server.version in report.version
        assert report.milliseconds > 0
        assert [name.lower() for name in await connector.tables()] == tables
        await claimed(connector)
    assert await ask(connector, "SELECT task FROM penstock_offsets") == [("to-table",)]


async def test_a_missing_database_and_a_closed_port_are_told(server: Server) -> None:
    """Each has its own hint, and a query meets the same words."""
    server.database.execute(server.allow_nowhere)
    assert "there is no such database" in (await server.build(database="nowhere").test()).problem
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        refused = server.build(host="127.0.0.1", port=port)
        problem = (await refused.test()).problem
        assert f"127.0.0.1:{port}/{server.database.name}" in problem
        assert "nobody listens there" in problem
        with pytest.raises(NothingDoneError, match="nobody listens there"):
            await ask(refused, "SELECT 1")


@pytest.mark.parametrize("kind", [Mariadb, Postgres])
async def test_a_server_that_never_answers_is_given_up(island: Island, kind: type[Server]) -> None:
    """connect_timeout bounds the wait for a host that takes connections and says nothing."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "database": "x", "user": "x", "connect_timeout": 0.2}
        report = await build(kind.connector, settings, island).test()
    assert not report.connected
    assert "no answer in time" in report.problem


async def test_a_closed_connector_says_so(server: Server, connector: Connector) -> None:
    """Closing ends the server's side as well; later calls are refused; closing twice is nothing."""
    await ask(connector, "SELECT 1")
    await connector.close()
    await connector.close()
    await wait_until(lambda: server.count(server.connections) == 0)
    with pytest.raises(ConnectorError, match="closed"):
        await ask(connector, "SELECT 1")
