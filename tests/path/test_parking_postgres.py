"""The same story with a real PostgreSQL: the example's connection is exchanged, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.postgres import PostgresDatabase, fixture_postgres_database, fixture_postgres_server
from tests.path.lot import APP, FIRST, ParkingLot, on

__all__ = ["fixture_postgres_database", "fixture_postgres_server"]


@pytest.fixture(name="manifest")
def fixture_manifest(postgres_database: PostgresDatabase, tmp_path: Path) -> Path:
    """The example with its connection on PostgreSQL."""
    path = tmp_path / "parking.yaml"
    path.write_text(on("postgres", postgres_database.settings))
    return path


@pytest.fixture(name="lot")
def fixture_lot(manifest: Path, folder: Path) -> Iterator[ParkingLot]:
    with ChildDaemon(folder) as daemon:
        applied = daemon.penstock("apply", "-f", str(manifest))
        assert applied.returncode == 0, applied.stderr
        yield ParkingLot(daemon, applied.stdout)
        assert daemon.stop() == 0


def test_reports_are_counted_in_postgresql(lot: ParkingLot, postgres_database: PostgresDatabase) -> None:
    """Acknowledged QoS 1 reports stand in PostgreSQL and are counted by the route; a lot needs the app's secret."""
    lot.tell(lot_000001="0", lot_000002="0")
    # PostgreSQL folds names that stand in no quotes.
    assert lot.free() == '{"default":[{"freeno":2}]}'
    lot.tell(lot_000001="1")
    assert lot.free() == '{"default":[{"freeno":1}]}'
    with lot.daemon.gateway() as client:
        path = f"/parking/lots/{FIRST}"
        assert client.get(path).status_code == 401
        assert client.get(path, auth=APP).json() == {"default": [{"deviceid": FIRST, "status": "1"}]}
    assert "3" in postgres_database.execute(
        "SELECT sum(\"offset\") FROM penstock_offsets WHERE task = 'status-to-table'"
    )
    tested = lot.daemon.penstock("connection", "test", "parking-db")
    assert tested.returncode == 0, tested.stderr
    assert "PostgreSQL" in tested.stdout
