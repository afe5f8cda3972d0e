"""The actor of one partition: takes all that waits, writes it, syncs once, answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, assert_never

import structlog
import trio

from actors.errors import ActorGone, AppendRefusedError, PenstockError, StorageError
from actors.log.batch import Batch
from actors.log.disk import Disk
from actors.log.log import Log, LogLimits
from actors.log.retention import Keep
from actors.log.space import SpaceReserves
from actors.records import TopicPartition
from actors.runtime.actor import Actor, fail_replies
from actors.runtime.mailbox import Mailbox
from actors.runtime.reply import Reply
from actors.topic_partition import core
from actors.topic_partition.gate import GateState
from actors.topic_partition.messages import (
    Append,
    Configure,
    PartitionMessage,
    Retain,
    Roll,
    Trim,
    Trimmed,
    sender_of,
    weigh,
)
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference
from config.resources import Topic
from config.settings import LogSettings

logger = structlog.get_logger()

T = TypeVar("T")


class _Asked(Protocol[T]):
    @property
    def reply(self) -> Reply[T]: ...


class PartitionActor(Actor[PartitionMessage]):
    """Owner of one partition's log; `folder` is the partition's own, `reserves` are shared with the other partitions.

    Before it calls `started` it opens the log and puts its reference into `topic.partitions[number]`. One commit is in
    flight at a time: what comes meanwhile waits in the mailbox and is the next one.
    """

    def __init__(
        self,
        topic: TopicReference,
        number: int,
        *,
        folder: Path,
        config: Topic,
        settings: LogSettings,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
        reserves: SpaceReserves | None = None,
    ) -> None:
        partition = TopicPartition(topic.name, number)
        super().__init__(str(partition), Mailbox(str(partition), settings.mailbox_bytes, weigh, sort=sender_of))
        self.partition = partition
        self._topic = topic
        self._folder = folder
        self._config = config
        self._settings = settings
        self._disk = disk or Disk()
        self._clock = clock
        self._reserves = reserves
        self._reference = PartitionReference(partition, self.mailbox, self._disk, gate=topic.gate)
        # One thread a partition: a slow disk holds nobody else's.
        self._limiter = trio.CapacityLimiter(1)
        self._in_hand: list[PartitionMessage] = []
        self._flush_at = math.inf

    async def serve(self, started: Callable[[], None]) -> None:
        """Open the log, serve until the mailbox is sealed and empty, close the log."""
        log = await self._in_thread(self._open)
        self._reference.publish(log)
        self._topic.partitions[self.partition.partition] = self._reference
        unwatch = self._topic.gate.watch(self._heed_gate)
        self._heed_gate()
        started()
        try:
            await self._work(log)
            await self._in_thread(log.close)
        finally:
            unwatch()
            fail_replies(self._in_hand, ActorGone(self.name))
            self._reference.end()

    def _heed_gate(self) -> None:
        """Throttled, take no appends: they lie in the mailbox, and who brings more stands in line."""
        if not self.mailbox.sealed:
            self.mailbox.hold(_is_append if self._topic.gate.state is GateState.THROTTLED else None)

    async def _work(self, log: Log) -> None:
        retain_at = trio.current_time() + self._settings.retention_interval
        while True:
            try:
                with trio.move_on_at(min(retain_at, self._flush_at)):
                    self._in_hand = await self.mailbox.get_all()
            except trio.EndOfChannel:
                return
            for step in core.steps(self._in_hand):
                await self._take(log, step)
            self._in_hand = []
            if trio.current_time() >= self._flush_at:
                await self._flush(log)
            if trio.current_time() >= retain_at:
                await self._keep_house(log)
                retain_at = trio.current_time() + self._settings.retention_interval

    async def _take(self, log: Log, step: core.Step) -> None:
        match step:
            case core.Commit(appends):
                await self._commit(log, appends)
            case Roll():
                await self._answer(log, step, log.roll)
            case Retain():
                await self._answer(log, step, partial(self._retain, log))
            case Trim(keep, consumed):
                await self._answer(log, step, partial(self._trim, log, keep, consumed))
            case Configure(topic):
                self._config = topic
                step.reply.set(None)
            case _:
                assert_never(step)

    # Appends.

    async def _commit(self, log: Log, appends: Sequence[Append]) -> None:
        counters = self._reference.counters
        appends = [append for append in appends if append.reply.take()]
        if not appends:
            return
        appends, batches = self._build(appends, log.next_offset)
        offset = log.next_offset
        if batches:
            try:
                await self._in_thread(partial(self._write, log, batches))
            except StorageError as error:
                self._count_refused(appends)
                self._reference.publish(log)
                fail_replies(appends, error)
                if not isinstance(error, AppendRefusedError):
                    self._fail_waiting(error)
                return
            counters.commits += 1
            counters.appended += log.next_offset - offset
            self._reference.publish(log)
            if log.unsynced:
                self._flush_at = min(self._flush_at, trio.current_time() + self._settings.flush_interval)
        for append in appends:
            append.reply.set(offset)
            offset += len(append.records)

    def _build(self, appends: Sequence[Append], base_offset: int) -> tuple[Sequence[Append], list[Batch]]:
        """The batches of the appends that are fit to be written; the others get their error."""
        limit, mask = self._config.max_message_bytes, core.mask_at_store(self._config)
        if max(append.size for append in appends) > limit:
            appends = self._sift(appends, partial(core.too_large, max_message_bytes=limit))
        try:
            return appends, core.build(appends, base_offset, mask)
        except core.UNFIT:
            appends = self._sift(appends, partial(core.unfit, mask=mask))
            return appends, core.build(appends, base_offset, mask)

    def _sift(self, appends: Sequence[Append], judge: Callable[[Append], PenstockError | None]) -> list[Append]:
        kept: list[Append] = []
        for append in appends:
            error = judge(append)
            if error is None:
                kept.append(append)
            else:
                self._reference.counters.refused += len(append.records)
                append.reply.fail(error)
        return kept

    def _write(self, log: Log, batches: Sequence[Batch]) -> None:
        bounds, segment, now = self._bounds(), _state(log), self._clock()
        if core.is_full(segment, batches, bounds) or core.is_old(segment, now, bounds.seconds):
            log.roll()
        log.append(batches, sync=self._config.sync, now=now)

    def _count_refused(self, messages: Iterable[PartitionMessage]) -> None:
        refused = sum(len(message.records) for message in messages if isinstance(message, Append))
        self._reference.counters.refused += refused

    def _fail_waiting(self, error: StorageError) -> None:
        """Fail the appends that waited behind a failed sync: a later report must not overtake one sent again."""
        waiting = self.mailbox.statistics()
        remaining = waiting.messages + waiting.in_line
        while remaining > 0 and self.mailbox.statistics().messages:
            messages = self.mailbox.get_all_nowait()
            remaining -= len(messages)
            self._count_refused(messages)
            fail_replies(messages, error)

    # What happens from time to time.

    async def _flush(self, log: Log) -> None:
        self._flush_at = math.inf
        # The log itself says what a failed sync may have lost, and goes on in a new segment.
        with suppress(StorageError):
            await self._in_thread(log.sync)
        if log.unsynced:
            self._flush_at = trio.current_time() + self._settings.flush_interval
        self._reference.publish(log)

    async def _keep_house(self, log: Log) -> None:
        try:
            if core.is_old(_state(log), self._clock(), self._bounds().seconds):
                await self._in_thread(log.roll)
            await self._in_thread(partial(self._retain, log))
        except StorageError as error:
            logger.warning("Retention failed", partition=self.name, reason=str(error))
        self._reference.publish(log)

    async def _answer(self, log: Log, message: _Asked[T], work: Callable[[], T]) -> None:
        try:
            answer = await self._in_thread(work)
        except StorageError as error:
            message.reply.fail(error)
        else:
            message.reply.set(answer)
        finally:
            self._reference.publish(log)

    # What runs in the partition's thread.

    def _open(self) -> Log:
        settings = self._settings
        limits = LogLimits(settings.index_interval_bytes, settings.reserve_bytes, settings.reserve_percent)
        return Log(self._folder, limits, self._disk, reserves=self._reserves)

    def _retain(self, log: Log) -> int:
        retention = self._config.retention
        protected = math.inf
        if core.keeps_unread(self._config):
            protected = self._topic.gate.protected(self.partition.partition)
        return log.retain(self._clock(), retention.hours, retention.bytes, protected)

    def _trim(self, log: Log, keep: Keep, consumed: int) -> Trimmed:
        start = log.view.start_offset
        segments = log.trim(self._clock(), keep)
        now_start = log.view.start_offset
        return Trimmed(segments, now_start - start, max(0, now_start - max(start, consumed)))

    def _bounds(self) -> core.SegmentBounds:
        return core.segment_bounds(self._settings.segment_bytes, self._settings.segment_seconds, self._config)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


def _is_append(message: PartitionMessage) -> bool:
    return isinstance(message, Append)


def _state(log: Log) -> core.SegmentState:
    active = log.active
    return core.SegmentState(active.size, active.base_offset, active.next_offset, active.began)
