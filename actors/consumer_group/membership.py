"""A member's side of its group: its open Join, its signs of life, and its generation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress

import trio

from actors.consumer_group.groups import GroupReference
from actors.consumer_group.messages import Assignment
from actors.errors import ActorGone, MemberFencedError
from actors.records import Confirmed
from actors.runtime.reply import Reply

REJOIN_SECONDS = 1.0


class Membership:
    """Follows one group over all lives of the group, and as often as it throws this member out.

    The owner looks whether it is `told` something, `hear`s it, and then `join`s with what it reads by now. It comes
    back to `beat` when `due_at` has come; while it works, each commit is a sign of life. `notify` is called when there
    is something to hear, `seconds` are the owner's counters of time by step.
    """

    def __init__(
        self,
        group: GroupReference,
        name: str,
        notify: Callable[[], None],
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.name = name
        self.generation = 0
        self._group = group
        self._notify = notify
        self._seconds = seconds or {}
        self._reply: Reply[Assignment] | None = None
        self._rejoin_at = 0.0
        self._beat_at = 0.0

    @property
    def told(self) -> bool:
        """Whether there is something to hear."""
        return self._reply is not None and self._reply.done

    @property
    def due_at(self) -> float:
        """When to look here again, told or not, in seconds of trio's clock."""
        return min(self._beat_at, self._rejoin_at if self._reply is None else math.inf)

    def hear(self) -> Assignment | None:
        """What to read from now on; None where nothing changed.

        Raises:
            MemberFencedError: this member was thrown out: it reads nothing any more, and may join anew with nothing.
        """
        reply = self._reply
        if reply is None or not reply.done:
            return None
        self._reply = None
        try:
            assignment = reply.value()
        except ActorGone:
            # The group is being restarted. What is owned stays owned: positions guard themselves.
            self._rejoin_at = trio.current_time() + REJOIN_SECONDS
            return None
        except MemberFencedError:
            self.generation = 0
            raise
        self.generation = assignment.generation
        return assignment

    def join(self, owned: frozenset[int], *, again: bool = False) -> bool:
        """Say what is read, unless the group has been told so, or it is not time yet; says whether it was sent.

        `again` says it whatever was said before: something was lost that the group did not take away.
        """
        now = trio.current_time()
        if not again and (self._reply is not None or now < self._rejoin_at):
            return False
        try:
            self._reply = self._group.join(
                self.name, owned, self._notify, generation=self.generation, seconds=self._seconds
            )
        except ActorGone:
            self._reply = None
            self._rejoin_at = now + REJOIN_SECONDS
            return False
        self._heard_of(now)
        return True

    def beat(self, *, idle: bool = False, in_hand: int = 0) -> None:
        """Say that this member is alive, where it is time to (see `GroupReference.heartbeat`)."""
        now = trio.current_time()
        if now >= self._beat_at:
            self._heard_of(now)
            with suppress(ActorGone):
                self._group.heartbeat(self.name, idle=idle, in_hand=in_hand)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Say how far this member has come (see `GroupReference.commit`)."""
        await self._group.commit(self.name, self.generation, offsets)
        self._heard_of(trio.current_time())

    async def confirm(self, positions: Mapping[int, Confirmed]) -> None:
        """Say how far this member has come, and wait until that is stored (see `GroupReference.confirm`)."""
        await self._group.confirm(self.name, self.generation, positions)
        self._heard_of(trio.current_time())

    def leave(self) -> None:
        """Read nothing any more; safe to call while being cancelled."""
        self._reply = None
        self.generation = 0
        with suppress(ActorGone):
            self._group.leave(self.name)

    def _heard_of(self, now: float) -> None:
        self._beat_at = now + self._group.heartbeat_interval
