"""Parts that the tests of queries share: a topic on real logs, read without threads; and topics whose actors run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from actors.log.batch import build_batches
from actors.log.disk import Disk
from actors.log.log import Log
from actors.log.lookup import LogLookup
from actors.log.reader import Fetched, LogReader
from actors.records import ID_HEADER, TAGS_HEADER, Record
from actors.topic_partition.actor import PartitionActor
from actors.topic_partition.partitioner import partition_for_key
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Topic
from tests.actors.log.parts import NOW, QuickDisk, open_log
from tests.actors.topic_partition.parts import SETTINGS, appending


class LogPartition:
    """A partition on a real log."""

    def __init__(self, folder: Path) -> None:
        self.log: Log = open_log(folder, QuickDisk())
        self.fetches = 0
        self._reader = LogReader(Disk())

    def append(self, *records: Record) -> None:
        self.log.append(build_batches(records, self.log.next_offset), sync=False, now=NOW)

    @property
    def start_offset(self) -> int:
        return self.log.view.start_offset

    @property
    def high_watermark(self) -> int:
        return self.log.view.end_offset

    async def fetch(self, offset: int, max_bytes: int) -> Fetched:
        await trio.lowlevel.checkpoint()
        self.fetches += 1
        return self._reader.fetch(self.log.view, offset, max_bytes)

    async def offset_of(self, timestamp: int) -> int:
        return LogLookup(Disk()).offset_of(self.log.view, timestamp)


class LogTopic:
    """A topic on real logs."""

    def __init__(self, folder: Path, partitions: int = 1) -> None:
        self.name = "t"
        self.partitions = [LogPartition(folder / f"t-{number}") for number in range(partitions)]

    def partition_for(self, key: bytes | None) -> int:
        return partition_for_key(key or b"", len(self.partitions))


def record(n: int, *, key: str | None = None, time: int | None = None, id: str = "", tags: str = "") -> Record:  # noqa: A002
    headers = [(ID_HEADER, id.encode())] if id else []
    headers += [(TAGS_HEADER, tags.encode())] if tags else []
    value = b'{"n": %d}' % n
    return Record(key.encode() if key is not None else None, value, 1000 + n if time is None else time, tuple(headers))


def values(messages: Sequence[tuple[int, Record]]) -> list[int]:
    """The numbers of messages, as `record` gave them."""
    return [int((one.value or b"")[6:-1]) for _, one in messages]


@asynccontextmanager
async def running_topics(folder: Path, **partitions: int) -> AsyncIterator[Topics]:
    """Topics with so many partitions each, whose actors run."""
    topics = Topics()
    actors = []
    async with trio.open_nursery() as nursery:
        for name, count in partitions.items():
            config = Topic(name=name, app="a", partitions=count, max_message_bytes=1000)
            topic = TopicReference(name, count, config.max_message_bytes)
            topic.app = "a"
            topics.add(topic)
            for number in range(count):
                place = folder / f"{name}-{number}"
                actor = PartitionActor(topic, number, folder=place, config=config, settings=SETTINGS, disk=QuickDisk())
                started = trio.Event()
                nursery.start_soon(actor.run, started.set)
                await started.wait()
                actors.append(actor)
        yield topics
        for actor in actors:
            actor.stop()


def named(topics: Topics, name: str) -> TopicReference:
    found = topics.get(name)
    assert found is not None
    return found


async def put(topic: TopicReference, number: int, *these: Record) -> None:
    append = appending(list(these))
    topic.partitions[number].submit(append)
    await append.reply.wait()
