"""What a group of HTTP consumers has been handed, and what came back. Pure: time comes in as an argument.

Each offset of a partition is in one of these states, and goes back from later ones only by a failure:

    unread -> ready -> handed out -> confirmed
                ^          |
                '-- again <'    not confirmed in time, or told to have failed; past the last delivery: dead
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from actors.records import StoredRecord
from actors.topic_gateway.handlers import Handler
from actors.topic_gateway.ranges import OffsetRanges

# Of confirmed deliveries the expiry is forgotten late; past so many of them, and half of all, it is time to sweep.
_STALE_EXPIRIES = 1024


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Bounds of one group: deliveries of one message, messages not confirmed, bytes read ahead."""

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


class _Out(NamedTuple):
    number: int
    expires: int


class _Partition:
    """The deliveries of one partition."""

    __slots__ = ("again", "attempts", "confirmed", "cursor", "dead", "out", "ready", "ready_again")

    def __init__(self, confirmed: OffsetRanges) -> None:
        self.confirmed = confirmed
        self.cursor = confirmed.floor
        self.ready: deque[StoredRecord] = deque()
        self.ready_again: deque[StoredRecord] = deque()
        self.out: dict[int, _Out] = {}
        # Offsets whose record must be read once more, to be delivered again or put aside.
        self.again: set[int] = set()
        self.dead: set[int] = set()
        self.attempts: dict[int, int] = {}

    @property
    def unconfirmed(self) -> int:
        return len(self.ready) + len(self.ready_again) + len(self.out) + len(self.again) + len(self.dead)

    def settle(self, offset: int) -> None:
        """Nothing more is to be done about an offset."""
        self.attempts.pop(offset, None)
        self.confirmed.add(offset)


