"""One consumer group: takes its members' messages, answers those whose partitions change, stores positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, assert_never

import structlog
import trio

from actors.consumer_group.core import GroupCore
from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import (
    Assignment,
    Commit,
    Confirm,
    GroupMessage,
    GroupStatistics,
    Heartbeat,
    Hold,
    Join,
    LagSample,
    Leave,
    Release,
    Watermarks,
)
from actors.consumer_group.prediction import drain_seconds
from actors.errors import ActorGone, GroupBusyError, MemberFencedError, PenstockError
from actors.ports import OffsetStore
from actors.records import TopicPartition
from actors.runtime.actor import Actor
from actors.runtime.mailbox import Mailbox
from actors.runtime.reply import Reply
from config.settings import GroupSettings

log = structlog.get_logger()

MAILBOX_MESSAGES = 1024
# How often the owner looks for members that went silent and for new partitions; more often for short sessions.
TICK_SECONDS = 1.0
_TICKS_A_SESSION = 10


class Source(Protocol):
    """The group's topic, as the group sees it."""

    def watermarks(self) -> Sequence[Watermarks]:
        """What can be read of each partition now; more of them than before are new partitions."""

    async def sample(self, partition: int, offset: int) -> LagSample:
        """What lies in a partition from `offset` on; PenstockError where the log does not tell."""


