"""The daemon's one membership in a group of HTTP consumers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import Assignment
from actors.errors import ActorGone, MemberFencedError
from actors.records import Confirmed
from actors.runtime.reply import Reply

log = structlog.get_logger()

MEMBER = "http"
REJOIN_SECONDS = 1.0


class Membership:
    """Joins, follows what is assigned, says that it lives, and leaves; `notify` is called when there is news."""

    def __init__(self, group: GroupReference, notify: Callable[[], None]) -> None:
        self.joined = False
        self._group = group
        self._notify = notify
        self._generation = 0
        self._owned: frozenset[int] = frozenset()
        self._reply: Reply[Assignment] | None = None
        self._rejoin_at = 0.0
        self._heartbeat_at = 0.0

    @property
    def due(self) -> float:
        """When it wants to be looked after next, in seconds of trio's clock."""
        if not self.joined:
            return float("inf")
        return self._heartbeat_at if self._reply is not None else min(self._rejoin_at, self._heartbeat_at)

    def follow(self, now: float) -> Assignment | None:
        """Do what is due; returns a new assignment, where there is one.

        Raises:
            MemberFencedError: it was thrown out; nothing it owned is its own any more. It joins anew by itself.
        """
        self.joined = True
        try:
            assignment = self._news(now)
            if self._reply is None and now >= self._rejoin_at:
                self._reply = self._group.join(MEMBER, self._owned, self._notify, generation=self._generation)
            if now >= self._heartbeat_at:
                self._heartbeat_at = now + self._group.heartbeat_interval
                self._group.heartbeat(MEMBER, idle=self._group.statistics().lag == 0)
        except ActorGone:
            # The group is being restarted: what is owned stays owned.
            self._rejoin_at = now + REJOIN_SECONDS
            return None
        return assignment

    async def confirm(self, positions: Mapping[int, Confirmed]) -> None:
        """Store how far consumers have come; see `GroupReference.confirm`."""
        await self._group.confirm(MEMBER, self._generation, positions)

    def leave(self) -> None:
        """Own nothing any more; safe to call while being cancelled."""
        if self.joined:
            self.forget()
            self.joined = False
            try:
                self._group.leave(MEMBER)
            except ActorGone:
                log.debug("group ended before its HTTP consumers", group=self._group.name)

    def forget(self) -> None:
        """Whatever was owned is not."""
        self._generation, self._owned, self._reply = 0, frozenset(), None

    def _news(self, now: float) -> Assignment | None:
        reply = self._reply
        if reply is None or not reply.done:
            return None
        self._reply = None
        try:
            assignment = reply.value()
        except MemberFencedError:
            self.forget()
            self._rejoin_at = now + REJOIN_SECONDS
            raise
        self._generation, self._owned = assignment.generation, assignment.partitions
        return assignment
