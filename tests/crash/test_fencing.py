"""Two daemons that take themselves for the same one: what a copied folder, or a restart elsewhere, can lead to."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import check_tables, check_topic, manifest, stored_reports
from tests.fakes.publisher import publishers

DEVICES = [f"d{number}" for number in range(6)]
TASKS = ("latest", "every")
# So that neither is through before the other has begun.
SMALL_BATCHES = {"PENSTOCK_TASKS__BATCH_ROWS": "20"}


def test_two_daemons_on_one_sink_write_each_offset_once(tmp_path: Path) -> None:
    """The later claim fences the earlier writer, in turns: whoever writes, each offset is in the table exactly once."""
    acknowledged = dict.fromkeys(DEVICES, 0)
    sink = tmp_path / "sink.db"
    stopped = manifest(DEVICES, connection=f"connector: sqlite\nsettings: {{path: {sink}}}").replace(
        "\nsource:", "\nenabled: false\nsource:"
    )
    first, second = tmp_path / "first", tmp_path / "second"
    with ChildDaemon(first) as daemon:
        daemon.apply(stopped)
        with publishers(daemon.mqtt(), acknowledged):
            time.sleep(1)
        assert daemon.stop() == 0
    shutil.copytree(first, second)
    with ChildDaemon(first, **SMALL_BATCHES) as one, ChildDaemon(second, **SMALL_BATCHES) as other:
        for task in TASKS:
            for daemon in (one, other):
                with daemon.control() as client:
                    assert client.post(f"/api/v1/tasks/{task}/start").status_code == 200
        one.wait_lag_zero(*TASKS)
        other.wait_lag_zero(*TASKS)
        assert one.stop() == other.stop() == 0
    topic = stored_reports(first)
    check_topic(topic, acknowledged)
    check_tables(sink, topic)
    assert "lost a partition" in one.log.read_text() + other.log.read_text()
