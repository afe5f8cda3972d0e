"""What others hold of a partition: to append, to read, and to look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import trio

from actors.errors import ActorGone
from actors.log.disk import Disk
from actors.log.log import Log, SyncTimes
from actors.log.lookup import LogLookup
from actors.log.reader import Fetched, LogReader, LogView
from actors.log.verify import Verified, verify_view
from actors.records import TopicPartition
from actors.runtime.mailbox import Mailbox, MailboxStatistics
from actors.runtime.rates import Rate, RateMeter
from actors.topic_partition.gate import Gate
from actors.topic_partition.messages import Append, PartitionMessage

T = TypeVar("T")

# After each mebibyte of a check that nobody is in a hurry for.
_GIVE_WAY_SECONDS = 0.001

# As many threads may read one partition at once; a slow disk holds its own readers only.
_READERS = 4


@dataclass(frozen=True, slots=True)
class PartitionStatistics:
    """A partition for display: sizes in bytes, times in seconds; `fault` says why it refuses appends, or nothing.

    `senders` has the records that each of them brought since the partition's actor started, stored or not.
    """

    alive: bool
    start_offset: int
    high_watermark: int
    segments: int
    size: int
    appended: int
    commits: int
    refused: int
    syncs: int
    sync_total: float
    sync_last: float
    fault: str
    mailbox: MailboxStatistics
    senders: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class PartitionCounters:
    """What is counted of a partition: records appended, commits, records that were not taken, and who brought them."""

    appended: int = 0
    commits: int = 0
    refused: int = 0
    senders: dict[str, int] = field(default_factory=dict)


class PartitionReference:
    """The way to a partition's actor while it lives; afterwards everything that asks for it raises ActorGone."""

    def __init__(
        self,
        partition: TopicPartition,
        mailbox: Mailbox[PartitionMessage],
        disk: Disk | None = None,
        *,
        gate: Gate | None = None,
    ) -> None:
        self.partition = partition
        self.gate = gate or Gate(partition.topic)
        self.counters = PartitionCounters()
        self._mailbox = mailbox
        self._disk = disk or Disk()
        self._reader = LogReader(self._disk)
        self._look_up = LogLookup(self._disk)
        self._readers = trio.CapacityLimiter(_READERS)
        self._view: LogView | None = None
        self._opened = False
        self._start_offset = 0
        self._high_watermark = 0
        self._segments = 0
        self._size = 0
        self._fault = ""
        self._sync_times = SyncTimes()
        self._arrival = trio.lowlevel.ParkingLot()
        self._meter: RateMeter | None = None

    @property
    def start_offset(self) -> int:
        """The first offset that is kept; ActorGone if the partition never opened."""
        self._check_opened()
        return self._start_offset

    @property
    def high_watermark(self) -> int:
        """The next offset to be acknowledged: readers see what is below; ActorGone if the partition never opened."""
        self._check_opened()
        return self._high_watermark

    @property
    def rate(self) -> Rate:
        """Records appended per second, as of now."""
        return self._meter.at(trio.current_time()) if self._meter is not None else Rate()

    def submit(self, message: PartitionMessage) -> None:
        """Leave a message, or let it stand in line; the answer comes in its reply.

        Raises:
            ActorGone: the partition has ended.
            CircuitOpenError: an append, which the topic's backlog policy refuses now.
        """
        if isinstance(message, Append):
            self._admit(message)
        self._mailbox.submit(message)

    async def put(self, message: PartitionMessage) -> None:
        """Leave a message, waiting for room.

        Raises:
            ActorGone: the partition has ended.
            CircuitOpenError: an append, which the topic's backlog policy refuses now.
        """
        if isinstance(message, Append):
            self._admit(message)
        await self._mailbox.put(message)

    def _admit(self, append: Append) -> None:
        self.gate.admit(len(append.records), append.sender)
        senders = self.counters.senders
        senders[append.sender] = senders.get(append.sender, 0) + len(append.records)

    async def wait_appended(self, offset: int) -> None:
        """Return once there is something at `offset`: the high watermark is above it.

        Raises:
            ActorGone: the partition has ended.
        """
        self._check_alive()
        if self._high_watermark > offset:
            await trio.lowlevel.checkpoint()
            return
        while self._high_watermark <= offset:
            await self._arrival.park()
            self._check_alive()

    async def fetch(self, offset: int, max_bytes: int) -> Fetched:
        """Read whole batches from `offset` up to the high watermark; one larger than `max_bytes` comes alone.

        Nothing is there yet at the high watermark: the answer is empty.

        Raises:
            OffsetOutOfRangeError: retention has deleted the offset, or it is above the high watermark.
            DamagedLogError: the batch is not what was written.
            StorageError: the disk does not give it.
            ActorGone: the partition has ended.
        """
        view = self._check_alive()
        if offset == view.end_offset:
            await trio.lowlevel.checkpoint()
            return Fetched((), offset, offset, offset)
        return await self._in_thread(partial(self._reader.fetch, view, offset, max_bytes))

    async def offset_of(self, timestamp: int) -> int:
        """The first offset whose record is of this time (milliseconds since the epoch) or later; found by the index.

        Where there is none: the high watermark.

        Raises:
            StorageError: the disk does not give it.
            ActorGone: the partition has ended.
        """
        return await self._in_thread(partial(self._look_up.offset_of, self._check_alive(), timestamp))

    async def timestamp_at(self, offset: int) -> int | None:
        """The time of the first record at an offset or after it, in milliseconds; None where there is none yet.

        Raises:
            StorageError: the disk does not give it.
            ActorGone: the partition has ended.
        """
        view = self._check_alive()
        if offset >= view.end_offset:
            await trio.lowlevel.checkpoint()
            return None
        return await self._in_thread(partial(self._look_up.timestamp_at, view, offset))

    async def bytes_between(self, start: int, end: int) -> int:
        """About how many bytes the records from `start` to before `end` take on disk; the index tells.

        Raises:
            StorageError: the disk does not give it.
            ActorGone: the partition has ended.
        """
        view = self._check_alive()
        if start >= view.segments[-1].base_offset or start >= end:
            # What is being written has its index in memory.
            await trio.lowlevel.checkpoint()
            return self._look_up.bytes_between(view, start, end)
        return await self._in_thread(partial(self._look_up.bytes_between, view, start, end))

    async def verify(self) -> Verified:
        """Check every batch, index entry and offset of the files up to the high watermark, while appends go on.

        Raises:
            StorageError: the disk does not give it.
            ActorGone: the partition has ended.
        """
        return await self._in_thread(partial(verify_view, self._check_alive(), self._disk, _give_way))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._readers, abandon_on_cancel=True)

    def statistics(self) -> PartitionStatistics:
        """The partition as it stands, or as it last stood."""
        return PartitionStatistics(
            alive=self._view is not None,
            start_offset=self._start_offset,
            high_watermark=self._high_watermark,
            segments=self._segments,
            size=self._size,
            appended=self.counters.appended,
            commits=self.counters.commits,
            refused=self.counters.refused,
            syncs=self._sync_times.count,
            sync_total=self._sync_times.total,
            sync_last=self._sync_times.last,
            fault=self._fault,
            mailbox=self._mailbox.statistics(),
            senders=dict(self.counters.senders),
        )

    def publish(self, log: Log) -> None:
        """Show readers what the log holds now; only the partition's actor calls this."""
        view = log.view
        rose = self._high_watermark != view.end_offset
        self._measure(view.end_offset)
        self._view = view
        self._opened = True
        self._start_offset = view.start_offset
        self._high_watermark = view.end_offset
        self._segments = len(view.segments)
        self._size = log.size
        self._fault = log.fault
        self._sync_times = log.sync_times
        if rose:
            self._arrival.unpark_all()

    def end(self) -> None:
        """Let go of the files and of everybody who waits; only the partition's actor calls this."""
        self._view = None
        self._arrival.unpark_all()

    def _measure(self, end_offset: int) -> None:
        now = trio.current_time()
        if self._meter is None:
            # What was there before is nobody's appending.
            self._meter = RateMeter(now)
        elif end_offset > self._high_watermark:
            self._meter.count(end_offset - self._high_watermark, now)

    def _check_alive(self) -> LogView:
        if self._view is None:
            raise ActorGone(str(self.partition))
        return self._view

    def _check_opened(self) -> None:
        if not self._opened:
            raise ActorGone(str(self.partition))


def _give_way() -> None:
    """Let others have the processor, and end a check that nobody waits for any more."""
    trio.from_thread.check_cancelled()
    time.sleep(_GIVE_WAY_SECONDS)
