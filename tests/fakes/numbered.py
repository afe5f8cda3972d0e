"""An instance whose devices number their reports, so that what is lost, doubled or out of order shows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from tests.fakes.topic_files import read_topic

SECRET = "numbered-secret"
PARTITIONS = 3
SQLITE = "connector: sqlite\nsettings: {path: sink.db}"

Report = tuple[int, str, int]
"""Offset, device and number of one stored report."""


def manifest(devices: Iterable[str], connection: str = SQLITE, partitions: int = PARTITIONS) -> str:
    """The devices, a task `latest` that keeps each one's last number, and a task `every` that keeps every offset."""
    some = min(2, partitions)
    house = _HOUSE.format(secret=SECRET, partitions=partitions, some=some, connection=connection)
    return (
        house
        + every_task("every", partitions)
        + "".join(
            f"---\nkind: device\napp: house\nproduct: sensor\nname: {name}\nsecret: {SECRET}\n" for name in devices
        )
    )


def every_task(name: str, runners: int = 1) -> str:
    """A task that keeps every offset in a table of its own name."""
    return _EVERY.format(name=name, runners=runners)


def stored_reports(data: Path) -> list[list[Report]]:
    """What the topic's files hold, by partition; offsets must be continuous from 0."""
    topic = []
    for partition in read_topic(data, "reports"):
        assert [record.offset for record in partition] == list(range(len(partition)))
        reports = [(record.offset, json.loads(record.value or b"")) for record in partition]
        topic.append([(offset, report["deviceId"], report["seq"]) for offset, report in reports])
    return topic


def check_topic(topic: list[list[Report]], acknowledged: dict[str, int]) -> None:
    """Every acknowledged report is there at least once, each device's in one partition and in order."""
    for device, last in acknowledged.items():
        homes = [records for records in topic if any(name == device for _, name, _ in records)]
        assert len(homes) == 1, f"{device} has reports in {len(homes)} partitions"
        numbers = list(dict.fromkeys(number for _, name, number in homes[0] if name == device))
        # Sent again after a kill is allowed; seen for the first time, numbers only rise, without a gap.
        assert numbers == list(range(1, len(numbers) + 1)), f"{device}: out of order, or with a gap"
        assert len(numbers) >= last, f"{device}: {last} acknowledged, {len(numbers)} stored"


def check_tables(path: Path, topic: list[list[Report]], *every: str) -> None:
    """The tables `every` hold each offset exactly once, and `latest` is the fold of the topic."""
    database = sqlite3.connect(path)
    try:
        for table in every or ("every",):
            rows = database.execute(f'SELECT part, off, device, seq FROM "{table}" ORDER BY part, off').fetchall()
            assert rows == expected_every(topic), f"{table} is not what the topic holds"
        latest = dict(database.execute('SELECT device, seq FROM "latest"').fetchall())
    finally:
        database.close()
    assert latest == expected_latest(topic)


def expected_every(topic: list[list[Report]]) -> list[tuple[int, int, str, int]]:
    """The rows of `every`, in the order of partition and offset."""
    return [(partition, *report) for partition, reports in enumerate(topic) for report in reports]


def expected_latest(topic: list[list[Report]]) -> dict[str, int]:
    """The rows of `latest`: the last number of each device in the topic, in the topic's order."""
    return {device: number for reports in topic for _, device, number in reports}


_HOUSE = """
kind: app
name: house
key: house
secret: {secret}
---
kind: product
app: house
name: sensor
services:
  - name: Report
    properties:
      - {{name: deviceId, type: string}}
      - {{name: seq, type: integer}}
---
kind: topic
app: house
name: reports
partitions: {partitions}
---
kind: rule
app: house
name: forward
from: {{product: sensor}}
to: [{{topic: reports}}]
---
kind: connection
app: house
name: sink
{connection}
---
kind: task
app: house
name: latest
runners: {some}
source:
  topic: reports
  start: earliest
  fields: [{{name: deviceId, type: string, path: deviceId}}, {{name: seq, type: integer, path: seq}}]
target: {{connection: sink, table: latest, create: true, key: [device], columns: {{device: deviceId, seq: seq}}}}
"""
_EVERY = """---
kind: task
app: house
name: {name}
runners: {runners}
source:
  topic: reports
  start: earliest
  fields: [{{name: deviceId, type: string, path: deviceId}}, {{name: seq, type: integer, path: seq}}]
target:
  connection: sink
  table: {name}
  create: true
  columns: {{part: $partition, off: $offset, device: deviceId, seq: seq}}
"""
