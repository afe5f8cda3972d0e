"""What a group of HTTP consumers has been handed, and what came back. Pure: time comes in as an argument.

Each offset of a partition is in one of these states, and goes back only by a failure:

    unread -> ready -> out -> confirmed
                ^       |
                '-------'    not confirmed in time, or told to have failed; past the last delivery: dead -> confirmed

The record of a message that is out is kept while there is room for it; else it is read once more to be delivered again.

How often a message came back is kept with what is confirmed, so that its way to `dead` goes on after a restart. A
delivery that a restart cut off does not count: it says nothing of the message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from actors.records import Confirmed, StoredRecord
from actors.topic_gateway.handlers import Handler
from actors.topic_gateway.partition_deliveries import Out, PartitionDeliveries
from actors.topic_gateway.ranges import OffsetRanges

# The expiry of a confirmed delivery is dropped late: once there are so many of them, and they are most of all.
_STALE_EXPIRIES = 1024
# What a record costs in memory beside its value, in bytes, so that empty ones count too.
_RECORD_BYTES = 256


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Bounds of one group: deliveries of one message, and messages that are out.

    `fetch_ahead_bytes` bounds each of: what is read ahead, what is to be delivered again, what is kept of what is out.
    """

    max_deliveries: int
    max_unconfirmed: int
    fetch_ahead_bytes: int


class Handed(NamedTuple):
    """A record on its way to a consumer, with what its handler says."""

    record: StoredRecord
    handler: Handler


class Verdict(NamedTuple):
    """What a consumer says of one delivery."""

    handler: Handler
    success: bool


