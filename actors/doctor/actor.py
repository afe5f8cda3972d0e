"""The doctor on its round: looks at every group, remembers what it saw, and has the harmless part done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
import trio

from actors.consumer_group.messages import GroupStatistics
from actors.doctor.diagnosis import diagnose
from actors.doctor.healing import Action, Advice, Healer, Limits
from actors.doctor.history import History
from actors.doctor.messages import Diagnosis, PolicySnapshot, Snapshot, TaskSnapshot
from actors.errors import PenstockError
from actors.ports import AuditEntry, AuditTrail

log = structlog.get_logger()

SAMPLE_SECONDS = 5.0
# A runner finishes its transaction before it goes; more time than its own deadline is never needed.
_ACTION_SECONDS = 30.0


class Tasks(Protocol):
    """The tasks as the doctor sees and changes them; what changes raises PenstockError where it does not go."""

    def snapshots(self) -> Mapping[str, TaskSnapshot]:
        """Every task by name."""

    async def set_runners(self, name: str, runners: int) -> None:
        """Have so many runners."""

    async def set_most_rows(self, name: str, rows: int) -> None:
        """Let transactions take so many rows."""

    async def restart_runner(self, name: str, member: str) -> None:
        """End a runner and start it anew."""


class Doctor:
    """Takes a snapshot of every group every few seconds; is a Child, and nobody waits on it.

    What it keeps is bounded for each group, and forgotten with the group.
    """

    def __init__(
        self,
        groups: Callable[[], Sequence[GroupStatistics]],
        tasks: Tasks,
        audit: AuditTrail,
        *,
        policies: Callable[[str], PolicySnapshot | None] = lambda _topic: None,
        limits: Limits | None = None,
        interval: float = SAMPLE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._groups = groups
        self._tasks = tasks
        self._audit = audit
        self._policies = policies
        self._limits = limits or Limits()
        self._interval = interval
        self._clock = clock
        self._histories: dict[str, History] = {}
        self._healers: dict[str, Healer] = {}
        self._diagnoses: dict[str, Diagnosis] = {}
        self._actions: dict[tuple[str, str], int] = {}
        self._stopped = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Go round until stopped."""
        started()
        while not self._stopped.is_set():
            await self._round()
            with trio.move_on_after(self._interval):
                await self._stopped.wait()

    def stop(self) -> None:
        """Return from `run`."""
        self._stopped.set()

    def diagnoses(self) -> Sequence[Diagnosis]:
        """What was found on the last round, by group; those that lag most first."""
        return sorted(self._diagnoses.values(), key=lambda one: (not one.causes, -one.lag, one.group))

    def actions(self) -> Mapping[tuple[str, str], int]:
        """How often something was done, by task and kind of action."""
        return dict(self._actions)

    # --- a round ---------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        tasks = self._tasks.snapshots()
        groups = self._groups()
        self._forget({group.group for group in groups})
        for group in groups:
            # One group at a time: others get their turn in between.
            await trio.lowlevel.checkpoint()
            if self._stopped.is_set():
                return
            task = tasks.get(group.group) if group.kind == "task" else None
            history = self._histories.setdefault(group.group, History())
            history.add(Snapshot(trio.current_time(), group, task, self._policies(group.topic)))
            diagnosis = diagnose(history, self._diagnoses.get(group.group))
            self._tell(diagnosis)
            self._diagnoses[group.group] = diagnosis
            if task is not None:
                await self._heal(diagnosis, task)

    def _forget(self, present: set[str]) -> None:
        for known in (self._histories, self._healers, self._diagnoses):
            for name in known.keys() - present:
                del known[name]
        for key in [key for key in self._actions if key[0] not in present]:
            del self._actions[key]

    def _tell(self, diagnosis: Diagnosis) -> None:
        """One line when the causes change."""
        before = self._diagnoses.get(diagnosis.group)
        kinds = [cause.kind for cause in diagnosis.causes]
        if kinds == [cause.kind for cause in before.causes] if before is not None else not kinds:
            return
        if kinds:
            log.warning(
                "group lags",
                group=diagnosis.group,
                topic=diagnosis.topic,
                lag=diagnosis.lag,
                causes=kinds,
                evidence=diagnosis.causes[0].evidence,
            )
        else:
            log.info("group's lag has no cause any more", group=diagnosis.group, lag=diagnosis.lag)

    async def _heal(self, diagnosis: Diagnosis, task: TaskSnapshot) -> None:
        healer = self._healers.setdefault(task.name, Healer(self._limits))
        match healer.decide(trio.current_time(), diagnosis, task):
            case Advice(name, text):
                log.info("backlog advice", task=name, advice=text)
            case Action() as action:
                await self._do(action)
            case None:
                pass

    async def _do(self, action: Action) -> None:
        outcome = f"not done within {_ACTION_SECONDS:g} s"
        with trio.move_on_after(_ACTION_SECONDS):
            try:
                await self._apply(action)
                outcome = "done"
            except PenstockError as error:
                outcome = f"failed: {error}"
        key = (action.task, action.kind)
        self._actions[key] = self._actions.get(key, 0) + 1
        restart = action.kind == "restart_member"
        await self._audit.record(
            AuditEntry(
                at=round(self._clock() * 1000),
                by="doctor",
                subject=f"task {action.task}",
                action=f"{action.kind}{' back' if action.back else ''}",
                before=action.member if restart else str(action.before),
                after=f"{action.member}, started anew" if restart else str(action.after),
                reason=action.reason,
                outcome=outcome,
            )
        )

    async def _apply(self, action: Action) -> None:
        match action.kind:
            case "set_runners":
                await self._tasks.set_runners(action.task, action.after)
            case "set_batch":
                await self._tasks.set_most_rows(action.task, action.after)
            case "restart_member":
                await self._tasks.restart_runner(action.task, action.member)
