"""One consumer group: takes its members' messages, answers those whose partitions change, stores offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

import structlog
import trio

from actors.consumer_group.core import GroupCore
from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import (
    Assignment,
    Commit,
    GroupMessage,
    GroupStatistics,
    Join,
    Leave,
    MemberStatus,
    Watermarks,
)
from actors.errors import ActorGone, PenstockError
from actors.ports import OffsetStore
from actors.records import TopicPartition
from actors.runtime.actor import Actor
from actors.runtime.mailbox import Mailbox
from actors.runtime.reply import Reply

log = structlog.get_logger()

MAILBOX_MESSAGES = 1024


class GroupActor(Actor[GroupMessage]):
    """Owner of one group's members, assignment and offsets.

    `watermarks` tells the readable offsets of each partition of the topic as they are now; more of them than before
    are new partitions. Committed offsets are taken into memory at once, and stored by a helper every `save_interval`
    seconds and at the end, so that a slow store holds up no commit: for a transactional sink they are a copy anyway.
    """

    def __init__(
        self,
        reference: GroupReference,
        watermarks: Callable[[], Sequence[Watermarks]],
        store: OffsetStore,
        *,
        save_interval: float = 1.0,
    ) -> None:
        name = f"group {reference.name}"
        super().__init__(name, Mailbox(name, MAILBOX_MESSAGES))
        self._reference = reference
        self._watermarks = watermarks
        self._store = store
        self._save_interval = save_interval
        self._core = GroupCore(0, {})
        self._open: dict[str, Reply[Assignment]] = {}
        self._store_answers = True

    async def serve(self, started: Callable[[], None]) -> None:
        """Load the offsets, then serve members until sealed; what was committed is stored before the end."""
        stored = await self._store.load_offsets(self._reference.name)
        # A group that reads another topic now may have offsets of the one before, which are kept for a way back.
        topic = self._reference.topic
        committed = {source.partition: offset for source, offset in stored.items() if source.topic == topic}
        self._core = GroupCore(len(self._watermarks()), committed)
        self._reference.attach(self.mailbox, self.statistics)
        started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._store_regularly)
                await self._take_messages()
                nursery.cancel_scope.cancel()
            await self._save()
        finally:
            self._fail_open()

    def statistics(self) -> GroupStatistics:
        """The group as it stands; lag is reckoned from the high watermarks of this moment."""
        core = self._core
        return GroupStatistics(
            group=self._reference.name,
            topic=self._reference.topic,
            generation=core.generation,
            members=tuple(MemberStatus(name) for name in core.members),
            partitions=tuple(core.progress(self._watermarks())),
            refused_commits=core.refused_commits,
        )

    async def _take_messages(self) -> None:
        while True:
            try:
                messages = await self.mailbox.get_all()
            except trio.EndOfChannel:
                return
            for message in messages:
                self._take(message)
            self._answer()

    def _take(self, message: GroupMessage) -> None:
        match message:
            case Join(member=member, owned=owned, reply=reply):
                self._core.join(member, owned)
                self._supersede(member)
                self._open[member] = reply
            case Leave(member):
                self._core.leave(member)
                self._supersede(member)
            case Commit(member, offsets):
                self._core.commit(member, offsets)
            case _:
                assert_never(message)

    def _answer(self) -> None:
        """Answer every member whose partitions are to change."""
        generation = self._core.generation
        for member in list(self._open):
            assignment = self._core.assignment(member)
            if assignment is not None:
                self._open.pop(member).set(assignment)
                log.info(
                    "partitions assigned",
                    group=self._reference.name,
                    member=member,
                    partitions=sorted(assignment.partitions),
                    generation=generation,
                )

    def _supersede(self, member: str) -> None:
        earlier = self._open.pop(member, None)
        if earlier is not None:
            earlier.fail(ActorGone(self.name))

    def _fail_open(self) -> None:
        for member in list(self._open):
            self._supersede(member)

    # --- the helper: offsets on their way to the store, and a look at how many partitions there are ------------------

    async def _store_regularly(self) -> None:
        while True:
            await trio.sleep(self._save_interval)
            self._core.resize(len(self._watermarks()))
            self._answer()
            await self._save()

    async def _save(self) -> None:
        changed = self._core.take_changed()
        if not changed:
            return
        topic = self._reference.topic
        offsets = {TopicPartition(topic, partition): offset for partition, offset in changed.items()}
        stored = False
        try:
            await self._store.save_offsets(self._reference.name, offsets)
            stored = True
        except PenstockError as error:
            if self._store_answers:
                log.warning("offsets not stored, trying again", group=self._reference.name, reason=str(error))
        finally:
            if not stored:
                self._core.put_back(changed)
            self._store_answers = stored
