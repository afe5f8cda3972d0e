"""The windows of numbered producers, by topic: read from the tails of the log when needed, and kept a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import trio

from actors.errors import ActorGone, DamagedLogError, OffsetOutOfRangeError
from actors.records import StoredRecord
from actors.topic_gateway.dedup import Window
from actors.topic_partition.gate import ORIGIN_HEADER
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference

# So many topics' windows are kept beyond those in use; the others are read back when they are asked for again.
_KEPT = 64
_FETCH_BYTES = 256 * 1024


class TopicWindow:
    """The window of one topic, and the way to wait for what others are storing.

    `logs` are all topics that its records lie in: itself first, then where its backlog policy diverts them to.
    """

    def __init__(self, logs: Sequence[TopicReference], size: int) -> None:
        self.logs = logs
        self.window = Window(size)
        self.users = 0
        self.stale = True
        self.reading = trio.Lock()
        self._settled = trio.lowlevel.ParkingLot()

    def settled(self, *, sure: bool = True) -> None:
        """Something that was under way is stored or not; where that is not `sure`, only the log can tell."""
        self.stale = self.stale or not sure
        self._settled.unpark_all()

    async def wait_settled(self) -> None:
        """Return once something that was under way is settled."""
        await self._settled.park()


class ProducerWindows:
    """Opens windows; `records` is how far back each reaches, over all partitions of its topic."""

    def __init__(self, records: int) -> None:
        self._records = records
        self._windows: OrderedDict[str, TopicWindow] = OrderedDict()

    async def open(self, logs: Sequence[TopicReference]) -> TopicWindow:
        """The window of a topic, as the logs have it: its own, and those of topics that its records are diverted to.

        Raises:
            ActorGone: a partition cannot be read now.
            StorageError: the disk does not give it.
        """
        topic = logs[0]
        size = max(1, self._records // len(topic.partitions))
        kept = self._windows.setdefault(topic.name, TopicWindow(logs, size))
        if kept.logs != logs:
            # Kept all the same: what others are storing is to be known.
            kept.logs, kept.stale = logs, True
        self._windows.move_to_end(topic.name)
        kept.users += 1
        try:
            async with kept.reading:
                while kept.stale:
                    await self._read(kept, size)
        finally:
            kept.users -= 1
        self._forget()
        return kept

    async def _read(self, kept: TopicWindow, size: int) -> None:
        while not kept.window.idle:
            await kept.wait_settled()
        # What becomes unsure from here on makes it stale anew.
        kept.stale = False
        window = Window(size)
        try:
            for log in kept.logs:
                for partition in log.partitions:
                    await _read_tail(window, kept.logs[0].name, partition, size)
        except BaseException:
            kept.stale = True
            raise
        kept.window = window

    def _forget(self) -> None:
        """Let the windows go that were not used for longest, where nothing is under way in them."""
        idle = [name for name, kept in self._windows.items() if kept.users == 0 and kept.window.idle]
        for name in idle[: max(0, len(self._windows) - _KEPT)]:
            del self._windows[name]


async def _read_tail(window: Window, topic: str, partition: PartitionReference, size: int) -> None:
    end = partition.high_watermark
    offset = max(partition.start_offset, end - size)
    while offset < end:
        try:
            fetched = await partition.fetch(offset, _FETCH_BYTES)
            records = fetched.records()
        except OffsetOutOfRangeError as error:
            if error.start <= offset:
                raise ActorGone(str(partition.partition)) from error  # the log was cut meanwhile: it is being restarted
            offset = error.start
            continue
        except DamagedLogError as error:
            offset = max(error.resume, offset + 1)
            continue
        at = partition.partition
        window.read_back(at, [record for record in records if _meant_for(record, at.topic) == topic])
        offset = fetched.next_offset
    await trio.lowlevel.checkpoint()


def _meant_for(record: StoredRecord, topic: str) -> str:
    """The topic that a record of a topic was meant for."""
    for name, value in record.headers:
        if name == ORIGIN_HEADER:
            return value.decode("utf-8", "replace")
    return topic
