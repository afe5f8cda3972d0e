"""Kill the daemon at random moments under load: nothing acknowledged is lost, nothing is written twice."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.crash.power import PowerSupply, note_syncs
from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import PARTITIONS, check_tables, check_topic, every_task, manifest, stored_reports
from tests.fakes.publisher import publishers

DEVICES = [f"d{number}" for number in range(6)]
ROUNDS = 20
# Small, so that segments are begun all the time, also when the daemon dies.
SEGMENT_BYTES = 200_000


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_over_sigkill(tmp_path: Path) -> None:
    """Over 20 SIGKILLs under load, every other one with a power cut, no acknowledged report is lost or written twice.

    The topic holds each of them, each device's in order; the append-only table holds each offset exactly once, and the
    table by device equals the fold of the topic. Some of the kills hit the start and the recovery.
    """
    data = tmp_path / "data"
    power = PowerSupply(tmp_path / "power")
    acknowledged = dict.fromkeys(DEVICES, 0)
    with ChildDaemon(
        data, PENSTOCK_LOG__SEGMENT_BYTES=str(SEGMENT_BYTES), before=note_syncs, **power.environment
    ) as daemon:
        daemon.apply(manifest(DEVICES))
        for number in range(ROUNDS):
            if number % 6 == 5:
                daemon.kill()
                daemon.kill_while_starting(random.uniform(0.0, 0.4))
                daemon.start()
            with publishers(daemon.mqtt(), acknowledged):
                time.sleep(random.uniform(0.05, 0.6))
                daemon.kill()
            if number % 2:
                power.cut(data / "topics")
            daemon.start()
        # A task that begins now reads what all the recoveries have left, from the first segment on.
        daemon.apply(every_task("late"))
        daemon.wait_lag_zero("latest", "every", "late")
        assert daemon.stop() == 0
    topic = stored_reports(data)
    assert len(topic) == PARTITIONS
    assert min(acknowledged.values()) > 0
    check_topic(topic, acknowledged)
    check_tables(data / "sink.db", topic, "every", "late")
