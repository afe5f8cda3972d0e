"""Kill the daemon at random moments under load: nothing acknowledged is lost, nothing is written twice."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest

from tests.crash.manifest import PARTITIONS, SECRET, manifest
from tests.fakes.daemon import ChildDaemon
from tests.fakes.publisher import WindowPublisher
from tests.fakes.topic_files import read_topic

DEVICES = [f"d{number}" for number in range(6)]
ROUNDS = 20


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_over_sigkill(tmp_path: Path) -> None:
    """Over 20 SIGKILLs under load the topic holds every acknowledged report, each device's in order; the append-only
    table holds each offset exactly once, and the table by device equals the fold of the topic.
    """
    data = tmp_path / "data"
    acknowledged = dict.fromkeys(DEVICES, 0)
    daemon = ChildDaemon(data)
    with daemon:
        daemon.apply(manifest(DEVICES))
        for number in range(ROUNDS):
            _load_until_killed(daemon, acknowledged, last=number == ROUNDS - 1)
            daemon.start()
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    topic = read_topic(data, "reports")
    assert len(topic) == PARTITIONS
    assert min(acknowledged.values()) > 0
    _check_topic(topic, acknowledged)
    _check_tables(data / "sink.db", topic)


def _load_until_killed(daemon: ChildDaemon, acknowledged: dict[str, int], *, last: bool) -> None:
    publishers = [WindowPublisher(daemon.mqtt(), device, SECRET, first=acknowledged[device] + 1) for device in DEVICES]
    for publisher in publishers:
        publisher.start()
    time.sleep(1.0 if last else random.uniform(0.05, 0.8))
    daemon.kill()
    for publisher in publishers:
        publisher.join()
        assert publisher.problem == ""
        acknowledged[publisher.name] = publisher.acknowledged


def _check_topic(topic: list[list[tuple[int, str, int]]], acknowledged: dict[str, int]) -> None:
    for device, last in acknowledged.items():
        homes = [records for records in topic if any(name == device for _, name, _ in records)]
        assert len(homes) == 1, f"{device} has reports in {len(homes)} partitions"
        numbers = list(dict.fromkeys(number for _, name, number in homes[0] if name == device))
        # Sent again after a kill is allowed; seen for the first time, numbers only rise, without a gap.
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= last, f"{device}: {last} acknowledged, {len(numbers)} stored"


def _check_tables(path: Path, topic: list[list[tuple[int, str, int]]]) -> None:
    with sqlite3.connect(path) as database:
        every = database.execute('SELECT part, off, device, seq FROM "every" ORDER BY part, off').fetchall()
        latest = dict(database.execute('SELECT device, seq FROM "latest"').fetchall())
    database.close()
    expected = [
        (partition, offset, device, number)
        for partition, records in enumerate(topic)
        for offset, device, number in records
    ]
    assert every == expected
    assert latest == {device: number for records in topic for _, device, number in records}
