"""The groups by name, and the reference through which a member reaches its group over all of the group's lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.consumer_group.messages import Assignment, Commit, GroupMessage, GroupStatistics, Join, Leave
from actors.errors import ActorGone
from actors.runtime.mailbox import Mailbox
from actors.runtime.reply import Reply


class GroupReference:
    """The way to a group. It outlives the group's actor: a restarted actor attaches itself anew.

    Each method raises ActorGone while no actor is attached or the attached one has ended.
    """

    def __init__(self, name: str, topic: str) -> None:
        self.name = name
        self.topic = topic
        self._mailbox: Mailbox[GroupMessage] | None = None
        self._statistics: Callable[[], GroupStatistics] | None = None

    def attach(self, mailbox: Mailbox[GroupMessage], statistics: Callable[[], GroupStatistics]) -> None:
        """From now on, this is the group."""
        self._mailbox = mailbox
        self._statistics = statistics

    def join(self, member: str, owned: frozenset[int], notify: Callable[[], None]) -> Reply[Assignment]:
        """Say what the member reads; the answer comes once that is to change. One is open for each member at most."""
        reply: Reply[Assignment] = Reply(notify)
        self._live().submit(Join(member, owned, reply=reply))
        return reply

    async def commit(self, member: str, offsets: Mapping[int, int]) -> None:
        """Say how far the member has come: for each partition the next offset to read."""
        await self._live().put(Commit(member, offsets))

    def leave(self, member: str) -> None:
        """Give up all partitions; safe to call while being cancelled."""
        self._live().submit(Leave(member))

    def statistics(self) -> GroupStatistics:
        """Members, committed offsets and lag as they are now; of a group that has ended, as they were at its end."""
        if self._statistics is None:
            return GroupStatistics(self.name, self.topic, 0, (), ())
        return self._statistics()

    def _live(self) -> Mailbox[GroupMessage]:
        if self._mailbox is None:
            raise ActorGone(f"group {self.name}")
        return self._mailbox


class Groups:
    """Registry of the groups, owned by whoever composes the tree."""

    def __init__(self) -> None:
        self._groups: dict[str, GroupReference] = {}

    def add(self, name: str, topic: str) -> GroupReference:
        """A reference for a new group.

        Raises:
            ValueError: there is a group of that name.
        """
        if name in self._groups:
            raise ValueError(f"there is already a group named {name}")
        reference = self._groups[name] = GroupReference(name, topic)
        return reference

    def get(self, name: str) -> GroupReference | None:
        """The reference of a group, or None where there is no such group."""
        return self._groups.get(name)

    def discard(self, name: str) -> None:
        """Forget a group; unknown names are no error."""
        self._groups.pop(name, None)