class Deliveries:
    """The deliveries of one group over all partitions of its topic; times are in milliseconds since the epoch."""

    def __init__(self, limits: DeliveryLimits) -> None:
        self.delivered = 0
        self.redelivered = 0
        self.expired = 0
        self.failed = 0
        self.late = 0
        self.lost = 0
        self.ready_bytes = 0
        self._limits = limits
        self._partitions: dict[int, _Partition] = {}
        self._turn: deque[int] = deque()
        self._expiries: list[tuple[int, int, int, int]] = []
        self._changed: set[int] = set()

    def begin(self, partition: int, floor: int, confirmed: Iterable[tuple[int, int]] = ()) -> None:
        """Deliver a partition from here on: below `floor` and in these ranges everything is confirmed."""
        self._partitions[partition] = _Partition(OffsetRanges(floor, confirmed))
        self._turn.append(partition)

    @property
    def partitions(self) -> Sequence[int]:
        """The partitions that are delivered."""
        return tuple(self._partitions)

    @property
    def unconfirmed(self) -> int:
        """Records that were read and are not confirmed."""
        return sum(one.unconfirmed for one in self._partitions.values())

    @property
    def handed_out(self) -> int:
        """Records that consumers have in hand."""
        return sum(len(one.out) for one in self._partitions.values())

    @property
    def has_ready(self) -> bool:
        """Whether there is something to hand out."""
        return any(one.ready or one.ready_again for one in self._partitions.values())

    # --- reading ------------------------------------------------------------------------------------------------------

    def wants(self, partition: int) -> int | None:
        """The offset to read from next; None while nothing more may be held in memory."""
        one = self._partitions[partition]
        if self.ready_bytes >= self._limits.fetch_ahead_bytes:
            return None
        if one.again or one.dead:
            return min(min(part) for part in (one.again, one.dead) if part)
        return one.cursor if self.unconfirmed < self._limits.max_unconfirmed else None

    def fetched(
        self, partition: int, offset: int, records: Sequence[StoredRecord], next_offset: int
    ) -> list[StoredRecord]:
        """Take in what was read from `offset` up to `next_offset`; returns the records that are to be put aside."""
        one = self._partitions[partition]
        dead: list[StoredRecord] = []
        if one.again or one.dead:
            dead = [record for record in records if record.offset in one.dead]
            self._read_again(partition, offset, records, next_offset)
        if offset <= one.cursor < next_offset:
            self._read_on(partition, records, next_offset)
        return dead

    def skip_to(self, partition: int, offset: int) -> int:
        """What lies below cannot be read any more; returns how many offsets were given up."""
        one = self._partitions[partition]
        before = one.confirmed.floor
        known = sum(min(end, offset) - start for start, end in one.confirmed if start < offset)
        for state in (one.out, one.attempts):
            for key in [key for key in state if key < offset]:
                del state[key]
        for waiting in (one.again, one.dead):
            waiting.difference_update([key for key in waiting if key < offset])
        for ready in (one.ready, one.ready_again):
            kept = [record for record in ready if record.offset >= offset]
            self.ready_bytes -= sum(map(_size, ready)) - sum(map(_size, kept))
            ready.clear()
            ready.extend(kept)
        one.confirmed.raise_floor(offset)
        one.cursor = max(one.cursor, offset)
        self._changed.add(partition)
        lost = max(0, offset - before - known)
        self.lost += lost
        return lost

    def buried(self, partition: int, offsets: Iterable[int]) -> None:
        """These were put aside: they are done with."""
        one = self._partitions[partition]
        for offset in offsets:
            if offset in one.dead:
                one.dead.remove(offset)
                one.settle(offset)
                self._changed.add(partition)

    def _read_again(self, partition: int, offset: int, records: Sequence[StoredRecord], next_offset: int) -> None:
        one = self._partitions[partition]
        again = [record for record in records if record.offset in one.again]
        one.again.difference_update(record.offset for record in again)
        one.ready_again.extend(again)
        self.ready_bytes += sum(map(_size, again))
        there = {record.offset for record in records}
        for gone in [key for key in one.again | one.dead if offset <= key < next_offset and key not in there]:
            one.again.discard(gone)
            one.dead.discard(gone)
            one.settle(gone)
            self.lost += 1
            self._changed.add(partition)

    def _read_on(self, partition: int, records: Sequence[StoredRecord], next_offset: int) -> None:
        one = self._partitions[partition]
        room = self._limits.max_unconfirmed - self.unconfirmed
        new = [record for record in records if record.offset >= one.cursor and record.offset not in one.confirmed]
        if len(new) > room:
            new = new[: max(0, room)]
            next_offset = new[-1].offset + 1 if new else one.cursor
        one.ready.extend(new)
        self.ready_bytes += sum(map(_size, new))
        if len(new) < next_offset - one.cursor:
            self._close_gaps(partition, new, next_offset)
        one.cursor = max(one.cursor, next_offset, one.confirmed.floor)

    def _close_gaps(self, partition: int, new: Iterable[StoredRecord], next_offset: int) -> None:
        """Offsets without a record, which a failed sync leaves, are nobody's to confirm."""
        one = self._partitions[partition]
        expected = one.cursor
        for record in new:
            one.confirmed.add(expected, record.offset)
            expected = record.offset + 1
        one.confirmed.add(expected, next_offset)
        self._changed.add(partition)

    # --- handing out --------------------------------------------------------------------------------------------------

    def take(self, max_messages: int, max_bytes: int, ack_wait: int, now: int) -> list[Handed]:
        """Hand out what is ready, what was delivered before first; one that is larger than `max_bytes` comes alone.

        Whoever has it may confirm it for `ack_wait` milliseconds from `now`.
        """
        taken: list[Handed] = []
        room = max_bytes
        for _ in range(len(self._turn)):
            partition = self._turn[0]
            self._turn.rotate(-1)
            one = self._partitions[partition]
            while ready := one.ready_again or one.ready:
                size = _size(ready[0])
                if len(taken) == max_messages or (taken and size > room):
                    return taken
                room -= size
                self.ready_bytes -= size
                taken.append(Handed(record := ready.popleft(), self._hand(partition, record.offset, now + ack_wait)))
        return taken

    def _hand(self, partition: int, offset: int, expires: int) -> Handler:
        one = self._partitions[partition]
        number = one.attempts[offset] = one.attempts.get(offset, 0) + 1
        one.out[offset] = _Out(number, expires)
        heappush(self._expiries, (expires, partition, offset, number))
        self.delivered += 1
        self.redelivered += number > 1
        return Handler(partition, offset, number, expires)

    # --- what comes back ----------------------------------------------------------------------------------------------

    def settle(self, verdicts: Iterable[Verdict], now: int) -> tuple[int, int]:
        """Take what consumers say; returns how many deliveries count as success, and how many as failed.

        A verdict that is late counts as failed. A success that is told twice in time counts each time, so that a
        confirmation whose answer was lost can be sent again.
        """
        success = fail = 0
        for handler, succeeded in verdicts:
            if self._settle(handler, now, succeeded=succeeded):
                success += 1
            else:
                fail += 1
        return success, fail

    def _settle(self, handler: Handler, now: int, *, succeeded: bool) -> bool:
        one = self._partitions.get(handler.partition)
        if one is None:
            return False
        in_time = now < handler.expires
        if one.out.get(handler.offset) == (handler.number, handler.expires) and in_time:
            del one.out[handler.offset]
            if succeeded:
                one.settle(handler.offset)
                self._changed.add(handler.partition)
            else:
                self.failed += 1
                self._fail(one, handler.offset)
            return succeeded
        if succeeded and in_time and handler.offset in one.confirmed:
            return True
        self.late += succeeded
        return False

    def expire(self, now: int) -> int:
        """Deliveries that were not confirmed in time are to be made again; returns how many."""
        count = 0
        while self._expiries and self._expiries[0][0] <= now:
            expires, partition, offset, number = heappop(self._expiries)
            one = self._partitions[partition]
            if one.out.get(offset) == (number, expires):
                del one.out[offset]
                self._fail(one, offset)
                count += 1
        self.expired += count
        return count

    def next_expiry(self) -> int | None:
        """When `expire` has something to do next, or a little before."""
        stale = len(self._expiries) - self.handed_out
        if stale > _STALE_EXPIRIES and stale > len(self._expiries) // 2:
            self._expiries = [
                entry
                for entry in self._expiries
                if self._partitions[entry[1]].out.get(entry[2]) == (entry[3], entry[0])
            ]
            heapify(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def take_changed(self) -> Mapping[int, OffsetRanges]:
        """What is confirmed in the partitions where that has changed since the last call."""
        changed = {partition: self._partitions[partition].confirmed for partition in self._changed}
        self._changed.clear()
        return changed

    def put_back(self, partitions: Iterable[int]) -> None:
        """What changed there could not be stored: it counts as changed again."""
        self._changed.update(partitions)

    def _fail(self, one: _Partition, offset: int) -> None:
        exhausted = one.attempts.get(offset, 0) >= self._limits.max_deliveries
        (one.dead if exhausted else one.again).add(offset)


def _size(record: StoredRecord) -> int:
    return len(record.value or b"")
