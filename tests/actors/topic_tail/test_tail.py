"""A tail over a partition that does what a test wants of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
import trio.testing

from actors.errors import DamagedLogError, OffsetOutOfRangeError
from actors.records import StoredRecord
from actors.topic_partition.topic import TopicReference, Topics
from actors.topic_query.selection import Selection
from actors.topic_tail.buffer import Batch
from actors.topic_tail.tail import Tail, TailLimits
from config.resources import Mask


class Fetch:
    """What one fetch brings."""

    def __init__(self, offsets: range) -> None:
        self.next_offset = offsets.stop
        self._offsets = offsets

    def records(self) -> list[StoredRecord]:
        return [StoredRecord(None, b"1", 0, (), offset) for offset in self._offsets]


class Partition:
    """Ten messages, of which the first were deleted by retention and one is damaged."""

    start_offset, high_watermark = 0, 10

    async def wait_appended(self, offset: int) -> None:
        if offset >= self.high_watermark:
            await trio.sleep_forever()

    async def fetch(self, offset: int, _max_bytes: int) -> Fetch:
        if offset < 3:
            raise OffsetOutOfRangeError("gone", start=3)
        if offset == 5:
            raise DamagedLogError("segment 0: offset 5 is damaged", resume=6)
        return Fetch(range(offset, 5 if offset < 5 else self.high_watermark))


def over(partition: Any, limits: TailLimits | None = None) -> Tail:
    topics, topic = Topics(), TopicReference("reports", 1, 1024)
    topic.partitions[0] = partition
    topics.add(topic)
    return Tail(topics, topic, Selection(), limits or TailLimits())


async def run(tail: Tail, enough: Callable[[list[Batch]], bool]) -> list[Batch]:
    """Follow from the beginning until enough was sent."""
    sent: list[Batch] = []

    async def send(batch: Batch, mask: Mask | None) -> None:
        sent.append(batch)
        if enough(sent):
            tail.end("enough")

    await tail.begin("earliest")
    with trio.fail_after(5):
        assert await tail.follow(send) == "enough"
    return sent


async def test_what_retention_took_is_missed_and_damage_is_told() -> None:
    """A reader hears of what it cannot have, and gets everything before and after it, in order."""
    sent = await run(
        over(Partition()), lambda sent: any(batch.messages[-1:][0][1].offset == 9 for batch in sent if batch.messages)
    )
    assert sum(batch.missed for batch in sent) == 3
    assert [notice for batch in sent for notice in batch.notices] == ["segment 0: offset 5 is damaged"]
    assert [record.offset for batch in sent for _, record in batch.messages] == [3, 4, 6, 7, 8, 9]


async def test_what_was_there_before_is_never_dropped() -> None:
    """However small the buffer, messages from before the tail began wait for their reader."""
    whole = Partition()
    whole.fetch = lambda offset, _bytes: _later(Fetch(range(offset, 10)))  # type: ignore[method-assign]
    sent = await run(over(whole, TailLimits(records=1, send_records=1)), lambda sent: len(sent) == 10)
    assert [record.offset for batch in sent for _, record in batch.messages] == list(range(10))
    assert not any(batch.missed for batch in sent)


async def _later(fetch: Fetch) -> Fetch:
    await trio.lowlevel.checkpoint()
    return fetch


async def test_a_reader_that_takes_nothing_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever takes nothing for a minute has its place freed for others."""
    tail = over(Partition())
    await tail.begin("earliest")

    async def never(_batch: Batch, _mask: Mask | None) -> None:
        await trio.sleep_forever()

    assert await tail.follow(never) == "nothing was taken for 60 seconds"