class GroupActor(Actor[GroupMessage]):
    """Owner of one group's members, assignment and positions.

    Committed offsets are taken into memory at once, and stored by a helper every `save_interval` seconds and at the
    end, so that a slow store holds up no commit: for a transactional sink they are a copy anyway. Confirmed positions
    are the only truth: the helper stores all that wait in one transaction, and only then are they answered. A second
    helper looks at what waits (bytes and age), so that a slow disk holds up neither.
    """

    def __init__(
        self,
        reference: GroupReference,
        source: Source,
        store: OffsetStore,
        *,
        settings: GroupSettings | None = None,
        save_interval: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        name = f"group {reference.name}"
        super().__init__(name, Mailbox(name, MAILBOX_MESSAGES))
        self._reference = reference
        self._source = source
        self._store = store
        self._settings = settings or GroupSettings()
        self._save_interval = save_interval
        self._clock = clock
        self._core = GroupCore(0, {}, now=trio.current_time())
        self._open: dict[str, Reply[Assignment]] = {}
        self._unstored: list[Reply[None]] = []
        self._to_store = trio.Event()
        self._store_answers = True

    async def serve(self, started: Callable[[], None]) -> None:
        """Load the positions, then serve members until sealed; what was committed is stored before the end."""
        stored = await self._store.load_confirmed(self._reference.name)
        # A group that reads another topic now may have positions of the one before, which are kept for a way back.
        topic = self._reference.topic
        self._core = GroupCore(
            len(self._source.watermarks()),
            {at.partition: position for at, position in stored.items() if at.topic == topic},
            now=trio.current_time(),
            generation=self._reference.generation,
            session_timeout=self._settings.session_timeout,
        )
        self._reference.attach(self.mailbox, self.statistics)
        started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._store_regularly)
                nursery.start_soon(self._look_regularly)
                await self._take_messages()
                nursery.cancel_scope.cancel()
            await self._save()
        finally:
            self._fail_open()

    def statistics(self) -> GroupStatistics:
        """The group as it stands; lag is reckoned from the high watermarks of this moment."""
        core, now = self._core, trio.current_time()
        partitions = tuple(core.positions.progress(self._source.watermarks(), core.readers, now, self._clock() * 1000))
        return GroupStatistics(
            group=self._reference.name,
            topic=self._reference.topic,
            generation=core.generation,
            members=tuple(core.member_statuses(now)),
            partitions=partitions,
            refused_commits=core.refused_commits,
            kind=self._reference.kind,
            rebalances=core.rebalances(now),
            expelled=tuple(core.expelled(now)),
            drain_seconds=drain_seconds(partitions),
        )

    # --- the owner: messages, and a look around every second -------------------------------------------------------

    async def _take_messages(self) -> None:
        tick = min(TICK_SECONDS, self._settings.session_timeout / _TICKS_A_SESSION)
        look_at = trio.current_time() + tick
        while True:
            messages: Sequence[GroupMessage] = ()
            try:
                with trio.move_on_at(look_at):
                    messages = await self.mailbox.get_all()
            except trio.EndOfChannel:
                return
            now = trio.current_time()
            for message in messages:
                self._take(message, now)
            if now >= look_at:
                self._look_around(now)
                look_at = now + tick
            self._answer(now)
            self._reference.generation = self._core.generation

    def _take(self, message: GroupMessage, now: float) -> None:
        match message:
            case Join():
                self._join(message, now)
            case Leave(member):
                self._core.leave(member, now)
                self._supersede(member, ActorGone(self.name))
            case Heartbeat(member, idle, in_hand):
                self._core.heard(member, now, idle=idle, in_hand=in_hand)
            case Commit(member, generation, offsets):
                self._core.commit(member, generation, offsets, now)
            case Confirm():
                self._confirm(message, now)
            case Hold():
                self._hold(message, now)
            case Release(offsets, reply):
                self._core.release(offsets)
                self._store_now(reply)
            case _:
                assert_never(message)

    def _join(self, message: Join, now: float) -> None:
        self._supersede(message.member, ActorGone(self.name))
        try:
            self._core.join(message.member, message.owned, now, generation=message.generation, seconds=message.seconds)
        except MemberFencedError as error:
            message.reply.fail(error)
        else:
            self._open[message.member] = message.reply

    def _confirm(self, message: Confirm, now: float) -> None:
        try:
            self._core.confirm(message.member, message.generation, message.positions, now)
        except MemberFencedError as error:
            message.reply.fail(error)
        else:
            self._store_now(message.reply)

    def _hold(self, message: Hold, now: float) -> None:
        try:
            thrown = self._core.hold(now, message.seconds, force=message.force)
        except GroupBusyError as error:
            message.reply.fail(GroupBusyError(f"group {self._reference.name}: {error}"))
        else:
            self._tell_thrown_out(thrown, "the group's positions are being set")
            message.reply.set(None)

    def _look_around(self, now: float) -> None:
        self._core.resize(len(self._source.watermarks()), now)
        silent = self._core.expire(now)
        self._tell_thrown_out(silent, f"nothing was heard of it for {self._core.session_timeout:g} s")

    def _tell_thrown_out(self, members: Iterable[str], reason: str) -> None:
        for member in members:
            log.warning("member thrown out", group=self._reference.name, member=member, reason=reason)
            self._supersede(member, MemberFencedError(f"group {self._reference.name} threw {member} out: {reason}"))

    def _answer(self, now: float) -> None:
        """Answer every member whose partitions are to change."""
        for member in list(self._open):
            assignment = self._core.assignment(member, now)
            if assignment is not None:
                self._open.pop(member).set(assignment)
                log.info(
                    "partitions assigned",
                    group=self._reference.name,
                    member=member,
                    partitions=sorted(assignment.partitions),
                    generation=assignment.generation,
                )

    def _supersede(self, member: str, error: PenstockError) -> None:
        earlier = self._open.pop(member, None)
        if earlier is not None:
            earlier.fail(error)

    def _fail_open(self) -> None:
        gone = ActorGone(self.name)
        for member in list(self._open):
            self._supersede(member, gone)
        for reply in self._unstored:
            reply.fail(gone)

    def _store_now(self, reply: Reply[None]) -> None:
        self._unstored.append(reply)
        self._to_store.set()

    # --- the helpers: positions on their way to the store, and a look at what waits --------------------------------

    async def _store_regularly(self) -> None:
        while True:
            with trio.move_on_after(self._save_interval):
                await self._to_store.wait()
            self._to_store = trio.Event()
            await self._save()

    async def _save(self) -> None:
        """Store what changed, in one transaction, and answer whoever waits for that."""
        replies, self._unstored = self._unstored, []
        changed = self._core.positions.take_changed()
        topic = self._reference.topic
        positions = {TopicPartition(topic, partition): position for partition, position in changed.items()}
        stored = False
        try:
            if positions:
                await self._store.save_confirmed(self._reference.name, positions)
            stored = True
        except PenstockError as error:
            if self._store_answers:
                log.warning("positions not stored, trying again", group=self._reference.name, reason=str(error))
            for reply in replies:
                reply.fail(error)
            replies = []
        finally:
            if not stored:
                self._core.positions.put_back(changed)
                self._unstored = replies + self._unstored
            self._store_answers = stored
        for reply in replies:
            reply.set(None)

    async def _look_regularly(self) -> None:
        while True:
            await trio.sleep(self._settings.sample_interval)
            watermarks = self._source.watermarks()
            for partition, offset in list(self._core.positions.waiting(watermarks)):
                try:
                    sample = await self._source.sample(partition, offset)
                except PenstockError:
                    # Damaged, deleted meanwhile, or being restarted: not known then, and told elsewhere.
                    sample = LagSample(None, None)
                self._core.positions.looked_at(partition, offset, watermarks[partition].high, sample)
