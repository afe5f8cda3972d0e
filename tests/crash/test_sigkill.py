"""Kill the daemon at random moments under load: nothing acknowledged is lost, nothing is written twice."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import PARTITIONS, check_tables, check_topic, manifest, stored_reports
from tests.fakes.publisher import publishers

DEVICES = [f"d{number}" for number in range(6)]
ROUNDS = 20


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_over_sigkill(tmp_path: Path) -> None:
    """Over 20 SIGKILLs under load no acknowledged report is lost, and none is written twice.

    The topic holds each of them, each device's in order; the append-only table holds each offset exactly once, and the
    table by device equals the fold of the topic.
    """
    data = tmp_path / "data"
    acknowledged = dict.fromkeys(DEVICES, 0)
    with ChildDaemon(data) as daemon:
        daemon.apply(manifest(DEVICES))
        for number in range(ROUNDS):
            _load_until_killed(daemon, acknowledged, last=number == ROUNDS - 1)
            daemon.start()
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    topic = stored_reports(data)
    assert len(topic) == PARTITIONS
    assert min(acknowledged.values()) > 0
    check_topic(topic, acknowledged)
    check_tables(data / "sink.db", topic)


def _load_until_killed(daemon: ChildDaemon, acknowledged: dict[str, int], *, last: bool) -> None:
    with publishers(daemon.mqtt(), acknowledged):
        time.sleep(1.0 if last else random.uniform(0.05, 0.8))
        daemon.kill()
