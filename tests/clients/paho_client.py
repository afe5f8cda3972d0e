"""paho-mqtt, the client library of most programs in Python."""

from __future__ import annotations

import queue
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.clients.visits import SECRET, Place, Report, Visit

_LEVELS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
_PATIENCE = 10.0


class Paho:
    """A client in a thread of its own."""

    levels = tuple(_LEVELS)
    transports = ("tcp", "tls", "websocket")

    def visit(self, place: Place, visit: Visit) -> Report:
        """As `Client.visit`."""
        client = _client(place, visit)
        connected: queue.SimpleQueue[bool] = queue.SimpleQueue()
        subscribed: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        client.on_connect = lambda *given: connected.put(given[2].session_present)
        client.on_subscribe = lambda *given: subscribed.put(given[3])
        client.on_message = lambda *given: heard.put(given[2].payload.decode())
        client.connect(*place.address(visit.transport), keepalive=30, **_session(visit))
        client.loop_start()
        try:
            # MQTT 3.1 has no such flag.
            present = connected.get(timeout=_PATIENCE) if visit.level != "3.1" else None
            if visit.subscribe:
                client.subscribe(visit.topic, qos=2)
                assert [code.value for code in subscribed.get(timeout=_PATIENCE)] == [2]
            for payload, qos in visit.publish:
                client.publish(visit.topic, payload, qos).wait_for_publish(_PATIENCE)
            return Report(present, [heard.get(timeout=_PATIENCE) for _ in range(visit.hear)])
        finally:
            client.disconnect()
            client.loop_stop()


def _client(place: Place, visit: Visit) -> paho.Client:
    clean = {} if visit.level == "5" else {"clean_session": not visit.kept}
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        client_id=visit.name,
        protocol=_LEVELS[visit.level],
        transport="websockets" if visit.transport == "websocket" else "tcp",
        **clean,
    )
    client.username_pw_set(visit.username, SECRET)
    if visit.transport == "tls":
        client.tls_set(ca_certs=str(place.authority))
    return client


def _session(visit: Visit) -> dict[str, Any]:
    if visit.level != "5":
        return {}
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600 if visit.kept else 0
    return {"clean_start": not visit.kept, "properties": properties}
