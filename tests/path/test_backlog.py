"""Backlog policies end to end: a daemon, real devices, a task that is away, and the command line."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes.daemon import ChildDaemon
from tests.path.client import MqttClient

MANIFEST = """
kind: app
name: city
key: city-key
secret: city-secret
---
{kind: product, app: city, name: sensor}
---
{kind: device, app: city, product: sensor, name: d1, secret: d1-secret}
---
kind: topic
app: city
name: lot
partitions: 2
backlog: {limit: {messages: 20}, action: ACTION}
---
{kind: topic, app: city, name: ditch, partitions: 3}
---
{kind: rule, app: city, name: r, from: {product: sensor}, to: [{topic: lot}], key: n}
---
{kind: connection, app: city, name: db, connector: sqlite, settings: {path: lot.db}}
---
kind: task
app: city
name: to-table
source: {topic: lot, start: earliest, fields: [{name: n, path: n, type: integer}]}
target: {connection: db, table: Lot, create: true, columns: {N: n}}
"""


class World:
    """A daemon with a policy, a device, and the table that its reports end up in."""

    def __init__(self, daemon: ChildDaemon, action: str) -> None:
        self.daemon = daemon
        daemon.apply(MANIFEST.replace("ACTION", action))
        self.sent = 0

    def device(self, **options: Any) -> MqttClient:
        return MqttClient(self.daemon.mqtt(), "sensor/d1", "d1-secret", **options)

    def report(self, client: MqttClient, count: int) -> None:
        for _ in range(count):
            client.report("sensor/out/d1", json.dumps({"n": self.sent}))
            self.sent += 1

    def task(self, verb: str) -> None:
        assert self.daemon.penstock("task", verb, "to-table").returncode == 0

    def fall_behind(self, client: MqttClient) -> None:
        """The task has begun, and is away; more waits for it than the policy allows."""
        self.report(client, 3)
        self.daemon.wait_lag_zero("to-table")
        self.task("stop")
        self.report(client, 21)  # the limit is not passed before the last of them is acknowledged

    def wait_gate(self, state: str, also: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        status = self.daemon.wait_status(
            "topics/lot", lambda status: status["backlog"]["state"] == state and also(status["backlog"])
        )
        found: dict[str, Any] = status["backlog"]
        return found

    def rows(self) -> list[int]:
        with sqlite3.connect(self.daemon.data / "lot.db") as connection:
            return [number for (number,) in connection.execute("SELECT N FROM Lot ORDER BY N")]


def test_diverted_reports_come_home_after_a_crash_in_between(folder: Path) -> None:
    """Past the limit reports go elsewhere, over a SIGKILL too; once drained new ones stay, the others are brought."""
    with ChildDaemon(folder) as daemon:
        world = World(daemon, "divert, divert_to: ditch")
        with world.device() as client:
            world.fall_behind(client)
            assert world.wait_gate("diverted")["reason"].startswith("group to-table lags 21 messages of 20")
            world.report(client, 10)
        refused = daemon.penstock("topic", "bring-home", "lot")
        assert refused.returncode != 0
        assert "still diverts its records to ditch" in refused.stderr
        daemon.kill()
        daemon.start()
        with world.device() as client:
            world.report(client, 10)
        assert world.wait_gate("diverted")["diverted"] == 10  # since the start
        assert daemon.status("topics/ditch")["messages"] == 20
        world.task("start")
        world.wait_gate("open")
        with world.device() as client:
            world.report(client, 5)
        brought = daemon.penstock("topic", "bring-home", "lot")
        assert brought.returncode == 0, brought.stderr
        assert "20 records of topic lot are home, from ditch" in brought.stdout
        daemon.wait_lag_zero("to-table")
        assert world.rows() == list(range(world.sent))
        assert "0 records of topic lot are home" in daemon.penstock("topic", "bring-home", "lot").stdout
        assert daemon.stop() == 0


def test_a_throttled_daemon_drains_without_delay(folder: Path) -> None:
    """What devices have in flight is stored and acknowledged at the drain, however throttled their topic is."""
    with ChildDaemon(folder) as daemon:
        world = World(daemon, "throttle")
        with world.device() as client:
            world.fall_behind(client)
            world.wait_gate("throttled")
            before = len(client.acknowledged)
            for number in range(5):
                client.publish("sensor/out/d1", json.dumps({"n": 1000 + number}))
            time.sleep(1)
            assert len(client.acknowledged) == before
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 8
            assert len(client.acknowledged) == before + 5


def test_rejected_devices_are_told_apart_from_lost_ones(folder: Path) -> None:
    """Refused reports are counted at the topic and the device's last words name the policy; metrics carry it."""
    environment = {"PENSTOCK_MQTT__REFUSED_TIMEOUT": "0.5"}
    with ChildDaemon(folder, **environment) as daemon:
        world = World(daemon, "reject")
        with world.device() as client:
            world.fall_behind(client)
            world.wait_gate("rejecting")
            client.publish("sensor/out/d1", json.dumps({"n": world.sent}))
            daemon.wait_log("its reports are refused, and were not acknowledged for 0.5 s: topic lot takes no records")
            with daemon.control() as control:
                metrics = control.get("/metrics").text
            assert 'penstock_topic_gate_state{state="rejecting",topic="lot"} 1' in metrics
            assert world.wait_gate("rejecting")["refused"] >= 1
            world.task("start")
            world.wait_gate("open")
            daemon.wait_status("tasks/to-table", lambda status: status["lag"] == 0 and len(world.rows()) >= 25)
            assert set(world.rows()) == set(range(world.sent + 1))  # sent again by the client, and taken now
