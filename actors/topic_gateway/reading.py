"""Reading ahead for a group of HTTP consumers, and putting aside what nobody could work off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
import trio

from actors.errors import DamagedLogError, OffsetOutOfRangeError, PenstockError, RecordTooLargeError
from actors.records import Header, Record, StoredRecord, TopicPartition
from actors.topic_gateway.deliveries import Deliveries
from actors.topic_partition.messages import Append
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference, Topics
from config.resources.tasks import OnDamage

log = structlog.get_logger()

_FETCH_BYTES = 256 * 1024
_HOLD_SECONDS = 1.0


MakeDeadLetters = Callable[[], Awaitable[None]]
"""Makes a group's dead-letter topic, where there is none; PenstockError where it cannot be."""


def dead_letter_topic(group: str) -> str:
    """The name of a group's dead-letter topic."""
    return f"{group}.dead"


class Reading:
    """Moves records of a topic into the deliveries of one group, and the dead ones into its dead-letter topic.

    What cannot be read or put aside is tried again; `holding` says why, by partition: nothing is skipped meanwhile,
    but for damage where `on_damage` says so.
    `make_dead_letters` makes the dead-letter topic, which is not there before it is needed.
    """

    def __init__(
        self,
        topics: Topics,
        topic: str,
        group: str,
        make_dead_letters: MakeDeadLetters,
        on_damage: OnDamage = "stop",
    ) -> None:
        self.holding: dict[int, str] = {}
        self._topics = topics
        self._topic = topic
        self._group = group
        self._make_dead_letters = make_dead_letters
        self._on_damage = on_damage
        self._retry_at: dict[int, float] = {}

    async def read(self, deliveries: Deliveries, partition: int) -> bool:
        """One fetch, if there is room; says whether it brought anything."""
        offset = deliveries.wants(partition)
        if offset is None or trio.current_time() < self._retry_at.get(partition, 0.0):
            return False
        try:
            moved = await self._read(deliveries, partition, offset)
        except PenstockError as error:
            self._hold(partition, error)
            return False
        if self.holding.pop(partition, None) is not None:
            log.info("group goes on", group=self._group, source=str(TopicPartition(self._topic, partition)))
        return moved

    async def wait(self, deliveries: Deliveries, woken: trio.Event) -> None:
        """Return once there is something to read, a hold has run its time, or `woken` is set."""
        now = trio.current_time()
        waits: list[Callable[[], Awaitable[None]]] = [woken.wait]
        held = [until for until in self._retry_at.values() if until > now]
        for partition in deliveries.partitions:
            offset = deliveries.wants(partition)
            if offset is not None and self._retry_at.get(partition, 0.0) <= now:
                waits.append(self._arrival(partition, offset))
        with trio.move_on_at(min(held, default=float("inf"))):
            await _any(waits)

    async def _read(self, deliveries: Deliveries, partition: int, offset: int) -> bool:
        reference = self._reference(partition)
        if reference.high_watermark == offset:
            return False
        try:
            fetched = await reference.fetch(offset, _FETCH_BYTES)
            records = fetched.records()
        except OffsetOutOfRangeError as error:
            if error.start <= offset:
                raise
            lost = deliveries.skip_to(partition, error.start)
            self._tell_lost(lost, error)
            return True
        except DamagedLogError as error:
            if self._on_damage == "stop" or error.resume <= offset:
                raise
            lost = deliveries.leave_out(partition, offset, error.resume)
            self._tell_lost(lost, error)
            return True
        dead = deliveries.fetched(partition, offset, records, fetched.next_offset)
        if dead:
            await self._bury(partition, dead)
            deliveries.buried(partition, [record.offset for record in dead])
        return True

    def _tell_lost(self, count: int, error: PenstockError) -> None:
        log.warning("messages are gone before they were consumed", group=self._group, count=count, reason=str(error))

    def _arrival(self, partition: int, offset: int) -> Callable[[], Awaitable[None]]:
        async def wait() -> None:
            try:
                await self._reference(partition).wait_appended(offset)
            except PenstockError as error:
                self._hold(partition, error)

        return wait

    def _hold(self, partition: int, error: PenstockError) -> None:
        reason = str(error)
        if isinstance(error, DamagedLogError):
            reason += "; the group waits here: the setting `topics.on_damage: skip` leaves that out"
        if self.holding.get(partition) != reason:
            log.warning("group holds", group=self._group, source=f"{self._topic}-{partition}", reason=reason)
        self.holding[partition] = reason
        self._retry_at[partition] = trio.current_time() + _HOLD_SECONDS

    def _reference(self, partition: int) -> PartitionReference:
        topic = self._topics.get(self._topic)
        if topic is None or partition >= len(topic.partitions):
            raise PenstockError(f"there is no {self._topic}-{partition} to read; apply topic {self._topic}")
        return topic.partitions[partition]

    # --- dead letters -------------------------------------------------------------------------------------------------

    async def _bury(self, partition: int, dead: Sequence[StoredRecord]) -> None:
        """Append to the dead-letter topic, with where they came from and why in headers; on disk when it returns."""
        letters = [self._letter(partition, record) for record in dead]
        for letter in letters:
            with suppress(RecordTooLargeError):
                await self._append(partition, letter)
                continue
            # The source still has its value.
            cut = ("value_left_out", b"larger than this topic takes")
            await self._append(partition, letter._replace(key=None, value=None, headers=(*letter.headers, cut)))
        log.warning(
            "messages put aside",
            group=self._group,
            source=f"{self._topic}-{partition}",
            count=len(dead),
            offset=dead[0].offset,
        )

    async def _append(self, partition: int, letter: Record) -> None:
        topic = await self._dead_letters()
        append = Append([letter], len(letter.key or b"") + len(letter.value or b""), sender="dead_letters")
        topic.partitions[partition % len(topic.partitions)].submit(append)
        await append.reply.wait()

    async def _dead_letters(self) -> TopicReference:
        name = dead_letter_topic(self._group)
        if self._topics.get(name) is None:
            await self._make_dead_letters()
        topic = self._topics.get(name)
        if topic is None:
            raise PenstockError(f"a message was delivered as often as it may, and there is no topic {name}; apply it")
        return topic

    def _letter(self, partition: int, record: StoredRecord) -> Record:
        headers: tuple[Header, ...] = (
            ("reason", b"not confirmed, delivered as often as it may"),
            ("group", self._group.encode()),
            ("source_topic", self._topic.encode()),
            ("source_partition", str(partition).encode()),
            ("source_offset", str(record.offset).encode()),
        )
        return Record(record.key, record.value, record.timestamp, (*record.headers, *headers))


async def _any(waits: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Return once one of them has; the others are cancelled."""
    async with trio.open_nursery() as nursery:

        async def end_with(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(end_with, wait)
