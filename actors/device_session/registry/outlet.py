"""Records that wait to be appended to one topic: bounded, in order; past the bound the oldest goes for the newest."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from actors.device_session.targets import PartitionTarget, TopicLookup, TopicTarget
from actors.errors import PenstockError
from actors.records import Record
from actors.runtime.reply import Reply
from actors.topic_partition.gate import ORIGIN_HEADER
from actors.topic_partition.messages import Append

# What one round takes: a commit's worth, and no more than a partition's mailbox has room for.
_ROUND_BYTES: Final = 256 * 1024
# A record's weight in memory beside its key and value.
_OVERHEAD: Final = 200


class TopicGone(PenstockError):  # noqa: N818 - like ActorGone
    """There is no such topic any more."""


class Outlet:
    """Records for one topic: what failed is tried first, then what waits; only what waits is bounded, by `capacity`."""

    __slots__ = ("_capacity", "_size", "_topics", "_under_way", "_waiting", "topic")

    def __init__(self, topic: str, topics: TopicLookup, capacity: int) -> None:
        self.topic = topic
        self._topics = topics
        self._capacity = capacity
        self._size = 0
        self._waiting: deque[Record] = deque()
        # Taken for a round, and not stored yet.
        self._under_way: list[Record] = []

    def __len__(self) -> int:
        """How many records are not stored yet."""
        return len(self._waiting) + len(self._under_way)

    def offer(self, record: Record) -> int:
        """Take a record without waiting; returns how many of the oldest had to go for it."""
        self._waiting.append(record)
        self._size += _weight(record)
        gone = 0
        while self._size > self._capacity and len(self._waiting) > 1:
            self._size -= _weight(self._waiting.popleft())
            gone += 1
        return gone

    def clear(self) -> int:
        """Give up everything; returns how many records that was."""
        gone = len(self)
        self._waiting.clear()
        self._under_way.clear()
        self._size = 0
        return gone

    async def round(self) -> int:
        """Append about a commit's worth, and wait until it is stored.

        What failed is the beginning of the next round. Returns how many records had to go: those larger than the topic
        takes.

        Raises:
            TopicGone: there is no topic to append to.
            PenstockError: not everything was stored, for this reason.
        """
        if not self._under_way:
            self._take()
        home, target = self._topics.get(self.topic), self._topics.route(self.topic)
        if home is None or target is None:
            raise TopicGone(f"there is no topic {self.topic}, or it takes no records")
        too_large = self._leave_out_larger(min(home.max_message_bytes, target.max_message_bytes))
        await self._append(home, target)
        return too_large

    async def _append(self, home: TopicTarget, target: TopicTarget) -> None:
        headers = () if target is home else ((ORIGIN_HEADER, home.name.encode()),)
        left: dict[int, list[Record]] = {}
        for record in self._under_way:
            left.setdefault(target.partition_for(record.key), []).append(record)
        asked = {number: _submit(target.partitions[number], some, headers) for number, some in left.items()}
        failure: PenstockError | None = None
        try:
            for number, reply in asked.items():
                try:
                    await reply.wait()
                except PenstockError as error:
                    failure = error
                else:
                    stored = left.pop(number)
                    if headers:
                        home.gate.diverted += len(stored)
        finally:
            # Also where it is cancelled: what is known to be stored is not stored again.
            self._under_way = [record for some in left.values() for record in some]
        if failure is not None:
            raise failure

    def _take(self) -> None:
        size = 0
        while self._waiting and size < _ROUND_BYTES:
            record = self._waiting.popleft()
            size += _weight(record)
            self._under_way.append(record)
        self._size -= size

    def _leave_out_larger(self, most: int) -> int:
        fitting = [record for record in self._under_way if _size(record) <= most]
        too_large = len(self._under_way) - len(fitting)
        self._under_way = fitting
        return too_large


def _submit(
    partition: PartitionTarget, records: Sequence[Record], headers: tuple[tuple[str, bytes], ...]
) -> Reply[int]:
    reply: Reply[int] = Reply()
    if headers:
        records = [record._replace(headers=(*record.headers, *headers)) for record in records]
    try:
        partition.submit(Append(records, sum(map(_size, records)), reply))
    except PenstockError as error:
        reply.fail(error)
    return reply


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")


def _weight(record: Record) -> int:
    return _size(record) + _OVERHEAD
