"""A paho client of any level, with what the tests of rights ask of it."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LEVELS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


class Talker:
    """A client in a thread of its own that remembers what it is told; its session is kept where `kept` says so."""

    def __init__(
        self,
        address: tuple[str, int],
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        *,
        level: str = "3.1.1",
        kept: bool = False,
    ) -> None:
        self._address = address
        self._kept = kept
        self._is_5 = level == "5"
        more: dict[str, Any] = {} if self._is_5 else {"clean_session": not kept}
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=LEVELS[level], **more)
        if username is not None:
            self.client.username_pw_set(username, password)
        self._heard: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._connected: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._granted: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self._published: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._gone = threading.Event()
        self.client.on_connect = lambda *given: self._connected.put(str(given[3]))
        self.client.on_subscribe = lambda *given: self._granted.put([code.value for code in given[3]])
        self.client.on_publish = lambda *given: self._published.put(given[3].value)
        self.client.on_disconnect = lambda *_: self._gone.set()
        self.client.on_message = lambda *given: self._heard.put((given[2].topic, given[2].payload.decode()))

    def __enter__(self) -> Self:
        assert self.connect() == "Success"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def connect(self) -> str:
        """Connect; what CONNACK says, in paho's words."""
        more: dict[str, Any] = {}
        if self._is_5:
            more["properties"] = Properties(PacketTypes.CONNECT)
            more["properties"].SessionExpiryInterval = 3600 if self._kept else 0
            more["clean_start"] = not self._kept
        self.client.connect(*self._address, **more)
        self.client.loop_start()
        return self._connected.get(timeout=10)

    def vanish(self) -> None:
        """Lose the connection, without a DISCONNECT."""
        connection = self.client.socket()
        assert connection is not None
        self.client.on_disconnect = None
        self.client.loop_stop()
        connection.close()

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """What SUBACK says of each filter."""
        self.client.subscribe([(one, qos) for one in filters])
        return self._granted.get(timeout=10)

    def publish(self, topic: str, payload: str = "", *, retain: bool = False) -> int:
        """Publish with QoS 1; the reason code of PUBACK (below MQTT 5: always 0)."""
        self.client.publish(topic, payload, qos=1, retain=retain)
        return self._published.get(timeout=10)

    def hears(self, timeout: float = 10.0) -> tuple[str, str]:
        """The next message, as topic and payload."""
        return self._heard.get(timeout=timeout)

    def has_heard(self) -> list[tuple[str, str]]:
        """Everything up to now; asks for nothing more."""
        heard = []
        while not self._heard.empty():
            heard.append(self._heard.get())
        return heard

    def wait_gone(self, timeout: float = 10.0) -> None:
        """Wait until the connection has ended."""
        assert self._gone.wait(timeout)


def eventually(reached: Any, timeout: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
