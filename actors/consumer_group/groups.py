"""The groups by name, and the reference through which a member reaches its group over all of the group's lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import trio

from actors.consumer_group.messages import (
    Assignment,
    Commit,
    Confirm,
    GroupKind,
    GroupMessage,
    GroupStatistics,
    Heartbeat,
    Hold,
    Join,
    Leave,
    Release,
)
from actors.errors import ActorGone, GroupConflictError
from actors.records import Confirmed
from actors.runtime.mailbox import Mailbox
from actors.runtime.reply import Reply


class GroupReference:
    """The way to a group. It outlives the group's actor: a restarted actor attaches itself anew.

    A member joins, and does so again after each answer (see `Join`); it says something at least every
    `heartbeat_interval` seconds, else it is thrown out after the session time-out. Each method raises ActorGone while
    no actor is attached or the attached one has ended.

    `generation` is that of the last change of membership, over all lives of the actor.
    """

    def __init__(self, name: str, topic: str, *, kind: GroupKind = "task", heartbeat_interval: float = 10.0) -> None:
        self.name = name
        self.topic = topic
        self.kind: GroupKind = kind
        self.heartbeat_interval = heartbeat_interval
        self.generation = 0
        self._mailbox: Mailbox[GroupMessage] | None = None
        self._statistics: Callable[[], GroupStatistics] | None = None

    def attach(self, mailbox: Mailbox[GroupMessage], statistics: Callable[[], GroupStatistics]) -> None:
        """From now on, this is the group."""
        self._mailbox = mailbox
        self._statistics = statistics

    def join(
        self,
        member: str,
        owned: frozenset[int],
        notify: Callable[[], None],
        *,
        generation: int = 0,
        seconds: Mapping[str, float] | None = None,
    ) -> Reply[Assignment]:
        """Say what the member reads; the answer comes once that is to change. One is open for each member at most.

        `generation` is that of the member's last assignment, `seconds` its own counters of time by step. The answer
        is MemberFencedError where the member is thrown out: it reads nothing any more, and may join anew.
        """
        reply: Reply[Assignment] = Reply(notify)
        self._live().submit(Join(member, owned, generation, seconds or {}, reply))
        return reply

    def heartbeat(self, member: str, *, idle: bool = False, in_hand: int = 0) -> None:
        """Say that the member is alive, whether it has read all there is, and how much of it is worked on elsewhere.

        Commits and joins are signs of life as well.
        """
        # A group that has no room for it does not look for who is silent either.
        self._live().offer(Heartbeat(member, idle, in_hand))

    async def commit(self, member: str, generation: int, offsets: Mapping[int, int]) -> None:
        """Say how far the member has come: for each partition the next offset to read. Stored from time to time.

        What is not from an owner is counted and left out; a member that is thrown out hears of it by its Join.
        """
        await self._live().put(Commit(member, generation, offsets))

    async def confirm(self, member: str, generation: int, positions: Mapping[int, Confirmed]) -> None:
        """Say how far the member has come, and wait until that is stored and synced.

        Confirmations that wait at the same time share one transaction. Cancelled, or after an error of the store, they
        may be stored or not. However long the store takes, the member counts as alive meanwhile.

        Raises:
            MemberFencedError: they are not the member's to confirm (any more); nothing was taken.
            StorageError: the store refused them.
        """
        reply: Reply[None] = Reply()
        await self._live().put(Confirm(member, generation, positions, reply))
        while not reply.done:
            with trio.move_on_after(self.heartbeat_interval):
                await reply.wait()
            if not reply.done:
                with suppress(ActorGone):
                    self.heartbeat(member)
        reply.value()

    def leave(self, member: str) -> None:
        """Give up all partitions; safe to call while being cancelled."""
        self._live().submit(Leave(member))

    async def hold(self, *, force: bool, seconds: float) -> None:
        """Throw the members out where that is forced, and assign nothing until `release`, or for so many seconds.

        Raises:
            GroupBusyError: there are members, and it is not forced.
        """
        reply: Reply[None] = Reply()
        await self._live().put(Hold(force, seconds, reply))
        await reply.wait()

    def release(self, offsets: Mapping[int, int]) -> Reply[None]:
        """Go on, from these offsets where any are given; the answer comes once they are stored and synced."""
        reply: Reply[None] = Reply()
        self._live().submit(Release(offsets, reply))
        return reply

    def statistics(self) -> GroupStatistics:
        """Members, positions, lag and rates as they are now; of a group that has ended, with the members it had."""
        if self._statistics is None:
            return GroupStatistics(self.name, self.topic, self.generation, (), (), kind=self.kind)
        return self._statistics()

    def _live(self) -> Mailbox[GroupMessage]:
        if self._mailbox is None:
            raise ActorGone(f"group {self.name}")
        return self._mailbox


class Groups:
    """Registry of the groups, owned by whoever composes the tree."""

    def __init__(self, *, heartbeat_interval: float = 10.0) -> None:
        self._groups: dict[str, GroupReference] = {}
        self._heartbeat_interval = heartbeat_interval

    def __iter__(self) -> Iterator[GroupReference]:
        return iter(tuple(self._groups.values()))

    def add(self, name: str, topic: str, kind: GroupKind = "task") -> GroupReference:
        """A reference for a new group.

        Raises:
            ValueError: there is a group of that name.
        """
        if name in self._groups:
            raise ValueError(f"there is already a group named {name}")
        reference = GroupReference(name, topic, kind=kind, heartbeat_interval=self._heartbeat_interval)
        self._groups[name] = reference
        return reference

    def get(self, name: str) -> GroupReference | None:
        """The reference of a group, or None where there is no such group."""
        return self._groups.get(name)

    def find(self, name: str, topic: str, kind: GroupKind) -> GroupReference | None:
        """The group of this name for such members, or None where the name is free.

        Raises:
            GroupConflictError: the group of that name is for others, or reads another topic.
        """
        found = self._groups.get(name)
        if found is None:
            return None
        if found.kind != kind:
            whose = {"task": "the runners of a task", "http": "HTTP consumers"}[found.kind]
            raise GroupConflictError(
                f"group {name} is one of {whose}: a group has one kind of members; take another name"
            )
        if found.topic != topic:
            raise GroupConflictError(f"group {name} reads topic {found.topic}, not {topic}; take another name")
        return found

    def discard(self, name: str) -> None:
        """Forget a group; unknown names are no error."""
        self._groups.pop(name, None)
