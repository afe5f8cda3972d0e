"""A topic in memory, its group of HTTP consumers, and the two actors behind them, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from actors.consumer_group.actor import GroupActor
from actors.consumer_group.groups import Groups
from actors.consumer_group.messages import LagSample, Watermarks
from actors.errors import StorageError
from actors.records import Confirmed, Record, TopicPartition
from actors.topic_gateway.actor import HttpGroupActor
from actors.topic_gateway.deliveries import DeliveryLimits, Handed, Verdict
from actors.topic_gateway.messages import Settle, Take
from actors.topic_partition.topic import TopicReference, Topics
from config.resources.tasks import OnDamage
from tests.actors.task_runner.world import FakePartition, start

LIMITS = DeliveryLimits(max_deliveries=3, max_unconfirmed=50, fetch_ahead_bytes=10_000)


class PositionStore:
    """Keeps positions in memory, after a delay; can be broken."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, Confirmed] = {}
        self.saves = 0
        self.delay = 0.0
        self.broken = False

    async def load_confirmed(self, _group: str) -> Mapping[TopicPartition, Confirmed]:
        return dict(self.positions)

    async def save_confirmed(self, _group: str, positions: Mapping[TopicPartition, Confirmed]) -> None:
        await trio.sleep(self.delay)
        if self.broken:
            raise StorageError("meta.db: disk full")
        self.saves += 1
        self.positions.update(positions)


class World:
    """Topic `t`, group `g`, and `g.dead`."""

    def __init__(self, partitions: int = 1) -> None:
        self.topics = Topics()
        self.partitions = [FakePartition() for _ in range(partitions)]
        self.dead = FakePartition()
        self.add("t", self.partitions)
        self.add("g.dead", [self.dead])
        self.store = PositionStore()
        self.group = Groups().add("g", "t", "http")
        self.limits = LIMITS
        self.makes_dead_letters = False
        self.on_damage: OnDamage = "stop"
        self.actor: HttpGroupActor

    def add(self, name: str, partitions: list[FakePartition]) -> None:
        topic = TopicReference(name, len(partitions), 1 << 20)
        topic.partitions[:] = partitions  # type: ignore[assignment]
        self.topics.add(topic)

    async def _make_dead_letters(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.makes_dead_letters:
            self.add("g.dead", [self.dead])

    def watermarks(self) -> list[Watermarks]:
        return [Watermarks(one.start_offset, one.high_watermark) for one in self.partitions]

    async def sample(self, _partition: int, _offset: int) -> LagSample:
        await trio.lowlevel.checkpoint()
        return LagSample(None, None)

    def produce(self, count: int, partition: int = 0) -> None:
        start = len(self.partitions[partition].stored)
        self.partitions[partition].add([Record(None, b"%d" % (start + number), 1) for number in range(count)])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The group, then its consumers' actor; stopped in reverse."""
        group = GroupActor(self.group, self, self.store, clock=trio.current_time)
        make, clock = self._make_dead_letters, trio.current_time
        self.actor = HttpGroupActor(
            self.group, self.topics, self.limits, make_dead_letters=make, on_damage=self.on_damage, clock=clock
        )
        async with trio.open_nursery() as outer:
            await start(outer, group)
            async with trio.open_nursery() as inner:
                await start(inner, self.actor)
                yield
                self.actor.stop()
            group.stop()

    async def take(self, count: int = 10, *, wait: float = 3, ack_wait: int = 15) -> list[Handed]:
        """As the gateway does: wait for so long, then withdraw."""
        take = Take(count, 1 << 20, ack_wait)
        await self.actor.mailbox.put(take)
        with trio.move_on_after(wait):
            await take.reply.wait()
        return [] if take.reply.withdraw(StorageError("nobody waits")) else take.reply.value()

    async def settle(self, *handed: Handed, success: bool = True) -> tuple[int, int]:
        settle = Settle([Verdict(one.handler, success) for one in handed], int(trio.current_time() * 1000))
        await self.actor.mailbox.put(settle)
        return await settle.reply.wait()


def offsets(handed: list[Handed]) -> list[int]:
    return [one.record.offset for one in handed]
