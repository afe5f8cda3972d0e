"""Parts that the tests of a partition share: a running actor on real files."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from actors.records import Record
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.messages import Append
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference
from config.resources import Topic
from config.settings import LogSettings
from tests.actors.log.parts import NOW, FaultyDisk

SETTINGS = LogSettings(reserve_bytes=0, reserve_percent=0.0, flush_interval=0.05, retention_interval=3600)


class HeldDisk(FaultyDisk):
    """A disk whose syncs of a log can be held back."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def sync(self, descriptor: int) -> None:
        self.entered.set()
        assert self.go.wait(10)
        super().sync(descriptor)


class Running:
    """A partition that runs: its actor, and the reference others have of it."""

    def __init__(self, actor: PartitionActor, topic: TopicReference, nursery: trio.Nursery) -> None:
        self.actor = actor
        self.topic = topic
        self.nursery = nursery

    @property
    def partition(self) -> PartitionReference:
        return self.topic.partitions[0]

    def submit(self, these: list[Record]) -> Append:
        message = appending(these)
        self.partition.submit(message)
        return message

    async def append(self, these: list[Record]) -> int:
        return await self.submit(these).reply.wait()

    async def ask(self, message: Any) -> Any:
        """Leave a message and wait for its answer."""
        self.partition.submit(message)
        return await message.reply.wait()


def appending(these: list[Record]) -> Append:
    return Append(these, sum(len(record.key or b"") + len(record.value or b"") for record in these))


@asynccontextmanager
async def running(
    folder: Path, disk: FaultyDisk | None = None, settings: LogSettings = SETTINGS, **topic: Any
) -> AsyncIterator[Running]:
    """Run a partition in a folder; at the end of the block it is stopped gracefully."""
    config = Topic(name="t", app="a", **topic)
    reference = TopicReference("t", 1, config.max_message_bytes)
    actor = PartitionActor(reference, 0, folder=folder, config=config, settings=settings, disk=disk, clock=lambda: NOW)
    async with trio.open_nursery() as nursery:
        started = trio.Event()
        nursery.start_soon(actor.run, started.set)
        await started.wait()
        yield Running(actor, reference, nursery)
        actor.stop()


async def in_thread(wait: threading.Event) -> None:
    """Wait for what another thread signals."""
    assert await trio.to_thread.run_sync(wait.wait, 10)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens by itself, for five seconds at the most."""
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is inside the part under test
            await trio.sleep(0.01)