class Deliveries:
    """The deliveries of one group over all partitions of its topic; times are in milliseconds since the epoch."""

    def __init__(self, limits: DeliveryLimits, counters: DeliveryCounters | None = None) -> None:
        self.counters = counters or DeliveryCounters()
        self._limits = limits
        self._partitions: dict[int, PartitionDeliveries] = {}
        self._turn: deque[int] = deque()
        self._expiries: list[tuple[int, int, int, int]] = []
        self._changed: set[int] = set()
        self._ready_bytes = 0
        self._again_bytes = 0
        self._out_bytes = 0
        self._ran_out = False

    def begin(self, partition: int, position: Confirmed) -> None:
        """Deliver a partition from where it was."""
        offset, ranges, failed = position
        self._partitions[partition] = PartitionDeliveries(OffsetRanges(offset, ranges), failed)
        self._turn.append(partition)

    @property
    def partitions(self) -> Sequence[int]:
        """The partitions that are delivered."""
        return tuple(self._partitions)

    @property
    def unconfirmed(self) -> int:
        """Messages that were handed out and are neither confirmed nor put aside."""
        return sum([one.unconfirmed for one in self._partitions.values()])

    @property
    def handed_out(self) -> int:
        """Messages that consumers have in hand."""
        return sum([len(one.out) for one in self._partitions.values()])

    @property
    def worked_on(self) -> int:
        """Messages that consumers have in hand; none once they let a delivery run out, until they confirm one again."""
        return 0 if self._ran_out else self.handed_out

    @property
    def has_changed(self) -> bool:
        """Whether anything was confirmed, or came back, that was not taken to be stored yet."""
        return bool(self._changed)

    @property
    def full(self) -> bool:
        """Whether as many are unconfirmed as may: nothing new is handed out."""
        return self.unconfirmed >= self._limits.max_unconfirmed

    # --- reading ------------------------------------------------------------------------------------------------------

    def wants(self, partition: int) -> int | None:
        """The offset to read from next; None while there is no room for more."""
        one = self._partitions[partition]
        if one.again or one.dead:
            # Not held up by what was read ahead: as long as too much is unconfirmed, none of that may be handed out.
            return min(one.again | one.dead) if self._again_bytes < self._limits.fetch_ahead_bytes else None
        return one.cursor if self._ready_bytes < self._limits.fetch_ahead_bytes else None

    def fetched(
        self, partition: int, offset: int, records: Sequence[StoredRecord], next_offset: int
    ) -> list[StoredRecord]:
        """Take in what was read from `offset` up to `next_offset`; returns the records that are to be put aside."""
        one = self._partitions[partition]
        dead: list[StoredRecord] = []
        if one.again or one.dead:
            dead = [record for record in records if record.offset in one.dead]
            self._read_again(partition, offset, records, next_offset)
        if offset <= one.cursor < next_offset and self._ready_bytes < self._limits.fetch_ahead_bytes:
            dead += self._read_on(partition, records, next_offset)
        return dead

    def leave_out(self, partition: int, offset: int, next_offset: int) -> int:
        """What lies from `offset` up to `next_offset` cannot be read; returns how many offsets were given up for it."""
        one, before = self._partitions[partition], self.counters.lost
        self.counters.lost += max(0, next_offset - max(one.cursor, offset))
        self.fetched(partition, offset, (), next_offset)
        return self.counters.lost - before

    def skip_to(self, partition: int, offset: int) -> int:
        """What lies below cannot be read any more; returns how many offsets were given up."""
        one = self._partitions[partition]
        for key in [key for key in one.out if key < offset]:
            self._take_back(one, key)
        self._ready_bytes -= _drop_below(one.ready, offset)
        self._again_bytes -= _drop_below(one.ready_again, offset)
        lost = one.skip_to(offset)
        self.counters.lost += lost
        self._changed.add(partition)
        return lost

    def _read_again(self, partition: int, offset: int, records: Sequence[StoredRecord], next_offset: int) -> None:
        one = self._partitions[partition]
        again = [record for record in records if record.offset in one.again]
        one.again.difference_update([record.offset for record in again])
        one.ready_again.extend(again)
        self._again_bytes += sum(map(_weight, again))
        there = {record.offset for record in records}
        # It was there once: retention or damage took it since.
        for gone in [key for key in one.again | one.dead if offset <= key < next_offset and key not in there]:
            one.again.discard(gone)
            one.dead.discard(gone)
            one.settle(gone)
            self.counters.lost += 1
            self._changed.add(partition)

    def _read_on(self, partition: int, records: Sequence[StoredRecord], next_offset: int) -> list[StoredRecord]:
        """Take in what was never read; returns those that were delivered as often as they may before a restart."""
        one = self._partitions[partition]
        new = [record for record in records if record.offset >= one.cursor and record.offset not in one.confirmed]
        if len(new) < next_offset - one.cursor:
            # Offsets without a record, which a failed sync leaves, are nobody's to confirm.
            expected = one.cursor
            for record in new:
                one.confirmed.add(expected, record.offset)
                expected = record.offset + 1
            one.confirmed.add(expected, next_offset)
            self._changed.add(partition)
        one.cursor = next_offset
        dead = [record for record in new if self._is_spent(one, record.offset)] if one.failed else []
        if dead:
            one.dead.update([record.offset for record in dead])
            new = [record for record in new if record.offset not in one.dead]
        one.ready.extend(new)
        self._ready_bytes += sum(map(_weight, new))
        return dead

    # --- handing out --------------------------------------------------------------------------------------------------

    def take(self, max_messages: int, max_bytes: int, ack_wait: int, now: int) -> list[Handed]:
        """Hand out what is ready, what was delivered before first; one that is larger than `max_bytes` comes alone.

        Whoever has it may confirm it for `ack_wait` milliseconds from `now`.
        """
        taken: list[Handed] = []
        left = max_bytes
        room = self._limits.max_unconfirmed - self.unconfirmed
        for _ in range(len(self._turn)):
            partition = self._turn[0]
            self._turn.rotate(-1)
            one = self._partitions[partition]
            while ready := one.ready_again or (room > 0 and one.ready) or None:
                size = len(ready[0].value or b"")
                if len(taken) == max_messages or (taken and size > left):
                    return taken
                left -= size
                record = ready.popleft()
                if ready is one.ready:
                    room -= 1
                    self._ready_bytes -= _weight(record)
                else:
                    self._again_bytes -= _weight(record)
                taken.append(self._hand(partition, record, now + ack_wait))
        return taken

    def _hand(self, partition: int, record: StoredRecord, expires: int) -> Handed:
        one = self._partitions[partition]
        offset, weight = record.offset, _weight(record)
        number = one.failed.get(offset, 0) + 1
        kept = self._out_bytes + weight <= self._limits.fetch_ahead_bytes
        if kept:
            self._out_bytes += weight
        one.out[offset] = Out(number, expires, record if kept else None)
        heappush(self._expiries, (expires, partition, offset, number))
        self.counters.delivered += 1
        self.counters.redelivered += number > 1
        return Handed(record, Handler(partition, offset, number, expires))

    def _take_back(self, one: PartitionDeliveries, offset: int) -> StoredRecord | None:
        record = one.out.pop(offset).record
        if record is not None:
            self._out_bytes -= _weight(record)
        return record

    # --- what comes back ----------------------------------------------------------------------------------------------

    def settle(self, verdicts: Iterable[Verdict], now: int) -> tuple[int, int]:
        """Take what consumers say; returns how many deliveries count as success, and how many as failed.

        A verdict that is late counts as failed. A success that is told in time of a message that is done with already
        counts as such, so that a confirmation whose answer was lost can be sent again.
        """
        told = [self._settle(handler, now, succeeded=succeeded) for handler, succeeded in verdicts]
        return sum(told), len(told) - sum(told)

    def _settle(self, handler: Handler, now: int, *, succeeded: bool) -> bool:
        one = self._partitions.get(handler.partition)
        in_time = now < handler.expires
        if one is None or not in_time:
            self.counters.late += 1
            return False
        out = one.out.get(handler.offset)
        if out is not None and (out.number, out.expires) == (handler.number, handler.expires):
            record = self._take_back(one, handler.offset)
            if succeeded:
                one.settle(handler.offset)
                self._changed.add(handler.partition)
                self._ran_out = False
                self.counters.confirmed += 1
            else:
                self.counters.failed += 1
                self._fail(handler.partition, handler.offset, record)
            return succeeded
        if succeeded and handler.offset in one.confirmed:
            return True
        self.counters.late += 1
        return False

    def expire(self, now: int) -> int:
        """Deliveries that were not confirmed in time are to be made again; returns how many."""
        count = 0
        while self._expiries and self._expiries[0][0] <= now:
            entry = heappop(self._expiries)
            if self._is_out(entry):
                _, partition, offset, _ = entry
                self._fail(partition, offset, self._take_back(self._partitions[partition], offset))
                count += 1
        self._ran_out = self._ran_out or count > 0
        self.counters.expired += count
        return count

    def next_expiry(self) -> int | None:
        """When `expire` has something to do next, or a little before."""
        stale = len(self._expiries) - self.handed_out
        if stale > _STALE_EXPIRIES and stale > len(self._expiries) // 2:
            self._expiries = [entry for entry in self._expiries if self._is_out(entry)]
            heapify(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def buried(self, partition: int, offsets: Iterable[int]) -> None:
        """These were put aside: they are done with."""
        one = self._partitions[partition]
        for offset in offsets:
            if offset in one.dead:
                one.dead.remove(offset)
                one.settle(offset)
                self.counters.dead += 1
                self._changed.add(partition)

    def take_changed(self) -> Mapping[int, Confirmed]:
        """How far the partitions have come where that has changed since the last call."""
        changed = {partition: self._partitions[partition].position() for partition in self._changed}
        self._changed.clear()
        return changed

    def put_back(self, partitions: Iterable[int]) -> None:
        """What changed there could not be stored: it counts as changed again."""
        self._changed.update(partitions)

    def _is_out(self, entry: tuple[int, int, int, int]) -> bool:
        expires, partition, offset, number = entry
        out = self._partitions[partition].out.get(offset)
        return out is not None and (out.number, out.expires) == (number, expires)

    def _fail(self, partition: int, offset: int, record: StoredRecord | None) -> None:
        one = self._partitions[partition]
        one.failed[offset] = one.failed.get(offset, 0) + 1
        self._changed.add(partition)
        if self._is_spent(one, offset):
            one.dead.add(offset)
        elif record is not None:
            one.ready_again.append(record)
            self._again_bytes += _weight(record)
        else:
            one.again.add(offset)

    def _is_spent(self, one: PartitionDeliveries, offset: int) -> bool:
        return one.failed.get(offset, 0) >= self._limits.max_deliveries


@dataclass(slots=True)
class DeliveryCounters:
    """What has happened: deliveries, of them repeated ones; how they ended; and offsets that were gone before."""

    delivered: int = 0
    redelivered: int = 0
    confirmed: int = 0
    failed: int = 0
    expired: int = 0
    late: int = 0
    dead: int = 0
    lost: int = 0


def _weight(record: StoredRecord) -> int:
    return len(record.value or b"") + _RECORD_BYTES


def _drop_below(ready: deque[StoredRecord], offset: int) -> int:
    """Leave out records below an offset; returns their weight."""
    dropped = [record for record in ready if record.offset < offset]
    if dropped:
        kept = [record for record in ready if record.offset >= offset]
        ready.clear()
        ready.extend(kept)
    return sum(map(_weight, dropped))
