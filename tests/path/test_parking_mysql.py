"""The same story with a real MariaDB: the example's connection is exchanged; then what only MySQL has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.mariadb import MariadbDatabase, fixture_mariadb_database, fixture_mariadb_server
from tests.fakes.topic_files import read_topic
from tests.path.lot import APP, FIRST, SECOND, TASK, ParkingLot, on, report

__all__ = ["fixture_mariadb_database", "fixture_mariadb_server"]

PROCEDURE_ROUTE = """
kind: route
app: city-parking
name: counts
request: {method: GET, path: /parking/counts, parameters: [{name: status, in: query, type: string}]}
auth: none
backend:
  data:
    connection: parking-db
    sql: CALL counts(:status)
"""


@pytest.fixture(name="lot")
def fixture_lot(mariadb_database: MariadbDatabase, tmp_path: Path, folder: Path) -> Iterator[ParkingLot]:
    manifest = tmp_path / "parking.yaml"
    manifest.write_text(on("mysql", mariadb_database.settings))
    with ChildDaemon(folder) as daemon:
        applied = daemon.penstock("apply", "-f", str(manifest))
        assert applied.returncode == 0, applied.stderr
        yield ParkingLot(daemon, applied.stdout)
        assert daemon.stop() == 0


def test_reports_are_counted_in_mariadb(lot: ParkingLot, mariadb_database: MariadbDatabase) -> None:
    """Acknowledged QoS 1 reports stand in MariaDB and are counted by the route; a lot needs the app's secret."""
    lot.tell(lot_000001="0", lot_000002="0")
    assert lot.free() == '{"default":[{"FreeNo":2}]}'
    lot.tell(lot_000001="1")
    assert lot.free() == '{"default":[{"FreeNo":1}]}'
    with lot.daemon.gateway() as client:
        path = f"/parking/lots/{FIRST}"
        assert client.get(path).status_code == 401
        assert client.get(path, auth=APP).json() == {"default": [{"DeviceId": FIRST, "Status": "1"}]}
    positions = mariadb_database.execute(f"SELECT sum(`offset`) FROM penstock_offsets WHERE task = '{TASK}'")
    assert positions == "3\n"
    tested = lot.daemon.penstock("connection", "test", "parking-db")
    assert tested.returncode == 0, tested.stderr
    assert "MariaDB" in tested.stdout


def test_a_row_that_mariadb_refuses_goes_aside_and_the_others_go_on(
    lot: ParkingLot, mariadb_database: MariadbDatabase
) -> None:
    """It is in the dead letters with its reason and without its value; what came with it is in the table."""
    lot.tell(lot_000001="0")
    mariadb_database.execute(f"ALTER TABLE ParkingData ADD CHECK (DeviceId <> '{SECOND}' OR Status = '0')")
    lot.tell(lot_000002="1")
    lot.tell(lot_000001="1")
    assert lot.free() == '{"default":[{"FreeNo":0}]}'
    assert mariadb_database.execute("SELECT DeviceId, Status FROM ParkingData") == f"{FIRST}\t1\n"
    ((dead,),) = read_topic(lot.daemon.data, f"{TASK}.dead")
    reason = (dead.headers["reason"] or b"").decode()
    assert "CONSTRAINT" in reason
    assert SECOND not in reason


def test_a_procedure_answers_with_each_of_its_results(
    lot: ParkingLot, mariadb_database: MariadbDatabase, tmp_path: Path
) -> None:
    """A route calls it; its results stand side by side."""
    lot.tell(lot_000001="0", lot_000002="1")
    mariadb_database.execute(
        "DELIMITER //\n"
        "CREATE PROCEDURE counts(IN wanted varchar(9)) BEGIN\n"
        "SELECT count(*) AS n FROM ParkingData WHERE Status = wanted; SELECT count(*) AS total FROM ParkingData;\n"
        "END //\n"
    )
    route = tmp_path / "route.yaml"
    route.write_text(PROCEDURE_ROUTE)
    applied = lot.daemon.penstock("apply", "-f", str(route))
    assert applied.returncode == 0, applied.stderr
    with lot.daemon.gateway() as client:
        answer = client.get("/parking/counts", params={"status": "1"})
    assert answer.json() == {"default": [{"n": 1}], "default_2": [{"total": 2}]}


def test_a_task_waits_for_mariadb_and_goes_on(lot: ParkingLot, mariadb_database: MariadbDatabase) -> None:
    """What was acknowledged while the server was gone is in the table once it is back."""
    lot.tell(lot_000001="0")
    with mariadb_database.server.stopped(), lot.sensor(SECOND) as client:
        client.report(f"parking-sensor/out/{SECOND}", report(SECOND, "0"))
        with lot.daemon.gateway() as gateway:
            assert gateway.get("/parking/free").status_code == 502
    lot.daemon.wait_lag_zero(TASK)
    assert lot.free() == '{"default":[{"FreeNo":2}]}'
