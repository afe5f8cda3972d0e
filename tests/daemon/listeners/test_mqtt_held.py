"""A real client, held back by a throttled topic for several of its keep alives."""

from __future__ import annotations

import threading
from pathlib import Path

import trio
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from actors.device_session.broker import open_broker
from actors.directory.directory import Directory
from actors.topic_partition.gate import GateState
from actors.topic_partition.topic import Topics
from config.settings import MqttListen, MqttSettings
from daemon.listeners.mqtt import MqttListener
from tests.actors.device_session.conftest import digest, fill, forward_rule
from tests.actors.topic_partition.parts import running, until

KEEP_ALIVE = 3
HELD_SECONDS = 3 * KEEP_ALIVE
SETTINGS = MqttSettings(listen=MqttListen(port=0), inflight_bytes=8 * 1024)


class Device:
    """A paho client in its own thread: what it sent, what was acknowledged, and whether it lost its connection."""

    def __init__(self, number: int, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.topic = f"sensor/out/lot-{number}"
        self.acknowledged = 0
        self.losses = 0
        self.connected = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"lot-{number}")
        self._client.username_pw_set(f"sensor/lot-{number}", f"secret-{number}")
        self._client.max_inflight_messages_set(200)
        self._client.on_connect = lambda *_: self.connected.set()
        self._client.on_disconnect = self._lost
        self._client.on_publish = self._acknowledged
        self._client.connect(host, int(port), keepalive=KEEP_ALIVE)
        self._client.loop_start()

    def send(self, count: int, size: int) -> None:
        payload = b'{"status":"0","note":"%s"}' % (b"x" * size)
        for _ in range(count):
            self._client.publish(self.topic, payload, qos=1)

    def close(self) -> None:
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _lost(self, *_: object) -> None:
        self.losses += 1

    def _acknowledged(self, *_: object) -> None:
        self.acknowledged += 1


async def test_a_device_that_is_held_back_keeps_its_connection(tmp_path: Path) -> None:
    """Throttled for three keep alives, one within its inflight bytes and one far past them: both stay, nothing is lost.

    The PINGREQ of the first is read and answered. That of the second lies unread behind its reports.
    """
    topics = Topics()
    directory = fill(Directory(digest))
    directory.put_rule(forward_rule("forward", "t"))
    broker = open_broker(SETTINGS, directory, topics)
    async with running(tmp_path / "t-0") as partition, trio.open_nursery() as nursery:
        topics.add(partition.topic)
        gate = partition.topic.gate
        listener = MqttListener(SETTINGS, broker)
        await nursery.start(lambda task_status: listener.run(task_status.started))
        few, many = [await trio.to_thread.run_sync(Device, number, listener.address) for number in (1, 2)]
        assert await trio.to_thread.run_sync(lambda: few.connected.wait(5) and many.connected.wait(5))
        gate.set(GateState.THROTTLED, "a group lags")
        few.send(10, 50)
        many.send(200, 10_000)
        await trio.sleep(HELD_SECONDS)
        assert (few.acknowledged, many.acknowledged) == (0, 0)
        assert (few.losses, many.losses) == (0, 0)
        assert broker.counters.pauses >= 1
        gate.set(GateState.OPEN)
        await until(lambda: (few.acknowledged, many.acknowledged) == (10, 200))
        assert partition.partition.high_watermark == 210
        assert (few.losses, many.losses, broker.counters.held_disconnects) == (0, 0, 0)
        for device in (few, many):
            await trio.to_thread.run_sync(device.close)
        listener.stop()
