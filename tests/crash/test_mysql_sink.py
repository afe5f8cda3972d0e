"""Kill the daemon and MariaDB in turns while a task writes: each offset is in the table exactly once."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.mariadb import MariadbDatabase, fixture_mariadb_database, fixture_mariadb_server
from tests.fakes.numbered import check_topic, expected_every, expected_latest, manifest, stored_reports
from tests.fakes.publisher import publishers

__all__ = ["fixture_mariadb_database", "fixture_mariadb_server"]

DEVICES = [f"d{number}" for number in range(6)]
ROUNDS = 6
# Small, so that a kill is likely to meet a transaction.
SMALL_BATCHES = {"PENSTOCK_TASKS__BATCH_ROWS": "7"}


def rows(database: MariadbDatabase, sql: str) -> list[list[str]]:
    return [line.split("\t") for line in database.execute(sql).splitlines()]


@pytest.mark.timeout(300)
def test_each_offset_is_written_once_over_sigkill_of_either_side(
    mariadb_database: MariadbDatabase, tmp_path: Path
) -> None:
    """Rows and position move in one transaction: neither a daemon nor a server that dies in it loses or doubles one."""
    server = mariadb_database.server
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    acknowledged = dict.fromkeys(DEVICES, 0)
    connection = f"connector: mysql\nsettings: {json.dumps(mariadb_database.settings)}"
    data = tmp_path / "data"
    with ChildDaemon(data, **SMALL_BATCHES) as daemon:
        daemon.apply(manifest(DEVICES, connection=connection))
        for number in range(ROUNDS):
            with publishers(daemon.mqtt(), acknowledged):
                time.sleep(random.uniform(0.2, 0.6))
                if number % 2:
                    daemon.kill()
                else:
                    assert server.process is not None
                    server.process.kill()
                    server.process.wait()
            if number % 2:
                daemon.start()
            else:
                server.start()
                server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    topic = stored_reports(data)
    assert min(acknowledged.values()) > 0
    check_topic(topic, acknowledged)
    every = rows(mariadb_database, "SELECT part, off, device, seq FROM every ORDER BY part, off")
    assert [(int(part), int(off), device, int(seq)) for part, off, device, seq in every] == expected_every(topic)
    latest = rows(mariadb_database, "SELECT device, seq FROM latest")
    assert {device: int(seq) for device, seq in latest} == expected_latest(topic)
