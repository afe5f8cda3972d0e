"""The state machine of a topic's backlog policy: what the gate is to do, sample by sample. Pure.

    idle --- limit passed ---> acting --- at or below low water ---> idle            throttle, divert, drop_oldest
    idle --- limit passed ---> acting --- at or below low water ---> probing         reject: the circuit is half open
                               acting <--- limit passed ------------ probing
                                                                     probing --- calm for some samples ---> idle

Between two changes the pressure has crossed the whole band from low water to the limit, so that nothing flaps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from actors.backlog.lag import GroupLag, Pressure, pressure
from actors.topic_partition.gate import GateState
from config.resources import BacklogPolicy

PROBE_RECORDS = 100
"""What a half-open circuit lets through in one sample; one batch may reach beyond it."""
PROBE_SAMPLES = 3
"""So many calm samples of probing close the circuit."""
LEAST_RETRY_SECONDS = 1.0
MOST_RETRY_SECONDS = 60.0
_PACE_SECONDS = 10.0


class Phase(Enum):
    """Where a policy stands."""

    IDLE = "idle"
    ACTING = "acting"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate is to do until the next sample; `trim` asks for the oldest segments to be dropped."""

    state: GateState
    reason: str = ""
    retry_after: float = 0.0
    divert_to: str | None = None
    allowance: int = 0
    trim: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A change that the policy made, for the audit log; `at` is in seconds since the epoch."""

    at: float
    topic: str
    action: str
    before: Phase
    after: Phase
    group: str
    reason: str
    ratio: float


class Policy:
    """The policy of one topic over time; `phase` is where it stood before, where that is known."""

    def __init__(self, topic: str, policy: BacklogPolicy, phase: Phase = Phase.IDLE) -> None:
        self.topic = topic
        self.policy = policy
        self.phase = phase
        self.activations = 0
        self._calm = 0
        self._pace = _Pace()

    def sample(self, now: float, lags: Sequence[GroupLag]) -> tuple[Decision, Transition | None]:
        """Look at the lags of this moment; `now` in seconds since the epoch."""
        found = pressure(self.policy.limit, lags)
        self._pace.follow(now, next((lag for lag in lags if lag.group == found.group), None))
        before, after = self.phase, self._next(found)
        transition = None
        if after is not before:
            self.phase, self._calm = after, 0
            self.activations += after is Phase.ACTING
            reason = found.reason or "nothing waits any more"
            transition = Transition(
                now, self.topic, self.policy.action, before, after, found.group, reason, found.ratio
            )
        return self._decide(found), transition

    def _next(self, found: Pressure) -> Phase:
        ratio = found.ratio
        # Nothing ends on a guess: right after a start bytes and ages are not known yet.
        low = ratio <= self.policy.low_water and found.certain
        match self.phase:
            case Phase.IDLE:
                return Phase.ACTING if ratio > 1 else Phase.IDLE
            case Phase.ACTING if not low:
                return Phase.ACTING
            case Phase.ACTING:
                return Phase.PROBING if self.policy.action == "reject" else Phase.IDLE
            case Phase.PROBING if ratio > 1:
                return Phase.ACTING
            case Phase.PROBING:
                self._calm = self._calm + 1 if low else 0
                return Phase.IDLE if self._calm > PROBE_SAMPLES else Phase.PROBING
            case _:
                assert_never(self.phase)

    def _decide(self, found: Pressure) -> Decision:
        if self.phase is Phase.IDLE:
            return Decision(GateState.OPEN)
        reason = found.reason or "it has just been worked off"
        match self.policy.action:
            case "throttle":
                return Decision(GateState.THROTTLED, reason, self._retry_after(found.ratio))
            case "reject":
                return self._reject(found, reason)
            case "divert":
                return Decision(GateState.DIVERTED, reason, divert_to=self.policy.divert_to)
            case "drop_oldest":
                return Decision(GateState.OPEN, reason, trim=True)
            case _:
                assert_never(self.policy.action)

    def _reject(self, found: Pressure, reason: str) -> Decision:
        if self.phase is Phase.ACTING:
            return Decision(GateState.REJECTING, reason, self._retry_after(found.ratio))
        # Above low water the trickle waits, so that probing by itself never passes the limit.
        allowance = PROBE_RECORDS if found.ratio <= self.policy.low_water and found.certain else 0
        return Decision(GateState.REJECTING, f"half open: {reason}", LEAST_RETRY_SECONDS, allowance=allowance)

    def _retry_after(self, ratio: float) -> float:
        """When low water will be reached: nothing new comes meanwhile, and the group goes on at its pace."""
        above = 1 - self.policy.low_water / ratio if ratio > 0 else 0.0
        return min(max(self._pace.seconds(above), LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)


class _Pace:
    """How fast the group consumes for which most waits: a moving average, in records per second."""

    def __init__(self) -> None:
        self._last: tuple[float, GroupLag] | None = None
        self._rate: float | None = None

    def follow(self, now: float, lag: GroupLag | None) -> None:
        """Look at the group of this moment; another one than before begins anew."""
        last, self._last = self._last, None if lag is None else (now, lag)
        if lag is None or last is None or last[1].group != lag.group:
            self._rate = None
        elif now > last[0]:
            seconds = now - last[0]
            rate = max(0, lag.consumed - last[1].consumed) / seconds
            weight = 1.0 if self._rate is None else 1 - math.exp(-seconds / _PACE_SECONDS)
            before = self._rate or 0.0
            self._rate = before + weight * (rate - before)

    def seconds(self, part: float) -> float:
        """How long it needs for a part of what waits for it."""
        if self._last is None or not self._rate:
            return math.inf
        return part * self._last[1].messages / self._rate
