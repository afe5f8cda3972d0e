"""One partition of a group of HTTP consumers: which of its messages are where. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import nlargest
from typing import NamedTuple

from actors.records import Confirmed, StoredRecord
from actors.topic_gateway.ranges import OffsetRanges

# Of so many messages of a partition it is stored how often they came back: those that did most often.
MAX_KEPT_FAILURES = 1000


class Out(NamedTuple):
    """A message that is out: the number of its delivery, until when it may be confirmed (ms), its record if kept."""

    number: int
    expires: int
    record: StoredRecord | None


class PartitionDeliveries:
    """The states of one partition's offsets, and how often its messages came back (see `deliveries`)."""

    __slots__ = ("again", "confirmed", "cursor", "dead", "failed", "out", "ready", "ready_again")

    def __init__(self, confirmed: OffsetRanges, failed: Iterable[tuple[int, int]]) -> None:
        self.confirmed = confirmed
        # How often each message came back.
        self.failed = {offset: count for offset, count in failed if offset not in confirmed}
        self.cursor = confirmed.floor
        self.ready: deque[StoredRecord] = deque()
        self.ready_again: deque[StoredRecord] = deque()
        self.out: dict[int, Out] = {}
        # To be read once more: to be delivered again, or to be put aside.
        self.again: set[int] = set()
        self.dead: set[int] = set()

    @property
    def unconfirmed(self) -> int:
        """Messages that were handed out and are not done with."""
        return len(self.out) + len(self.again) + len(self.ready_again) + len(self.dead)

    def settle(self, offset: int) -> None:
        """Nothing more is to be done about an offset."""
        self.failed.pop(offset, None)
        self.confirmed.add(offset)

    def skip_to(self, offset: int) -> int:
        """Forget all below; returns how many offsets there were not confirmed."""
        known = sum(min(end, offset) - start for start, end in self.confirmed if start < offset)
        lost = max(0, offset - self.confirmed.floor - known)
        self.again = {key for key in self.again if key >= offset}
        self.dead = {key for key in self.dead if key >= offset}
        self.failed = {key: count for key, count in self.failed.items() if key >= offset}
        self.confirmed.raise_floor(offset)
        self.cursor = max(self.cursor, offset)
        return lost

    def position(self) -> Confirmed:
        """What is to be stored."""
        failed = self.failed.items()
        if len(failed) > MAX_KEPT_FAILURES:
            return self._position(nlargest(MAX_KEPT_FAILURES, failed, key=lambda one: (one[1], -one[0])))
        return self._position(failed)

    def _position(self, failed: Iterable[tuple[int, int]]) -> Confirmed:
        return Confirmed(self.confirmed.floor, tuple(self.confirmed), tuple(sorted(failed)))
