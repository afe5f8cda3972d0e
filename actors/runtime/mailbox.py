"""The mailbox: the only queue there is between actors, bounded by weight."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

from actors.errors import ActorGone

M = TypeVar("M")


def one(_message: object) -> int:
    """Weigh every message alike."""
    return 1


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """What a mailbox has seen; weights are in the mailbox's own unit (bytes or items), times in seconds.

    Where messages are sorted, `waited_by` has the seconds by sort, and `kept_by` how many stand in line or are on hold.
    """

    depth: int
    capacity: int
    high_water: int
    messages: int
    in_line: int
    waited: float
    taken: int
    waited_by: Mapping[str, float] = field(default_factory=dict)
    kept_by: Mapping[str, int] = field(default_factory=dict)


class _Place(Generic[M]):
    """A sender's place in line: its message is its own until the mailbox has room."""

    __slots__ = ("admitted", "message", "refused", "since", "weight")

    def __init__(self, message: M, weight: int, since: float, *, waited_on: bool) -> None:
        self.message = message
        self.weight = weight
        self.since = since
        self.admitted: trio.Event | None = trio.Event() if waited_on else None
        self.refused = False


class Mailbox(Generic[M]):
    """A queue of messages for one owner, bounded by weight.

    A message heavier than the whole capacity is taken when the mailbox is empty. Senders are served in the order in
    which they came. `seal` ends intake but lets the owner finish what lies here; `close` ends everything. While some
    messages are on `hold`, the others pass them by. With `sort` it is told of each sort of message how it waits.
    """

    def __init__(
        self, name: str, capacity: int, weigh: Callable[[M], int] = one, *, sort: Callable[[M], str] | None = None
    ) -> None:
        self.name = name
        self._capacity = capacity
        self._weigh = weigh
        self._sort = sort
        self._queue: deque[M] = deque()
        self._line: deque[_Place[M]] = deque()
        self._held: Callable[[M], bool] | None = None
        self._passing: deque[M] = deque()
        self._arrival = trio.lowlevel.ParkingLot()
        self._depth = 0
        self._high_water = 0
        self._waited = 0.0
        self._waited_by: dict[str, float] = {}
        self._taken = 0
        self._sealed = False

    @property
    def sealed(self) -> bool:
        """Whether the mailbox takes nothing new any more."""
        return self._sealed

    def offer(self, message: M) -> bool:
        """Leave a message if there is room now, and say whether there was.

        Raises:
            ActorGone: the mailbox takes nothing any more.
        """
        weight = self._weigh(message)
        if self._sealed:
            raise ActorGone(self.name)
        if self._held is not None and not self._held(message):
            self._pass(message)
            return True
        if self._line or not self._fits(weight):
            return False
        self._accept(message, weight)
        return True

    def submit(self, message: M) -> None:
        """Leave a message, or let it stand in line without waiting for it.

        For senders that bound by themselves what they have standing (a session's inflight bytes) and must go on
        doing other things meanwhile.

        Raises:
            ActorGone: the mailbox takes nothing any more.
        """
        if not self.offer(message):
            self._line.append(_Place(message, self._weigh(message), trio.current_time(), waited_on=False))

    async def put(self, message: M) -> None:
        """Leave a message, waiting for room in the order in which senders came.

        Raises:
            ActorGone: the mailbox takes nothing any more.
        """
        if self.offer(message):
            await trio.lowlevel.checkpoint()
            return
        place = _Place(message, self._weigh(message), trio.current_time(), waited_on=True)
        admitted = place.admitted
        assert admitted is not None  # noqa: S101 - made so one line above
        self._line.append(place)
        try:
            await admitted.wait()
        except trio.Cancelled:
            if not admitted.is_set():
                self._line.remove(place)
                self._admit_line()
            raise
        if place.refused:
            raise ActorGone(self.name)

    async def get(self) -> M:
        """Take the oldest message, waiting for one.

        Raises:
            trio.EndOfChannel: the mailbox is sealed and empty.
        """
        await self._wait_message()
        self._taken += 1
        if self._passing:
            return self._passing.popleft()
        message = self._queue.popleft()
        self._depth -= self._weigh(message)
        self._admit_line()
        return message

    async def get_all(self) -> list[M]:
        """Take everything that lies here and is not on hold, waiting for at least one message.

        Raises:
            trio.EndOfChannel: the mailbox is sealed and empty.
        """
        await self._wait_message()
        return self._take_passing() if self._held is not None else self.get_all_nowait()

    def get_all_nowait(self) -> list[M]:
        """Take everything that lies here, also what is on hold; perhaps nothing."""
        messages = self._take_passing() + list(self._queue)
        self._taken += len(self._queue)
        self._queue.clear()
        self._depth = 0
        self._admit_line()
        return messages

    def hold(self, held: Callable[[M], bool] | None) -> None:
        """Hand out no message of which `held` says True, until told otherwise with None.

        The others pass by, whatever the mailbox weighs meanwhile: they are meant to be few, from senders that wait for
        their answers. To seal the mailbox ends the hold.
        """
        self._held = held
        if held is None:
            if self._queue:
                self._arrival.unpark_all()
            return
        for message in [message for message in self._queue if not held(message)]:
            self._depth -= self._weigh(message)
            self._pass(message)
        self._queue = deque(message for message in self._queue if held(message))
        for place in [place for place in self._line if not held(place.message)]:
            self._line.remove(place)
            self._pass(place.message)
            if place.admitted is not None:
                place.admitted.set()
        self._admit_line()

    def seal(self) -> None:
        """Take nothing new; what lies here or stands in line is still handed out, then `get` says EndOfChannel."""
        self._sealed = True
        self.hold(None)
        if not self._queue:
            self._arrival.unpark_all()

    def close(self) -> list[M]:
        """Take and hand out nothing more; returns what was left, whoever waited in `put` gets ActorGone."""
        self._sealed = True
        left = [*self._passing, *self._queue]
        self._passing.clear()
        self._queue.clear()
        self._depth = 0
        for place in self._line:
            if place.admitted is None:
                left.append(place.message)
            else:
                place.refused = True
                place.admitted.set()
        self._line.clear()
        self._arrival.unpark_all()
        return left

    def statistics(self) -> MailboxStatistics:
        """What the mailbox has seen so far; the wait of whoever stands in line now is counted up to now."""
        now = trio.current_time() if self._line else 0.0
        standing = sum(now - place.since for place in self._line)
        waited_by, kept_by = self._by_sort(now)
        return MailboxStatistics(
            depth=self._depth,
            capacity=self._capacity,
            high_water=self._high_water,
            messages=len(self._queue) + len(self._passing),
            in_line=len(self._line),
            waited=self._waited + standing,
            taken=self._taken,
            waited_by=waited_by,
            kept_by=kept_by,
        )

    def _by_sort(self, now: float) -> tuple[dict[str, float], dict[str, int]]:
        if self._sort is None:
            return {}, {}
        waited_by = dict(self._waited_by)
        for place in self._line:
            sort = self._sort(place.message)
            waited_by[sort] = waited_by.get(sort, 0.0) + now - place.since
        kept = [place.message for place in self._line]
        if self._held is not None:
            kept += self._queue
        return waited_by, dict(Counter(map(self._sort, kept)))

    def _fits(self, weight: int) -> bool:
        return self._depth + weight <= self._capacity or not self._queue

    def _pass(self, message: M) -> None:
        self._passing.append(message)
        if self._arrival:
            self._arrival.unpark()

    def _take_passing(self) -> list[M]:
        messages = list(self._passing)
        self._taken += len(messages)
        self._passing.clear()
        return messages

    def _accept(self, message: M, weight: int) -> None:
        self._queue.append(message)
        self._depth += weight
        self._high_water = max(self._high_water, self._depth)
        if self._arrival:
            self._arrival.unpark()

    def _admit_line(self) -> None:
        if not self._line:
            return
        now = trio.current_time()
        while self._line and self._fits(self._line[0].weight):
            place = self._line.popleft()
            self._count_wait(place.message, now - place.since)
            self._accept(place.message, place.weight)
            if place.admitted is not None:
                place.admitted.set()

    def _count_wait(self, message: M, seconds: float) -> None:
        self._waited += seconds
        if self._sort is not None:
            sort = self._sort(message)
            self._waited_by[sort] = self._waited_by.get(sort, 0.0) + seconds

    async def _wait_message(self) -> None:
        if self._has_message():
            # A checkpoint even when there is something: the other senders of this turn get their messages in too.
            await trio.lowlevel.checkpoint()
        while not self._has_message():
            if self._sealed:
                raise trio.EndOfChannel
            await self._arrival.park()

    def _has_message(self) -> bool:
        return bool(self._passing) or (bool(self._queue) and self._held is None)
