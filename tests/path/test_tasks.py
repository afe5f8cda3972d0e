"""Tasks in a running daemon: bad rows, sinks that are not ready, stop and start, changes while reports come."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import expected_every, manifest, stored_reports
from tests.fakes.publisher import publishers
from tests.fakes.topic_files import FileRecord, read_topic
from tests.path.client import MqttClient

BASE = """
kind: app
name: house
key: house
secret: house-secret
---
kind: connection
app: house
name: sink
connector: sqlite
settings: {path: sink.db}
"""
# Whatever a device publishes becomes a record: the product describes no services.
MOVEMENT = """
kind: product
app: house
name: NAME
---
kind: device
app: house
product: NAME
name: NAME-device
secret: device-secret
---
kind: topic
app: house
name: NAME
---
kind: rule
app: house
name: NAME
from: {product: NAME}
to: [{topic: NAME}]
---
"""
TASK = """
kind: task
app: house
name: NAME
source:
  topic: NAME
  start: earliest
  fields: [{name: id, type: string, path: id}, {name: count, type: integer, path: count}]
target: {connection: sink, table: NAME, create: CREATE, columns: {id: id, count: count, off: $offset}}
"""


class Movement:
    """One device, its topic, and the task that moves its reports into a table, all of the same name."""

    def __init__(self, daemon: ChildDaemon, name: str) -> None:
        self.daemon = daemon
        self.name = name

    def apply(self, *, create: bool = True) -> None:
        text = MOVEMENT + TASK.replace("CREATE", str(create).lower())
        self.daemon.apply(text.replace("NAME", self.name))

    def report(self, *payloads: str) -> None:
        device = MqttClient(self.daemon.mqtt(), f"{self.name}/{self.name}-device", "device-secret")
        with device as client:
            for payload in payloads:
                client.report(f"{self.name}/out/{self.name}-device", payload)

    def status(self) -> dict[str, Any]:
        return self.daemon.status(f"tasks/{self.name}")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """SQL by another program, in place of TABLE stands the task's table."""
        database = sqlite3.connect(self.daemon.data / "sink.db", timeout=10)
        try:
            with database:
                return database.execute(sql.replace("TABLE_NAME", f'"{self.name}"')).fetchall()
        finally:
            database.close()

    def rows(self) -> list[tuple[Any, ...]]:
        return self.execute("SELECT id, count, off FROM TABLE_NAME ORDER BY off")

    def dead(self) -> list[FileRecord]:
        return [record for partition in read_topic(self.daemon.data, f"{self.name}.dead") for record in partition]


@pytest.fixture(name="daemon", scope="module")
def fixture_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    with ChildDaemon(tmp_path_factory.mktemp("tasks") / "data") as daemon:
        daemon.apply(BASE)
        yield daemon
        assert daemon.stop() == 0


def row(name: str, count: object) -> str:
    return json.dumps({"id": name, "count": count})


def test_a_record_that_cannot_be_mapped_is_put_aside_and_the_task_goes_on(daemon: ChildDaemon) -> None:
    """It goes to `<task>.dead` as it was, with the reason and where it came from as headers; the others are rows."""
    movement = Movement(daemon, "unmappable")
    movement.apply()
    bad = [row("b", "many"), '{"id": "c"}', "not JSON at all"]
    movement.report(row("a", 1), *bad, row("d", "4"))
    daemon.wait_lag_zero(movement.name)
    assert movement.rows() == [("a", 1, 0), ("d", 4, 4)]
    status = movement.status()
    assert (status["state"], status["dead"], status["rows"]) == ("running", 3, 2)
    dead = movement.dead()
    assert [record.value for record in dead] == [payload.encode() for payload in bad]
    assert {record.key for record in dead} == {b"unmappable-device"}
    for number, record in enumerate(dead, 1):
        headers = {name: (value or b"").decode() for name, value in record.headers.items()}
        assert (headers["source_topic"], headers["source_partition"]) == ("unmappable", "0")
        assert headers["source_offset"] == str(number)
        assert headers["task"] == "unmappable"
    reasons = [(record.headers["reason"] or b"").decode() for record in dead]
    assert "count" in reasons[0]
    assert "count" in reasons[1]
    assert "JSON" in reasons[2]


