"""The parking lot as its sensors and its drivers see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes.daemon import ChildDaemon
from tests.path.client import MqttClient

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "parking.yaml"
APP = ("city-parking-key", "city-parking-secret")
FIRST, SECOND = "lot-000001", "lot-000002"
TASK = "status-to-table"


def on(connector: str, settings: Mapping[str, Any]) -> str:
    """The example with its connection exchanged, and nothing else."""
    on_sqlite = "connector: sqlite\nsettings: {path: parking.db}"
    text = EXAMPLE.read_text()
    assert on_sqlite in text
    return text.replace(on_sqlite, f"connector: {connector}\nsettings: {json.dumps(settings)}")


def secret_of(sensor: str) -> str:
    """As the example writes it."""
    return sensor.replace("lot-", "lot-secret-")


def report(sensor: str, status: str) -> str:
    """What a sensor publishes; 0 is free, 1 is taken."""
    return json.dumps({"deviceId": sensor, "status": status})


class ParkingLot:
    """A daemon that runs the example; `applied` is what `penstock apply` printed."""

    def __init__(self, daemon: ChildDaemon, applied: str = "") -> None:
        self.daemon = daemon
        self.applied = applied

    def sensor(self, name: str, **options: Any) -> MqttClient:
        """A sensor, not connected yet."""
        return MqttClient(self.daemon.mqtt(), f"parking-sensor/{name}", secret_of(name), **options)

    def app(self) -> MqttClient:
        """The city's application as an MQTT client, not connected yet."""
        return MqttClient(self.daemon.mqtt(), *APP)

    def tell(self, **statuses: str) -> None:
        """Each sensor reports once (`lot_000001="0"`), is acknowledged, and its row stands in the table."""
        for name, status in statuses.items():
            sensor = name.replace("_", "-")
            with self.sensor(sensor) as client:
                client.report(f"parking-sensor/out/{sensor}", report(sensor, status))
        self.daemon.wait_lag_zero(TASK)

    def free(self) -> str:
        """What a driver is answered, byte for byte."""
        with self.daemon.gateway() as client:
            answer = client.get("/parking/free")
        assert answer.status_code == 200, answer.text
        return answer.text
