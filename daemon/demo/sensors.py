"""Simulated parking sensors: real MQTT clients, one thread each, as devices in the field would be."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from actors.errors import PenstockError

PRODUCT = "parking-sensor"


@dataclass
class Tally:
    """What all sensors together have sent; `states` holds each sensor's last acknowledged status."""

    published: int = 0
    acknowledged: int = 0
    connected: int = 0
    states: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sensor(threading.Thread):
    """One sensor: reports whether its lot is free, waits for the acknowledgement, waits a while, reports again."""

    def __init__(
        self, name: str, secret: str, address: tuple[str, int], tally: Tally, stopping: threading.Event
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._address = address
        self._tally = tally
        self._stopping = stopping
        self._was_connected = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311)
        self._client.username_pw_set(f"{PRODUCT}/{name}", secret)
        self._client.on_connect = self._connected

    def run(self) -> None:
        """Report until told to stop; the last report is waited for, so that every count is settled."""
        try:
            self._client.connect(*self._address, keepalive=30)
            self._client.loop_start()
            while not self._stopping.is_set():
                self._report(random.choice("01"))
                self._stopping.wait(random.uniform(0.02, 0.3))
        except OSError as error:
            self._tally.problem = f"sensor {self.name}: {error}"
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._tally.problem = f"sensor {self.name} is refused: {reason}"
            return
        with self._tally.lock:
            self._tally.connected += not self._was_connected
            self._was_connected = True

    def _report(self, status: str) -> None:
        payload = json.dumps({"deviceId": self.name, "status": status})
        info = self._client.publish(f"{PRODUCT}/out/{self.name}", payload, qos=1)
        with self._tally.lock:
            self._tally.published += 1
        while not info.is_published():
            info.wait_for_publish(timeout=1.0)
            if self._stopping.is_set() and not self._client.is_connected():
                return
        with self._tally.lock:
            self._tally.acknowledged += 1
            self._tally.states[self.name] = status


class Fleet:
    """All sensors of the lot."""

    def __init__(self, secrets: dict[str, str], address: tuple[str, int]) -> None:
        self.tally = Tally()
        self._stopping = threading.Event()
        self._sensors = [Sensor(name, secret, address, self.tally, self._stopping) for name, secret in secrets.items()]

    def start(self) -> None:
        """Let every sensor connect and report.

        Raises:
            PenstockError: this machine does not take so many.
        """
        try:
            for sensor in self._sensors:
                sensor.start()
        except RuntimeError as error:
            raise PenstockError(f"{len(self._sensors)} sensors are too many here ({error}): give fewer") from error

    def stop(self, timeout: float = 10.0) -> None:
        """Let every sensor finish the report that it is in, for at most `timeout` seconds each."""
        self._stopping.set()
        for sensor in self._sensors:
            if sensor.is_alive():
                sensor.join(timeout)
