"""One group of HTTP consumers: hands messages out, takes what became of them, and reads ahead."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog
import trio

from actors.consumer_group.groups import GroupReference
from actors.consumer_group.membership import Membership
from actors.consumer_group.messages import Assignment
from actors.errors import ActorGone, MemberFencedError, PenstockError
from actors.records import Confirmed
from actors.runtime.actor import Actor, fail_replies
from actors.runtime.mailbox import Mailbox
from actors.topic_gateway.deliveries import Deliveries, DeliveryCounters, DeliveryLimits
from actors.topic_gateway.messages import HttpGroupMessage, Settle, Take
from actors.topic_gateway.reading import MakeDeadLetters, Reading
from actors.topic_partition.topic import Topics
from config.resources.tasks import OnDamage

log = structlog.get_logger()

MAILBOX_MESSAGES = 1024
MEMBER = "http"
# Without a consumer for so long the group has no member: what was read ahead is let go, and a reset needs no force.
ABSENT_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_LEAST_SWEEP = 64


@dataclass(frozen=True, slots=True)
class HttpGroupStatistics:
    """A group of HTTP consumers as it stands: messages in hand, calls that wait, counters, and what it holds for."""

    handed_out: int
    unconfirmed: int
    waiting: int
    counters: DeliveryCounters
    holding: str


class HttpGroupActor(Actor[HttpGroupMessage]):
    """The one member of a group of HTTP consumers; all partitions are its own.

    The owner takes messages; its helper reads ahead. What consumers have in hand is known in memory only: after a
    restart every handler is late, and what was not confirmed is delivered again.
    """

    def __init__(
        self,
        group: GroupReference,
        topics: Topics,
        limits: DeliveryLimits,
        *,
        make_dead_letters: MakeDeadLetters,
        on_damage: OnDamage = "stop",
        clock: Callable[[], float] = time.time,
    ) -> None:
        name = f"consumers of {group.name}"
        super().__init__(name, Mailbox(name, MAILBOX_MESSAGES))
        self._group = group
        self._topics = topics
        self._limits = limits
        self._clock = clock
        self._membership = Membership(group, MEMBER, self._poke)
        self._joined = False
        self._reading = Reading(topics, group.topic, group.name, make_dead_letters, on_damage)
        self._counters = DeliveryCounters()
        self._deliveries = self._fresh()
        self._waiting: deque[Take] = deque()
        self._sweep_at = _LEAST_SWEEP
        self._in_hand: Sequence[HttpGroupMessage] = ()
        self._poked = False
        self._sleep: trio.CancelScope | None = None
        self._room = trio.Event()
        self._heard_at = 0.0
        self._store_at = float("inf")

    async def serve(self, started: Callable[[], None]) -> None:
        """Serve consumers until sealed; what they confirmed is stored before the end."""
        self._heard_at = trio.current_time()
        started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_ahead)
                await self._work()
                nursery.cancel_scope.cancel()
        finally:
            self._leave()
            gone = ActorGone(self.name)
            fail_replies(self._in_hand, gone)
            fail_replies(self._waiting, gone)

    def statistics(self) -> HttpGroupStatistics:
        """The group as it stands."""
        return HttpGroupStatistics(
            handed_out=self._deliveries.handed_out,
            unconfirmed=self._deliveries.unconfirmed,
            waiting=len(self._waiting),
            counters=self._counters,
            holding=next(iter(self._reading.holding.values()), ""),
        )

    # --- the owner ----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            try:
                self._in_hand = await self._receive()
            except trio.EndOfChannel:
                return
            if self._in_hand:
                self._heard_at = trio.current_time()
            self._follow_group()
            settles: list[Settle] = []
            for message in self._in_hand:
                match message:
                    case Take():
                        self._waiting.append(message)
                    case Settle():
                        settles.append(message)
                    case _:
                        assert_never(message)
            await self._settle(settles)
            self._in_hand = ()
            self._hand_out()
            self._wake_reader()

    async def _receive(self) -> list[HttpGroupMessage]:
        """What lies in the mailbox; nothing where something else is to be done first."""
        # First what is there: else what is due by now would cut off the receiving of what came before it.
        await trio.lowlevel.checkpoint()
        messages = self.mailbox.get_all_nowait()
        if messages or self._poked:
            self._poked = False
            return messages
        with trio.CancelScope(deadline=self._due()) as self._sleep:
            return await self.mailbox.get_all()
        return []

    def _due(self) -> float:
        now = trio.current_time()
        due = min(self._membership.due_at, self._store_at) if self._joined else self._store_at
        expiry = self._deliveries.next_expiry()
        if expiry is not None:
            due = min(due, now + max(0.0, expiry / 1000 - self._clock()))
        if self._joined and not self._consumers_here:
            due = min(due, max(self._heard_at + ABSENT_SECONDS, now + _RETRY_SECONDS))
        return due

    def _poke(self) -> None:
        """Something has happened that the owner should look at."""
        self._poked = True
        if self._sleep is not None:
            self._sleep.cancel()

    def _wake_in_time(self) -> None:
        """What was handed out while the owner sleeps may expire before it wanted to wake up."""
        if self._sleep is not None:
            self._sleep.deadline = self._due()

    @property
    def _consumers_here(self) -> bool:
        return bool(self._waiting) or self._deliveries.handed_out > 0

    def _follow_group(self) -> None:
        if self._consumers_here or self._deliveries.has_changed or not self._long_absent:
            try:
                assignment = self._membership.hear()
            except MemberFencedError as error:
                self._start_anew(str(error))
            else:
                if assignment is not None:
                    self._take_up(assignment)
            self._joined = True
            self._membership.join(frozenset(self._deliveries.partitions))
            if trio.current_time() >= self._membership.due_at:
                idle = self._group.statistics().lag == 0
                self._membership.beat(idle=idle, in_hand=self._deliveries.worked_on)
        elif self._joined:
            self._leave()
            self._deliveries = self._fresh()

    @property
    def _long_absent(self) -> bool:
        return trio.current_time() - self._heard_at >= ABSENT_SECONDS

    def _leave(self) -> None:
        if self._joined:
            self._joined = False
            self._membership.leave()

    def _take_up(self, assignment: Assignment) -> None:
        for partition in sorted(assignment.partitions.difference(self._deliveries.partitions)):
            position = assignment.positions.get(partition)
            self._deliveries.begin(partition, position or Confirmed(self._start(partition)))
        self._wake_reader()

    def _start(self, partition: int) -> int:
        """Where to begin what the group never read: with the oldest message there is."""
        topic = self._topics.get(self._group.topic)
        try:
            return topic.partitions[partition].start_offset if topic is not None else 0
        except (ActorGone, IndexError):
            return 0

    def _start_anew(self, reason: str) -> None:
        """Everything that was handed out is another's to deliver now; its handlers are late."""
        log.info("group starts anew for its HTTP consumers", group=self._group.name, reason=reason)
        self._deliveries = self._fresh()

    def _fresh(self) -> Deliveries:
        return Deliveries(self._limits, self._counters)

    # --- answers ------------------------------------------------------------------------------------------------------

    async def _settle(self, settles: Sequence[Settle]) -> None:
        """Take all verdicts that wait, store them in one go, and only then answer."""
        told = [(settle.reply, self._deliveries.settle(settle.verdicts, settle.at)) for settle in settles]
        # Not before: what was said in time may have waited here for the store.
        self._deliveries.expire(self._now())
        self._store_at = float("inf")
        error = await self._store() if self._deliveries.has_changed else None
        for reply, counts in told:
            if error is None:
                reply.set(counts)
            else:
                reply.fail(error)

    async def _store(self) -> PenstockError | None:
        deliveries = self._deliveries
        changed = deliveries.take_changed()
        try:
            await self._membership.confirm(changed)
        except MemberFencedError as error:
            self._start_anew(str(error))
            # The group may think that it still has a member which reads.
            self._membership.join(frozenset(), again=True)
            return error
        except PenstockError as error:
            deliveries.put_back(changed)
            self._store_at = trio.current_time() + _RETRY_SECONDS
            return error
        return None

    def _hand_out(self) -> None:
        """Answer who waits, oldest first, as long as there is something."""
        while self._waiting:
            take = self._waiting[0]
            if take.reply.done:
                self._waiting.popleft()
                continue
            handed = self._deliveries.take(take.max_messages, take.max_bytes, take.ack_wait * 1000, self._now())
            if not handed:
                break
            self._waiting.popleft()
            take.reply.set(handed)
        if len(self._waiting) >= self._sweep_at:
            self._waiting = deque(take for take in self._waiting if not take.reply.done)
            self._sweep_at = max(_LEAST_SWEEP, 2 * len(self._waiting))

    def _now(self) -> int:
        return int(self._clock() * 1000)

    # --- the helper: reads ahead --------------------------------------------------------------------------------------

    async def _read_ahead(self) -> None:
        while True:
            deliveries = self._deliveries
            self._room = trio.Event()
            moved = False
            for partition in deliveries.partitions:
                if deliveries is self._deliveries and await self._reading.read(deliveries, partition):
                    moved = True
                    self._hand_out()
                    self._wake_in_time()
                    if deliveries.has_changed and self._store_at == float("inf"):
                        self._store_soon()
            if not moved:
                await self._reading.wait(deliveries, self._room)

    def _store_soon(self) -> None:
        """What was put aside or is gone is no consumer's to wait for."""
        self._store_at = trio.current_time()
        self._poke()

    def _wake_reader(self) -> None:
        self._room.set()
