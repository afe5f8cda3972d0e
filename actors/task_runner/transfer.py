"""From records to rows in the sink: map, put aside what is bad, write, and find bad rows by halving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import trio

from actors.errors import RowRejectedError
from actors.records import StoredRecord, TopicPartition
from actors.runtime.log_limiter import LogLimiter
from actors.task_runner.context import RunnerContext
from actors.task_runner.core import BatchSize, HeldError, Majority, majority
from actors.task_runner.mapping import Mapped, Rejected
from actors.task_runner.sink import SinkPartition
from actors.topic_partition.mask import mask_records

# A millisecond of mapping: then others get their turn.
_RECORDS_A_TURN = 1000


class _Load(NamedTuple):
    """A mapped batch, the position after it, and whether it is a full one."""

    mapped: Mapped
    next_offset: int
    full: bool


class Transfer:
    """Moves batches of one partition's records into the sink.

    A record that cannot be mapped, or whose row the sink refuses, goes to the dead-letter topic and is stored there
    before the position moves past it. More than half of a full batch bad for one reason is held instead, before
    anything of it is put aside where the mapping tells, else once the sink has refused so many. From then on the first
    row is tried alone, until the sink takes it or refuses it for another reason.
    """

    def __init__(self, context: RunnerContext, source: TopicPartition, sink: SinkPartition, size: BatchSize) -> None:
        self._context = context
        self._source = source
        self._sink = sink
        self._size = size
        self._probing = ""
        # A sink that refuses every third row is told of now and then, and not a thousand times a second.
        self._log = LogLimiter(per_second=1)

    async def move(self, records: Sequence[StoredRecord], next_offset: int, *, full: bool) -> None:
        """Write the rows of these records and move the position to `next_offset`.

        Raises:
            HeldError: too many of them are bad for one reason, or they cannot be put aside.
            FunctionError: a function that makes a field cannot be called now.
            ConnectorError: see `Connector.write`; what was written before is written.
        """
        mapped = await self._map(records)
        if self._context.fields is not None:
            beat = self._context.membership.beat
            with self._context.progress.timed("map"):
                mapped = await self._context.fields.fill(self._source, mapped, beat, self._wait_for_function)
        if mapped.rejected:
            if full:
                self._hold_unmappable(records, majority((one.reason for one in mapped.rejected), len(records)))
            await self._put_aside(mapped.rejected)
        await self._write(_Load(mapped, next_offset, full))

    def _wait_for_function(self, reason: str) -> None:
        """Show at once what a call waits for: this may take longer than a hold, and comes before it."""
        self._context.progress.holding = reason

    async def _map(self, records: Sequence[StoredRecord]) -> Mapped:
        if len(records) <= _RECORDS_A_TURN:
            with self._context.progress.timed("map"):
                return self._apply(records)
        whole = Mapped([], [], [])
        kept: list[StoredRecord] = []
        for start in range(0, len(records), _RECORDS_A_TURN):
            with self._context.progress.timed("map"):
                part = self._apply(records[start : start + _RECORDS_A_TURN])
            whole.rows.extend(part.rows)
            kept.extend(part.records)
            whole.rejected.extend(part.rejected)
            await trio.lowlevel.checkpoint()
        return whole._replace(records=kept)

    def _apply(self, records: Sequence[StoredRecord]) -> Mapped:
        """Map records as the task's app may see them."""
        topic = self._context.topics.get(self._source.topic)
        mask = topic.mask_for(self._context.task.app) if topic is not None else None
        return self._context.mapping.apply(self._source, records if mask is None else mask_records(mask, records))

    async def _write(self, load: _Load) -> None:
        """Write all rows in order, each span of them one transaction; a span that is refused is halved."""
        count = len(load.mapped.rows)
        refused: list[str] = []
        spans = [(1, count), (0, 1)] if self._probing and count > 1 else [(0, count)]
        while spans:
            low, high = spans.pop()
            self._context.membership.beat()
            try:
                await self._commit(load, low, high)
                self._probing = ""
                if spans and self._context.interrupted():
                    # All that was put aside lies behind the position: a good place to leave off.
                    return
            except RowRejectedError as error:
                if high - low > 1:
                    middle = (low + high) // 2
                    spans += [(middle, high), (low, middle)]
                elif high == low:
                    # No row, and yet refused: that is the sink's trouble.
                    raise
                else:
                    refused.append(str(error))
                    self._hold_refused(load, refused)
                    await self._put_aside([Rejected(load.mapped.records[low], str(error))])
        if self._sink.offset != load.next_offset:
            await self._commit(load, count, count)

    async def _commit(self, load: _Load, low: int, high: int) -> None:
        rows, records = load.mapped.rows, load.mapped.records
        end = load.next_offset if high == len(rows) else records[high].offset
        if high - low < len(rows):
            rows = rows[low:high]
        with self._context.progress.timed("write"):
            seconds = await self._sink.write(rows, end)
        self._size.wrote(len(rows), seconds, full=load.full)
        self._context.progress.batch_rows = self._size.rows

    async def _put_aside(self, rejected: Sequence[Rejected]) -> None:
        await self._context.dead_letters.put(self._source, rejected)
        self._context.progress.dead += len(rejected)
        self._log.warning(
            "records put aside",
            task=self._context.task.name,
            source=str(self._source),
            count=len(rejected),
            offset=rejected[0].record.offset,
            reason=rejected[0].reason,
        )

    def _hold_unmappable(self, records: Sequence[StoredRecord], found: Majority | None) -> None:
        if found is not None:
            raise HeldError(
                f"{found.count} of {found.of} records from offset {records[0].offset} of {self._source} cannot be "
                f"mapped: {found.reason}; correct the fields of task {self._context.task.name} and apply it"
            )

    def _hold_refused(self, load: _Load, refused: Sequence[str]) -> None:
        reason = refused[-1]
        still = self._probing == reason and len(refused) == 1
        if still or (load.full and majority(refused, len(load.mapped.rows)) is not None):
            self._probing = reason
            raise HeldError(
                f"rows from offset {load.mapped.records[0].offset} of {self._source} are refused one after the other: "
                f"{reason}; correct the table, or the task's columns and apply it"
            )
