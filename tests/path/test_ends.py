"""How it ends and goes on: a drain under load, and a copy made under load on which another daemon works."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tests.fakes.daemon import ChildDaemon
from tests.fakes.numbered import SQLITE, check_tables, check_topic, manifest, stored_reports
from tests.fakes.publisher import publishers

DEVICES = [f"d{number}" for number in range(6)]


def test_a_drain_under_load_keeps_what_was_acknowledged_and_ends_in_time(folder: Path) -> None:
    """SIGTERM: intake ends, what was taken is acknowledged and moved, the exit code is 0; the next start finds it."""
    acknowledged = dict.fromkeys(DEVICES, 0)
    with ChildDaemon(folder) as daemon:
        daemon.apply(manifest(DEVICES))
        with publishers(daemon.mqtt(), acknowledged):
            daemon.wait_status("tasks/every", lambda status: status["rows"] > 1000)
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 10
        assert "did not drain in time" not in daemon.log.read_text()
        check_topic(stored_reports(folder), acknowledged)
        daemon.start()
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    check_tables(folder / "sink.db", stored_reports(folder))


def test_a_drain_does_not_wait_for_a_sink_that_does_not_answer(folder: Path) -> None:
    """A stop while another program holds the sink ends within its deadline; what waits in the topic is moved later."""
    acknowledged = dict.fromkeys(DEVICES, 0)
    with ChildDaemon(folder) as daemon:
        daemon.apply(manifest(DEVICES, connection=SQLITE.replace("sink.db", "sink.db, busy_timeout_ms: 200")))
        with publishers(daemon.mqtt(), acknowledged):
            daemon.wait_status("tasks/every", lambda status: status["rows"] > 1000)
            database = sqlite3.connect(folder / "sink.db", isolation_level=None, timeout=10)
            database.execute("BEGIN EXCLUSIVE")
            daemon.wait_status("tasks/every", lambda status: status["holding"])
            assert daemon.stop() == 0
            database.close()
        daemon.start()
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    topic = stored_reports(folder)
    check_topic(topic, acknowledged)
    check_tables(folder / "sink.db", topic)


def test_a_backup_under_load_is_one_moment_and_runs(folder: Path, tmp_path: Path) -> None:
    """A copy made while reports come holds all that was acknowledged before; a daemon on it moves each offset once."""
    acknowledged = dict.fromkeys(DEVICES, 0)
    copy = tmp_path / "copy"
    with ChildDaemon(folder) as daemon:
        daemon.apply(manifest(DEVICES))
        with publishers(daemon.mqtt(), acknowledged) as crowd:
            daemon.wait_status("tasks/every", lambda status: status["rows"] > 1000)
            before = {publisher.name: publisher.acknowledged for publisher in crowd}
            made = daemon.penstock("backup", str(copy))
            assert made.returncode == 0, made.stderr
        assert daemon.stop() == 0
    with ChildDaemon(copy) as daemon:
        daemon.wait_lag_zero("latest", "every")
        with publishers(daemon.mqtt(), dict(before)) as crowd:
            time.sleep(0.2)
        assert all(publisher.acknowledged > before[publisher.name] for publisher in crowd), "secrets work on the copy"
        daemon.wait_lag_zero("latest", "every")
        assert daemon.stop() == 0
    topic = stored_reports(copy)
    check_topic(topic, before)
    check_tables(copy / "sink.db", topic)
