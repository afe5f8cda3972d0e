"""The actor that keeps an eye on every topic with a backlog policy, and sets the topics' gates."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import trio

from actors.backlog.lag import GroupLag, consumed, to_keep
from actors.backlog.policy import Decision, Phase, Policy, Transition
from actors.errors import ActorGone, PenstockError
from actors.log.retention import Keep
from actors.runtime.reply import Reply
from actors.topic_partition.gate import Gate, GateState
from actors.topic_partition.messages import Trim, Trimmed
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import BacklogPolicy

log = structlog.get_logger()

INTERVAL_SECONDS = 1.0


class PhaseStore(Protocol):
    """Where the phases of policies are kept, so that a new start goes on where the last life stood."""

    async def load_phases(self) -> Mapping[str, str]:
        """By topic the phase (`Phase.value`) that was saved last."""

    async def save_phase(self, topic: str, phase: str) -> None:
        """Keep a topic's phase; an empty one is forgotten."""


@dataclass(slots=True)
class _Watched:
    """A topic under watch: its policy's state, and the trims that its partitions have not answered yet."""

    machine: Policy
    trims: dict[int, Reply[Trimmed]] = field(default_factory=dict)


class BacklogWatch:
    """Samples the groups of every topic with a policy on an interval, and sets the gates; it waits on nobody.

    `policies` tells the policies of this moment by topic, `lags` what waits for the groups of a topic. `tell` hears of
    every change that a policy makes. The first look is taken before `started`, so that whoever starts later finds the
    gates as they must be.
    """

    def __init__(
        self,
        topics: Topics,
        policies: Callable[[], Mapping[str, BacklogPolicy]],
        lags: Callable[[str], Sequence[GroupLag]],
        store: PhaseStore,
        *,
        tell: Callable[[Transition], Awaitable[None]] | None = None,
        interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._topics = topics
        self._policies = policies
        self._lags = lags
        self._store = store
        self._tell = tell
        self._interval = interval
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._saved: dict[str, str] = {}
        self._lenient_until = 0.0
        self._stopped = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Watch until stopped; then nobody is held back or refused any more."""
        self._saved = dict(await self._store.load_phases())
        await self._look()
        started()
        try:
            while not self._stopped.is_set():
                with trio.move_on_after(self._interval):
                    await self._stopped.wait()
                    break
                await self._look()
        finally:
            for topic in self._topics:
                _set(topic.gate, Decision(GateState.OPEN))
            self._topics.changed()

    def stop(self) -> None:
        """Return from `run`."""
        self._stopped.set()

    def yield_for(self, seconds: float) -> None:
        """Throttle nobody for so long: producers that drain get their last records stored."""
        self._lenient_until = self._clock() + seconds
        for topic in self._topics:
            if topic.gate.state is GateState.THROTTLED:
                _set(topic.gate, Decision(GateState.OPEN, "producers drain"))

    async def _look(self) -> None:
        policies = self._policies()
        for name in self._watched.keys() - policies.keys():
            self._forget(name)
        for name, policy in policies.items():
            topic = self._topics.get(name)
            if topic is not None:
                transition = self._look_at(topic, policy)
                if transition is not None:
                    await self._report(transition)
        await self._save()

    def _look_at(self, topic: TopicReference, policy: BacklogPolicy) -> Transition | None:
        watched = self._watched_with(topic.name, policy)
        lags = self._lags(topic.name)
        topic.gate.protect(consumed(lags))
        decision, transition = watched.machine.sample(self._clock(), lags)
        if decision.state is GateState.THROTTLED and self._clock() < self._lenient_until:
            decision = Decision(GateState.OPEN, "producers drain")
        rerouted = topic.gate.divert_to != decision.divert_to
        _set(topic.gate, decision)
        if rerouted:
            # Sessions keep the way that they found to a topic until the version changes.
            self._topics.changed()
        if decision.trim:
            self._trim(topic, watched, lags)
        return transition

    def _watched_with(self, name: str, policy: BacklogPolicy) -> _Watched:
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = _Watched(Policy(name, policy, _phase(self._saved.get(name))))
        elif watched.machine.policy != policy:
            same = watched.machine.policy.action == policy.action
            watched.machine = Policy(name, policy, watched.machine.phase if same else Phase.IDLE)
        return watched

    def _forget(self, name: str) -> None:
        del self._watched[name]
        topic = self._topics.get(name)
        if topic is not None:
            _set(topic.gate, Decision(GateState.OPEN))
            self._topics.changed()

    async def _report(self, transition: Transition) -> None:
        emit = log.warning if transition.after is Phase.ACTING else log.info
        emit(
            "backlog policy changed",
            topic=transition.topic,
            action=transition.action,
            before=transition.before.value,
            after=transition.after.value,
            reason=transition.reason,
        )
        if self._tell is not None:
            await self._tell(transition)

    async def _save(self) -> None:
        """Keep the phases that changed; a store that does not answer is asked again next time."""
        now = {name: one.machine.phase.value for name, one in self._watched.items()}
        wanted = {name: phase for name, phase in now.items() if phase != Phase.IDLE.value}
        for name in sorted(wanted.keys() | self._saved.keys()):
            phase = wanted.get(name, "")
            if phase == self._saved.get(name, ""):
                continue
            try:
                await self._store.save_phase(name, phase)
            except PenstockError as error:
                log.warning("a backlog policy's phase is not stored", topic=name, reason=str(error))
                return
            self._saved[name] = phase

    # --- dropping the oldest -----------------------------------------------------------------------------------------

    def _trim(self, topic: TopicReference, watched: _Watched, lags: Sequence[GroupLag]) -> None:
        slowest = consumed(lags)
        limit = watched.machine.policy.limit
        keeps = [keep for lag in lags if (keep := to_keep(limit, lag)) != Keep()]
        for number, partition in enumerate(topic.partitions):
            if keeps and number not in watched.trims:
                # Where several groups are over the limit, the one that needs most to go decides.
                trim = Trim(_least(keeps), slowest.get(number, 0), Reply(lambda: self._trimmed(topic.name)))
                watched.trims[number] = trim.reply
                try:
                    partition.submit(trim)
                except ActorGone:
                    del watched.trims[number]

    def _trimmed(self, name: str) -> None:
        watched, topic = self._watched.get(name), self._topics.get(name)
        for number, reply in list(watched.trims.items()) if watched is not None else ():
            if not reply.done or watched is None:
                continue
            del watched.trims[number]
            if reply.error is not None:
                log.warning("oldest records not dropped", topic=name, partition=number, reason=str(reply.error))
            elif topic is not None and reply.value().segments:
                _count_dropped(topic.gate, number, reply.value())


def _count_dropped(gate: Gate, partition: int, trimmed: Trimmed) -> None:
    gate.dropped += trimmed.unread
    log.warning(
        "oldest records dropped",
        topic=gate.topic,
        partition=partition,
        records=trimmed.records,
        unread=trimmed.unread,
        segments=trimmed.segments,
        reason=gate.reason,
    )


def _set(gate: Gate, decision: Decision) -> None:
    gate.set(
        decision.state,
        decision.reason,
        retry_after=decision.retry_after,
        divert_to=decision.divert_to,
        allowance=decision.allowance,
    )


def _phase(saved: str | None) -> Phase:
    return next((phase for phase in Phase if phase.value == saved), Phase.IDLE)


def _least(keeps: Sequence[Keep]) -> Keep:
    return Keep(
        records=min((keep.records for keep in keeps if keep.records is not None), default=None),
        bytes=min((keep.bytes for keep in keeps if keep.bytes is not None), default=None),
        seconds=min((keep.seconds for keep in keeps if keep.seconds is not None), default=None),
    )
