"""The gate of a topic: whether producers' records are taken now, held back, refused, or led elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from enum import Enum

import trio

from actors.errors import CircuitOpenError

ORIGIN_HEADER = "penstock-origin"
"""A record's header that names the topic it was meant for, where a policy diverted it to another one."""


class GateState(Enum):
    """What happens to records that producers bring."""

    OPEN = "open"
    THROTTLED = "throttled"
    REJECTING = "rejecting"
    DIVERTED = "diverted"


class Gate:
    """Stands in front of all partitions of one topic, over all lives of their actors; a backlog policy sets it.

    Throttled: the partitions take no appends from their mailboxes, so that pressure travels back as from a slow disk.
    Rejecting: appends are refused, save for an allowance of records while the circuit is half open. Diverted: producers
    find the topic `divert_to` in this one's place (`Topics.route`); what is appended here all the same is taken.

    `since` is in seconds since the epoch, `retry_after` in seconds from now. The counts of records are since the start,
    but for `refused_by`: who was refused how many since it is in this state.
    """

    def __init__(self, topic: str, clock: Callable[[], float] = time.time) -> None:
        self.topic = topic
        self.state = GateState.OPEN
        self.since = clock()
        self.reason = ""
        self.retry_after = 0.0
        self.divert_to: str | None = None
        self.allowance = 0
        self.refused = 0
        self.refused_by: dict[str, int] = {}
        self.diverted = 0
        self.dropped = 0
        self._clock = clock
        self._consumed: Mapping[int, int] | None = None
        self._watchers: dict[object, Callable[[], None]] = {}
        self._passable = trio.lowlevel.ParkingLot()

    @property
    def lets_pass(self) -> bool:
        """Whether what is brought now is stored, here or where it is diverted to."""
        return self.state is GateState.OPEN or self.state is GateState.DIVERTED

    @property
    def half_open(self) -> bool:
        """Whether it refuses, save for a trickle that shows whether the backlog stays away."""
        return self.state is GateState.REJECTING and self.allowance > 0

    def set(
        self,
        state: GateState,
        reason: str = "",
        *,
        retry_after: float = 0.0,
        divert_to: str | None = None,
        allowance: int = 0,
    ) -> None:
        """Be in this state from now on; `since` stays where the state does."""
        changed = state is not self.state
        if changed:
            self.since = self._clock()
            self.refused_by = {}
        self.state, self.reason, self.retry_after = state, reason, retry_after
        self.divert_to, self.allowance = divert_to, allowance
        if self.lets_pass:
            self._passable.unpark_all()
        if changed:
            for notify in tuple(self._watchers.values()):
                notify()

    @property
    def waiting(self) -> int:
        """How many stand in `wait_open`: calls of producers over HTTP."""
        return len(self._passable)

    def admit(self, records: int, sender: str = "") -> None:
        """Let records pass, or count and refuse them; only a rejecting gate refuses.

        Raises:
            CircuitOpenError: the circuit is open, or the allowance of a half-open one is used up.
        """
        if self.state is not GateState.REJECTING:
            return
        if self.allowance > 0:
            # A batch larger than what is left passes whole: else nothing but small ones ever would.
            self.allowance -= records
            return
        self.refused += records
        self.refused_by[sender] = self.refused_by.get(sender, 0) + records
        text = f"topic {self.topic} takes no records now: {self.reason}"
        raise CircuitOpenError(text, retry_after=self.retry_after, reason=self.reason)

    def protect(self, consumed: Mapping[int, int]) -> None:
        """By partition the offset that the slowest group reads next: those without are not read."""
        self._consumed = consumed

    def protected(self, partition: int) -> float:
        """The first offset of a partition that retention may not delete while there is a policy that keeps records.

        Nobody reads it: infinity. Before it is known who has read what, everything is protected.
        """
        return 0 if self._consumed is None else self._consumed.get(partition, math.inf)

    async def wait_open(self) -> None:
        """Return once records are stored again, here or where they are diverted to."""
        if self.lets_pass:
            await trio.lowlevel.checkpoint()
        while not self.lets_pass:
            await self._passable.park()

    def watch(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Have `notify` called at each change of state, at once and in the same task; returns what ends that."""
        key = object()
        self._watchers[key] = notify

        def unwatch() -> None:
            self._watchers.pop(key, None)

        return unwatch
