"""A partition whose disk is slow: its publishers wait, with their connections, and nobody else notices."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.device_session.broker import Broker, open_broker
from actors.directory.directory import Directory
from actors.log.disk import Disk
from actors.runtime.actor import Child
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Topic
from config.settings import LogSettings, MqttListen, MqttSettings
from daemon.listeners.mqtt import MqttListener
from tests.actors.device_session.conftest import GOOD, digest, fill
from tests.actors.log.parts import QuickDisk
from tests.path.client import MqttClient

LONG = bool(os.environ.get("PENSTOCK_LONG_TESTS"))
# Several times one and a half keep-alive periods, after which a server gives a silent client up (MQTT-3.1.2-24).
HELD_SECONDS = 60 if LONG else 12
KEEP_ALIVE = 3
WINDOW = 20
QUEUED = 500


class SlowDisk(Disk):
    """A disk whose syncs take `seconds`, and do not end at all while it is `held`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._go = threading.Event()
        self._go.set()

    def sync(self, descriptor: int) -> None:
        time.sleep(self.seconds)
        self._go.wait()
        super().sync(descriptor)

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()


class Site:
    """A listener, a topic of two partitions with a disk each, and devices whose reports go to one or the other."""

    def __init__(self, broker: Broker, topic: TopicReference, address: str) -> None:
        self.broker = broker
        self.topic = topic
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))

    def device(self, partition: int) -> MqttClient:
        """A device whose reports go to that partition, not connected yet."""
        number = next(n for n in (1, 2, 3) if self.topic.partition_for(b"lot-%d" % n) == partition)
        secret = f"secret-{number}"
        return MqttClient(self._address, f"sensor/lot-{number}", secret, keep_alive=KEEP_ALIVE, window=WINDOW)


@asynccontextmanager
async def site(folder: Path, *disks: Disk) -> AsyncIterator[Site]:
    topics, settings = Topics(), MqttSettings(listen=MqttListen(port=0))
    config = Topic(name="reports", app="city", partitions=len(disks))
    topic = TopicReference("reports", len(disks), config.max_message_bytes)
    topics.add(topic)
    broker = open_broker(settings, fill(Directory(digest)), topics)
    listener = MqttListener(settings, broker, drain_seconds=5)
    partitions = [
        PartitionActor(topic, number, folder=folder / str(number), config=config, settings=LogSettings(), disk=disk)
        for number, disk in enumerate(disks)
    ]
    async with trio.open_nursery() as nursery:
        for child in (*partitions, listener):
            await nursery.start(_run, child)
        yield Site(broker, topic, listener.address)
        listener.stop()
        for partition in partitions:
            partition.stop()


async def _run(child: Child, *, task_status: trio.TaskStatus[None]) -> None:
    await child.run(task_status.started)


async def in_thread(work: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(work)


def out(device: MqttClient) -> str:
    return f"sensor/out/{device.name}"


async def test_a_slow_disk_holds_the_publishers_of_its_partition_and_nobody_else(tmp_path: Path) -> None:
    """With syncs of 0.8 s in one partition, its reports take as long; those of the other one never do."""
    slow_disk = SlowDisk(0.8)

    async with site(tmp_path, slow_disk, QuickDisk()) as here:
        slow_times: list[float] = []
        fast_times: list[float] = []

        def talk() -> None:
            with here.device(0) as slow, here.device(1) as fast:
                end = time.monotonic() + 1.5
                waiting = threading.Thread(target=report_until, args=(slow, end, slow_times))
                waiting.start()
                report_until(fast, end, fast_times)
                waiting.join()
                assert slow.disconnects == fast.disconnects == []

        await in_thread(talk)
        watermarks = [partition.high_watermark for partition in here.topic.partitions]
    assert min(slow_times) >= 0.8
    assert len(fast_times) > 50
    assert max(fast_times) < 0.6, "somebody else waited for the slow disk"
    assert watermarks == [len(slow_times), len(fast_times)]


def report_until(device: MqttClient, end: float, times: list[float]) -> None:
    """Report again and again, and note how long each acknowledgement took."""
    while time.monotonic() < end:
        began = time.monotonic()
        device.report(out(device), GOOD)
        times.append(time.monotonic() - began)


@pytest.mark.timeout(HELD_SECONDS + 100)
async def test_a_held_client_keeps_its_connection(tmp_path: Path) -> None:
    """A client with keep alive 3 and a window of 20, held for several keep-alive periods, is not disconnected.

    None of its reports is acknowledged meanwhile, its pings are answered, and what it had queued far beyond its window
    is stored once the disk goes on: each report once, in order, over the same connection.
    """
    disk = SlowDisk()

    async with site(tmp_path, disk, QuickDisk()) as here:

        def talk() -> None:
            with here.device(0) as held, here.device(1) as other:
                held.report(out(held), GOOD)
                disk.hold()
                try:
                    reports = [held.publish(out(held), b'{"status":"1","seq":%d}' % n) for n in range(QUEUED)]
                    end = time.monotonic() + HELD_SECONDS
                    while time.monotonic() < end:
                        other.report(out(other), GOOD)
                        time.sleep(0.2)
                    assert len(held.acknowledged) == 1
                    assert held.disconnects == []
                finally:
                    disk.release()
                for report in reports:
                    report.wait_for_publish(10)
                assert len(held.acknowledged) == 1 + QUEUED
                assert held.disconnects == other.disconnects == []

        await in_thread(talk)
        assert here.broker.counters.held_disconnects == 0
        assert here.broker.counters.keep_alive_expired == 0
        partition = here.topic.partitions[0]
        stored = (await partition.fetch(0, 10_000_000)).records()
    values = [record.value for record in stored]
    assert values == [GOOD] + [b'{"status":"1","seq":%d}' % n for n in range(QUEUED)]
