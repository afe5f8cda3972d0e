"""A sink that stops under load: the backlog grows on disk and never in memory, then drains, and nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import (
    check_tables,
    check_topic,
    expected_every,
    expected_latest,
    manifest,
    stored_reports,
)
from tests.fakes.postgres import PostgresDatabase, fixture_postgres_database, fixture_postgres_server
from tests.fakes.publisher import publishers

__all__ = ["fixture_postgres_database", "fixture_postgres_server"]

DEVICES = [f"d{number}" for number in range(6)]
MEGABYTE = 1_000_000


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database for itself."""
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


def watch(daemon: ChildDaemon, seconds: float) -> tuple[int, list[int]]:
    """The most memory that was seen meanwhile, and the lag of `every` from look to look."""
    end, most, lags = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        most = max(most, daemon.memory())
        lags.append(daemon.status("tasks/every")["lag"])
        time.sleep(0.25)
    return most, lags


def test_a_sink_that_stops_costs_disk_and_no_memory(folder: Path) -> None:
    """SQLite held by another program for 10 s under load: RssAnon grows by less than 20 MB, lag grows on disk.

    Reports are acknowledged all the while. Then the lag drains, and each offset is in the table exactly once.
    """
    acknowledged = dict.fromkeys(DEVICES, 0)
    with ChildDaemon(folder) as daemon:
        daemon.apply(manifest(DEVICES))
        with publishers(daemon.mqtt(), acknowledged) as crowd:
            before, _ = watch(daemon, 2)
            with locked(folder / "sink.db"):
                during, lags = watch(daemon, 10)
                held = daemon.status("tasks/every")
            after, _ = watch(daemon, 1)
        assert [publisher.broken for publisher in crowd] == [""] * len(crowd)
        daemon.wait_lag_zero("latest", "every", timeout=60)
        assert daemon.stop() == 0
    assert max(during, after) - before < 20 * MEGABYTE
    assert lags == sorted(lags)
    assert lags[-1] > 1000
    assert held["state"] == "running"
    assert "locked" in held["holding"]
    topic = stored_reports(folder)
    check_topic(topic, acknowledged)
    check_tables(folder / "sink.db", topic)


def test_a_postgresql_that_is_stopped_is_waited_for(folder: Path, postgres_database: PostgresDatabase) -> None:
    """The server is shut down under load and comes back: tasks hold with a reason, then go on, nothing lost or doubled.

    Routes that need it answer with an error of their protocol meanwhile, and reports are acknowledged.
    """
    acknowledged = dict.fromkeys(DEVICES[:3], 0)
    with ChildDaemon(folder) as daemon:
        daemon.apply(manifest(acknowledged, connection=_connection(postgres_database)) + COUNT)
        with publishers(daemon.mqtt(), acknowledged) as crowd, daemon.gateway() as client:
            daemon.wait_status("tasks/every", lambda status: status["rows"] > 1000)
            with postgres_database.server.stopped():
                held = daemon.wait_status("tasks/every", lambda status: status["holding"])
                refused = client.get("/count")
                daemon.wait_status("tasks/every", lambda status: status["lag"] > 5000)
            daemon.wait_status("tasks/every", lambda status: not status["holding"])
        assert [publisher.broken for publisher in crowd] == [""] * len(crowd)
        daemon.wait_lag_zero("latest", "every", timeout=60)
        with daemon.gateway() as client:
            answered = client.get("/count")
        assert daemon.stop() == 0
    assert held["state"] == "running"
    assert postgres_database.name in held["holding"]
    assert refused.status_code >= 500
    assert "error_code" in refused.json()
    topic = stored_reports(folder)
    check_topic(topic, acknowledged)
    expected = expected_every(topic)
    assert answered.json() == {"default": [{"n": len(expected)}]}
    assert rows_of(postgres_database, "SELECT part, off, device, seq FROM every ORDER BY part, off") == expected
    assert dict(rows_of(postgres_database, "SELECT device, seq FROM latest")) == expected_latest(topic)


COUNT = """---
kind: route
app: house
name: count
request: {path: /count}
auth: none
backend: {data: {connection: sink, sql: SELECT count(*) AS n FROM every}}
"""


def _connection(database: PostgresDatabase) -> str:
    settings = ", ".join(f'{name}: "{value}"' for name, value in database.settings.items())
    return f"connector: postgres\nsettings: {{{settings}}}"


def rows_of(database: PostgresDatabase, sql: str) -> list[tuple[Any, ...]]:
    """What a query brings, asked outside of the daemon."""

    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(**database.settings)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(ask())
