"""MQTT clients that live on while the daemon dies and comes back: paho, with its state in memory and a new address."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MessageState
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

NEVER = 0xFFFF_FFFF
_WINDOW = 20


class Enduring:
    """A client with a persistent session in a thread of its own, which connects again whenever it has to.

    `address` says where the daemon is now; None: nowhere.
    """

    def __init__(self, client_id: str, username: str, password: str, *, mqtt5: bool = False) -> None:
        self.address: tuple[str, int] | None = None
        self.received: list[tuple[str, bytes, bool]] = []
        """Topic, payload, retain flag of each message, in order."""
        self.sessions_present: list[bool] = []
        """What each CONNACK said."""
        self.granted = threading.Event()
        self.problem = ""
        self._mqtt5 = mqtt5
        protocol = paho.MQTTv5 if mqtt5 else paho.MQTTv311
        options: dict[str, Any] = {} if mqtt5 else {"clean_session": False}
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, **options)
        self.client.username_pw_set(username, password)
        self.client.max_queued_messages_set(0)
        self.client.on_connect = self._connected
        self.client.on_message = self._message
        self.client.on_subscribe = lambda *_: self.granted.set()
        self._stopping = threading.Event()
        self._filters: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._live, name=client_id, daemon=True)

    def start(self, address: tuple[str, int], filters: Iterable[tuple[str, int]] = ()) -> None:
        """Connect, and at the first connection subscribe."""
        self.address = address
        self._filters = list(filters)
        self._thread.start()

    def stop(self) -> None:
        """Leave; the session stays."""
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def is_connected(self) -> bool:
        return bool(self.client.is_connected())

    def work(self) -> None:
        """What a connected client does, again and again; in its own thread, so that what it sends is in order."""

    def _live(self) -> None:
        while not self._stopping.is_set():
            address = self.address
            if address is None or not self._connect(address):
                time.sleep(0.02)
                continue
            while self.client.loop(0.01) == paho.MQTT_ERR_SUCCESS and not self._stopping.is_set():
                if self.is_connected():
                    self.work()
        self.client.disconnect()

    def _connect(self, address: tuple[str, int]) -> bool:
        options: dict[str, Any] = {}
        if self._mqtt5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = NEVER
            options = {"clean_start": False, "properties": properties}
        self._mend()
        try:
            self.client.connect(*address, keepalive=30, **options)
        except OSError:
            return False
        return True

    def _mend(self) -> None:
        """Paho forgets what it has released when two connections in a row fail, and publishes that anew."""
        with self.client._out_message_mutex:
            for message in self.client._out_messages.values():
                if message.state == MessageState.MQTT_MS_RESEND_PUBREL:
                    message.state = MessageState.MQTT_MS_WAIT_FOR_PUBCOMP

    def _connected(self, client: paho.Client, _data: object, flags: Any, reason: Any, _properties: object) -> None:
        if reason != 0:
            self.problem = f"CONNACK {reason}"
            return
        self.sessions_present.append(flags.session_present)
        if self._filters and not self.granted.is_set():
            client.subscribe(self._filters)

    def _message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.received.append((message.topic, message.payload, message.retain))


class EnduringPublisher(Enduring):
    """Publishes numbers to one topic, in order, at one QoS, as fast as its window allows; each once, for good."""

    def __init__(
        self,
        client_id: str,
        username: str,
        password: str,
        topic: str,
        qos: int,
        *,
        retain: bool = False,
        mqtt5: bool = False,
    ) -> None:
        super().__init__(client_id, username, password, mqtt5=mqtt5)
        self._retain = retain
        self._topic = topic
        self._qos = qos
        self._outstanding: set[int] = set()
        self.client.on_publish = lambda _client, _data, message_id, *_: self._outstanding.discard(message_id)
        self.active = threading.Event()
        """Set while it is to go on."""
        self.published = 0
        """How many are handed to the client; they are numbered from 1."""

    def work(self) -> None:
        """Keep a window full."""
        while self.active.is_set() and len(self._outstanding) < _WINDOW:
            self.published += 1
            payload = f"{self.client._client_id.decode()} {self.published}".encode()
            # Also where the connection turns out to be lost: it is sent over the next one.
            self._outstanding.add(self.client.publish(self._topic, payload, self._qos, retain=self._retain).mid)

    def is_done(self) -> bool:
        """Whether everything is acknowledged, for QoS 2 through PUBCOMP."""
        return not self._outstanding