def test_a_row_that_the_database_refuses_is_put_aside_and_the_task_goes_on(daemon: ChildDaemon) -> None:
    """A constraint of the table decides about single rows: the refused ones are dead letters, others are written."""
    movement = Movement(daemon, "refused")
    movement.execute(
        "CREATE TABLE TABLE_NAME (id TEXT NOT NULL UNIQUE, count INTEGER CHECK (count < 100), off INTEGER)"
    )
    movement.apply(create=False)
    movement.report(row("a", 1), row("b", 100), row("c", 3), row("a", 4), row("e", 5))
    daemon.wait_lag_zero(movement.name)
    assert movement.rows() == [("a", 1, 0), ("c", 3, 2), ("e", 5, 4)]
    dead = movement.dead()
    assert [record.headers["source_offset"] for record in dead] == [b"1", b"3"]
    assert "CHECK constraint" in (dead[0].headers["reason"] or b"").decode()
    assert "UNIQUE constraint" in (dead[1].headers["reason"] or b"").decode()
    assert movement.status()["state"] == "running"


def test_a_missing_table_holds_the_task_until_it_is_there(daemon: ChildDaemon) -> None:
    """`create: false`: the task waits and says for what, skips nothing, and goes on by itself once it is made."""
    movement = Movement(daemon, "tableless")
    movement.apply(create=False)
    movement.report(row("a", 1), row("b", 2))
    held = daemon.wait_status(f"tasks/{movement.name}", lambda status: status["holding"])
    assert "no such table" in held["holding"]
    assert "tableless" in held["holding"]
    assert (held["state"], held["lag"], held["dead"]) == ("running", 2, 0)
    shown = daemon.penstock("get", "task", movement.name)
    assert "no such table" in shown.stdout
    movement.execute("CREATE TABLE TABLE_NAME (id TEXT, count INTEGER, off INTEGER)")
    daemon.wait_lag_zero(movement.name)
    assert movement.rows() == [("a", 1, 0), ("b", 2, 1)]
    status = movement.status()
    assert (status["holding"], status["dead"]) == ("", 0)


def test_a_task_stops_and_starts_and_skips_nothing(daemon: ChildDaemon) -> None:
    """`penstock task stop` ends it after its transaction, reports wait in the topic, `start` goes on where it was."""
    movement = Movement(daemon, "pausing")
    movement.apply()
    movement.report(row("a", 1))
    daemon.wait_lag_zero(movement.name)
    stopped = daemon.penstock("task", "stop", movement.name)
    assert stopped.returncode == 0, stopped.stderr
    movement.report(row("b", 2), row("c", 3))
    status = movement.status()
    assert (status["state"], status["lag"]) == ("stopped", 2)
    assert len(movement.rows()) == 1
    started = daemon.penstock("task", "start", movement.name)
    assert started.returncode == 0, started.stderr
    daemon.wait_lag_zero(movement.name)
    assert movement.rows() == [("a", 1, 0), ("b", 2, 1), ("c", 3, 2)]


def test_a_changed_task_is_restarted_where_it_was(daemon: ChildDaemon) -> None:
    """`apply` of other columns takes effect with the next report; what was moved before is not moved again."""
    movement = Movement(daemon, "changing")
    movement.apply()
    movement.report(row("a", 1))
    daemon.wait_lag_zero(movement.name)
    movement.execute("ALTER TABLE TABLE_NAME ADD COLUMN origin TEXT")
    changed = TASK.replace("CREATE", "true").replace("off: $offset", "off: $offset, origin: $topic")
    applied = daemon.apply(changed.replace("NAME", movement.name))
    assert [(one["kind"], one["result"]) for one in applied["results"]] == [("task", "changed")]
    movement.report(row("b", 2))
    daemon.wait_lag_zero(movement.name)
    rows = movement.execute("SELECT id, off, origin FROM TABLE_NAME ORDER BY off")
    assert rows == [("a", 0, None), ("b", 1, "changing")]


def test_partitions_are_raised_while_publishers_run(folder: Path) -> None:
    """From one partition to three under load: no publisher notices, every report is stored and moved exactly once."""
    acknowledged = dict.fromkeys([f"d{number}" for number in range(6)], 0)
    with ChildDaemon(folder) as daemon:
        daemon.apply(manifest(acknowledged, partitions=1))
        with publishers(daemon.mqtt(), acknowledged) as crowd:
            daemon.wait_status("tasks/every", lambda status: status["rows"] > 1000)
            daemon.apply(manifest(acknowledged, partitions=3))
            daemon.wait_status("tasks/every", lambda status: all(one["committed"] for one in status["partitions"]))
        assert [publisher.broken for publisher in crowd] == [""] * len(crowd)
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    topic = stored_reports(folder)
    assert len(topic) == 3
    assert all(topic)
    for device, last in acknowledged.items():
        numbers = [number for reports in topic for _, name, number in reports if name == device]
        assert sorted(numbers) == list(range(1, last + 1))
    database = sqlite3.connect(folder / "sink.db")
    rows = database.execute('SELECT part, off, device, seq FROM "every" ORDER BY part, off').fetchall()
    database.close()
    assert rows == expected_every(topic)
