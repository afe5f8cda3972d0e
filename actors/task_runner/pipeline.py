"""One partition of a task: fetched, moved into the sink, held and tried again when something is in the way."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import structlog
import trio

from actors.errors import (
    ActorGone,
    ConnectorError,
    DamagedLogError,
    FencedError,
    OffsetOutOfRangeError,
    PenstockError,
)
from actors.records import StoredRecord, TopicPartition
from actors.task_runner.context import RunnerContext
from actors.task_runner.core import BatchSize, HeldError
from actors.task_runner.sink import SinkPartition
from actors.task_runner.transfer import Transfer
from actors.topic_partition.reference import PartitionReference

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a partition does not go on, and when it is tried again, in seconds of trio's clock."""

    reason: str
    until: float
    by_sink: bool


class Pipeline:
    """Moves one partition's records into the sink, from where the sink says it stands.

    `delay` puts the first step off. A partition that `appeared` after the task had begun is read from its beginning.
    """

    def __init__(self, context: RunnerContext, partition: int, *, appeared: bool = False, delay: float = 0.0) -> None:
        self.source = TopicPartition(context.task.source.topic, partition)
        self.hold: Hold | None = None
        self._context = context
        self._size = BatchSize(context.limits)
        self._sink = SinkPartition(context, self.source)
        self._transfer = Transfer(context, self.source, self._sink, self._size)
        self._from_end = context.task.source.start == "latest" and not appeared
        self._end_at_first: int | None = None
        self._cursor = 0
        self._attempts = 0
        self._full = False
        self._told = True
        if delay:
            self.hold = Hold("claimed by another writer; claiming it again", trio.current_time() + delay, by_sink=True)

    @property
    def full(self) -> bool:
        """Whether the last step brought a full batch: more is likely to wait."""
        return self._full

    async def advance(self) -> bool:
        """One fetch and its transactions; says whether it moved anything. Whatever is in the way becomes a hold.

        Raises:
            FencedError: another writer has claimed the partition; nothing more can be written here.
        """
        if self._attempts:
            self._context.progress.retries += 1
        try:
            moved = await self._advance()
        except FencedError:
            raise
        except PenstockError as error:
            self._hold_on(error)
            return False
        self._go_on()
        return moved

    async def wait_records(self) -> None:
        """Return once there is something to fetch."""
        try:
            await self._reference().wait_appended(self._cursor)
        except PenstockError as error:
            self._hold_on(error)

    def tell_again(self) -> None:
        """The group may have begun anew, and know less than it was told."""
        self._told = False

    def retry_now(self) -> None:
        """The sink works for another partition: no need to wait longer for it."""
        if self.hold is not None and self.hold.by_sink:
            self.hold = None

    # --- one step --------------------------------------------------------------------------------------------------

    async def _advance(self) -> bool:
        partition = self._reference()
        if not self._sink.claimed:
            await self._claim(partition)
        elif await self._sink.ready():
            self._cursor = self._sink.offset or self._cursor
            self._told = False
        before = self._cursor
        records, next_offset = await self._fetch(partition)
        if not self._told or self._cursor != before:
            await self._tell_group()
        if next_offset == self._cursor:
            return False
        await self._move(records, next_offset)
        return True

    async def _claim(self, partition: PartitionReference) -> None:
        start = None
        if self._from_end:
            # The end at the first try, however long the sink then takes to answer: what comes meanwhile is ours.
            if self._end_at_first is None:
                self._end_at_first = partition.high_watermark
            start = self._end_at_first
        await self._sink.claim(start)
        offset = self._sink.offset
        self._cursor = partition.start_offset if offset is None else offset
        self._told = False

    async def _fetch(self, partition: PartitionReference) -> tuple[list[StoredRecord], int]:
        """The records at the cursor, and the offset after them; none where there is nothing new."""
        self._full = False
        if partition.high_watermark == self._cursor:
            return [], self._cursor
        progress = self._context.progress
        wanted = self._size.bytes_wanted
        try:
            with progress.timed("fetch"):
                fetched = await partition.fetch(self._cursor, wanted)
            with progress.timed("decode"):
                records = fetched.records()
        except OffsetOutOfRangeError as error:
            await self._reset(partition, error)
            return [], self._cursor
        except DamagedLogError as error:
            if self._context.task.source.on_damage == "stop" or error.resume <= self._cursor:
                raise
            self._lose(error.resume, str(error))
            return [], self._cursor
        self._size.fetched(len(records), fetched.size)
        self._full = fetched.next_offset < fetched.high_watermark
        return records, fetched.next_offset

    async def _move(self, records: list[StoredRecord], next_offset: int) -> None:
        start, rows = 0, 0
        while start == 0 or start < len(records):
            if start and self._context.interrupted():
                return
            rows = self._size.rows
            part = records[start : start + rows]
            start += rows
            end = records[start].offset if start < len(records) else next_offset
            before = self._sink.offset
            try:
                await self._transfer.move(part, end, full=self._size.is_full(len(part), more=self._full))
            finally:
                # Also where only a part of it was written before something came in the way.
                if self._sink.offset is not None and self._sink.offset != before:
                    self._cursor = self._sink.offset
            await self._tell_group()

    # --- what is in the way ------------------------------------------------------------------------------------------

    def _hold_on(self, error: PenstockError) -> None:
        self._attempts += 1
        by_sink = isinstance(error, ConnectorError)
        if by_sink:
            self._sink.doubt()
        reason = str(error)
        if isinstance(error, DamagedLogError):
            reason += "; `on_damage: skip` in the task's source leaves that out"
        if self.hold is None or self.hold.reason != reason:
            log.warning("task holds", task=self._context.task.name, source=str(self.source), reason=reason)
        until = trio.current_time() + self._context.backoff.delay(self._attempts)
        self.hold = Hold(reason, until, by_sink)

    def _go_on(self) -> None:
        if self._attempts:
            log.info("task goes on", task=self._context.task.name, source=str(self.source), retries=self._attempts)
        self._attempts = 0
        self.hold = None

    async def _reset(self, partition: PartitionReference, error: OffsetOutOfRangeError) -> None:
        """Below the start: retention was faster. Beyond the end: the topic lost its tail, or is another one by now."""
        if self._cursor < error.start:
            self._lose(error.start, str(error))
            return
        # As Kafka's auto.offset.reset decides.
        restart = partition.high_watermark if self._from_end else error.start
        log.error(
            "position is beyond the end of the topic, starting anew",
            task=self._context.task.name,
            source=str(self.source),
            position=self._cursor,
            offset=restart,
        )
        # Written down at once: the sink's position is what the next transaction starts from.
        await self._sink.write((), restart)
        self._cursor = restart

    def _lose(self, offset: int, reason: str) -> None:
        lost = offset - self._cursor
        self._context.progress.lost += lost
        log.error(
            "records are gone before they were read",
            task=self._context.task.name,
            source=str(self.source),
            count=lost,
            offset=self._cursor,
            reason=reason,
        )
        self._cursor = offset

    async def _tell_group(self) -> None:
        self._told = False
        # The sink has the truth: a group that is just being restarted is told later.
        with self._context.progress.timed("commit"), suppress(ActorGone):
            await self._context.membership.commit({self.source.partition: self._cursor})
            self._told = True

    def _reference(self) -> PartitionReference:
        topic = self._context.topics.get(self.source.topic)
        if topic is None or self.source.partition >= len(topic.partitions):
            raise HeldError(f"there is no {self.source} to read; apply topic {self.source.topic}")
        return topic.partitions[self.source.partition]
