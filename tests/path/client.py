"""MQTT clients as people use them: paho, and a bare CONNECT for its code."""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Self

import paho.mqtt.client as paho

from actors.wire.mqtt import encode


class MqttClient:
    """A paho client in a thread of its own, that remembers what it heard and how its connection fared."""

    def __init__(
        self, address: tuple[str, int], username: str, password: str, *, keep_alive: int = 60, window: int = 20
    ) -> None:
        self.name = username.rpartition("/")[2]
        self._address = address
        self._keep_alive = keep_alive
        self._connected = threading.Event()
        self._subscribed = threading.Event()
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.disconnects: list[str] = []
        self.acknowledged: list[float] = []
        """When each report was acknowledged, in seconds of the monotonic clock."""
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=self.name)
        self.client.max_inflight_messages_set(window)
        self.client.username_pw_set(username, password)
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_publish = lambda *_: self.acknowledged.append(time.monotonic())
        self.client.on_disconnect = lambda *arguments: self.disconnects.append(str(arguments[3]))
        self.client.on_message = lambda *arguments: self.heard.put((arguments[2].topic, arguments[2].payload))

    def __enter__(self) -> Self:
        self.client.connect(*self._address, keepalive=self._keep_alive)
        self.client.loop_start()
        assert self._connected.wait(10), "not connected"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def report(self, topic: str, payload: bytes | str) -> None:
        """Publish with QoS 1 and wait until it is acknowledged."""
        self.publish(topic, payload).wait_for_publish(10)

    def publish(self, topic: str, payload: bytes | str) -> paho.MQTTMessageInfo:
        """Publish with QoS 1; paho keeps what its window does not let out yet."""
        return self.client.publish(topic, payload, qos=1)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe with QoS 1 and wait until it is granted."""
        self._subscribed.clear()
        self.client.subscribe(topic_filter, qos=1)
        assert self._subscribed.wait(10), "SUBACK did not come"


def connack_code(address: tuple[str, int], client_id: str, username: str, password: str) -> int:
    """The code with which a CONNECT is answered (MQTT 3.1.1, table 3.1)."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(encode.connect(client_id, username=username, password=password.encode()))
        return connection.recv(4)[3]
