"""One look at a topic as it grows: reads the partitions' files, as consumers do, and asks nothing of their actors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import trio

from actors.errors import ActorGone, DamagedLogError, OffsetOutOfRangeError, StorageError
from actors.records import StoredRecord
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference, Topics
from actors.topic_query.selection import Selection
from actors.topic_tail.buffer import Batch, TailBuffer
from config.resources import Mask

From: TypeAlias = Literal["earliest", "latest"] | int
"""Where a tail begins: the first message that is kept, the next one to come, or a time in ms since the epoch."""

Send: TypeAlias = Callable[[Batch, Mask | None], Awaitable[None]]
"""Sends a batch, of which the fields of a mask are not to be seen; returns once it has left."""

_FETCH_BYTES = 256 * 1024
# How often is looked whether the topic is still there, and has more partitions; and whether a partition is back.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class TailLimits:
    """How much may wait for a reader, how much is sent at once, and how long it may take none of it (seconds)."""

    records: int = 2000
    bytes: int = 1024 * 1024
    send_records: int = 200
    send_bytes: int = 128 * 1024
    stall: float = 60.0


class Tail:
    """Follows one topic until it is deleted, its reader stalls, or somebody calls `end`.

    What was there when it began is read as fast as it is taken. Of what comes later, the oldest gives way where the
    reader does not keep up, and is counted. A partition that is started anew is waited for.
    """

    def __init__(self, topics: Topics, topic: TopicReference, selection: Selection, limits: TailLimits) -> None:
        self._topics = topics
        self._topic = topic
        self._name = topic.name
        self._selection = selection
        self._wanted = selection.matcher()
        self._limits = limits
        self._buffer = TailBuffer(limits.records, limits.bytes)
        self._where: From = "latest"
        self._begins: dict[int, int] = {}
        self._known: dict[int, int] = {}
        self._filled = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self._over = trio.Event()
        self._reason = ""

    async def begin(self, where: From) -> None:
        """Find out where to begin in each partition: what is appended from now on is seen.

        Raises:
            StorageError: the disk does not say where a time begins.
        """
        self._where = where
        for number in self._numbers():
            # One that is starting, or has failed, begins once it is there.
            with suppress(ActorGone):
                await self._begin(number)

    async def _begin(self, number: int) -> int:
        partition = self._topic.partitions[number]
        self._known[number] = partition.high_watermark
        self._begins[number] = offset = await _position(partition, self._where)
        return offset

    async def follow(self, send: Send) -> str:
        """Send what is there and what comes; returns why it ended. What `send` raises ends it too."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all, send)
            nursery.start_soon(self._follow_topic, nursery)
            await self._over.wait()
            nursery.cancel_scope.cancel()
        return self._reason

    def end(self, reason: str) -> None:
        """Let `follow` return; the first reason counts."""
        self._reason = self._reason or reason
        self._over.set()

    def _numbers(self) -> Iterable[int]:
        """The partitions in which there can be something that is looked for."""
        if self._selection.partition is not None:
            return (self._selection.partition,)
        if self._selection.key is not None:
            return (self._topic.partition_for(self._selection.key),)
        return range(len(self._topic.partitions))

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _follow_topic(self, nursery: trio.Nursery) -> None:
        """Have a reader for each partition, also for those that are added; notice when the topic is gone."""
        read: set[int] = set()
        while True:
            topic = self._topics.get(self._name)
            # There are never fewer partitions: this is another topic of the same name.
            if topic is None or len(topic.partitions) < len(self._topic.partitions):
                self.end(f"topic {self._name} was deleted")
                return
            self._topic = topic
            for number in set(self._numbers()) - read:
                # Everything in a partition that is added meanwhile is new.
                nursery.start_soon(self._read, number, 0 if read else self._begins.get(number))
            read.update(self._numbers())
            await trio.sleep(_LOOK_SECONDS)

    async def _read(self, number: int, offset: int | None) -> None:
        while True:
            partition = self._topic.partitions[number]
            try:
                if offset is None:
                    offset = await self._begin(number)
                await partition.wait_appended(offset)
                fetched = await partition.fetch(offset, _FETCH_BYTES)
                records = fetched.records()
            except ActorGone:
                offset = await self._wait_back(number, offset)
            except OffsetOutOfRangeError as gone:
                offset = self._skip(offset or 0, gone.start)
            except DamagedLogError as damage:
                offset = self._tell_damage(offset or 0, damage)
            except StorageError as error:
                self._tell(str(error))
                await trio.sleep(_LOOK_SECONDS)
            else:
                await self._take(number, records)
                offset = fetched.next_offset

    async def _wait_back(self, number: int, offset: int | None) -> int | None:
        """A partition is being started anew: where to go on, once it may be there."""
        await trio.sleep(_LOOK_SECONDS)
        try:
            end = self._topic.partitions[number].high_watermark
        except ActorGone:
            return offset
        # Without `sync`, a crash may have taken what was seen already.
        return end if offset is None else min(offset, end)

    async def _take(self, number: int, records: Sequence[StoredRecord]) -> None:
        known = self._known.get(number, 0)
        for record in records:
            if not self._wanted(record):
                continue
            if record.offset < known:
                while not self._buffer.fits(record):
                    await self._room.park()
            self._buffer.push(number, record)
            self._filled.set()
        # Whole batches that nobody looks for are no reason to keep the others from their turn.
        await trio.lowlevel.checkpoint()

    def _skip(self, offset: int, start: int) -> int:
        if start > offset:
            self._buffer.miss(start - offset)
            self._filled.set()
        return max(start, offset)

    def _tell_damage(self, offset: int, damage: DamagedLogError) -> int:
        self._tell(str(damage))
        return max(damage.resume, offset + 1)

    def _tell(self, text: str) -> None:
        self._buffer.notice(text)
        self._filled.set()

    # --- sending -----------------------------------------------------------------------------------------------------

    async def _send_all(self, send: Send) -> None:
        limits = self._limits
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            while batch := self._buffer.take(limits.send_records, limits.send_bytes):
                self._room.unpark_all()
                with trio.move_on_after(limits.stall) as patience:
                    await send(batch, self._topic.mask_for(None))
                if patience.cancelled_caught:
                    self.end(f"nothing was taken for {limits.stall:g} seconds")
                    return
                # Producers have their turn between any two batches.
                await trio.lowlevel.checkpoint()


async def _position(partition: PartitionReference, where: From) -> int:
    match where:
        case "earliest":
            return partition.start_offset
        case "latest":
            return partition.high_watermark
        case int() as timestamp:
            return await partition.offset_of(timestamp)
