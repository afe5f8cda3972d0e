"""Which harmless remedy is applied by itself, and when it is taken back. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from actors.doctor.messages import Cause, Diagnosis, Remedy, TaskSnapshot

ActionKind = Literal["set_runners", "set_batch", "restart_member"]


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `actions` within `window` seconds for each task; `settle` seconds are left for each to show its effect.

    What was done is taken back once nothing was late for `calm` seconds.
    """

    actions: int = 6
    window: float = 600.0
    settle: float = 30.0
    calm: float = 60.0


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done to a task: runners or rows before and after it, or the member that is started anew.

    `back` is the way back to what is written, which costs nothing of the budget.
    """

    task: str
    kind: ActionKind
    before: int
    after: int
    reason: str
    member: str = ""
    back: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What would be done, or cannot be done any more; told once for as long as it stays the same."""

    task: str
    text: str


class Healer:
    """Decides for one task; times are in seconds of a clock that never goes back.

    It keeps nothing of what it has changed: what runs differently from what is written is what is to be taken back,
    also by a healer that began later.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._done: deque[float] = deque(maxlen=self._limits.actions)
        self._settled_at = float("-inf")
        self._calm_since: float | None = None
        self._told = ""

    def decide(self, now: float, diagnosis: Diagnosis, task: TaskSnapshot) -> Action | Advice | None:
        """What to do now, if anything; whoever asks does it."""
        if diagnosis.verdict == "healthy":
            self._told = ""
            self._calm_since = now if self._calm_since is None else self._calm_since
            calm = now - self._calm_since >= self._limits.calm
            return _way_back(task, f"nothing has waited for {self._limits.calm:g} s") if calm else None
        self._calm_since = None
        if task.backlog.heal == "off":
            return None
        wanted = next(_actions(diagnosis, task), None)
        if wanted is None:
            return None
        if task.backlog.heal == "advise":
            return self._tell(task, f"would help: {_worded(wanted)}; `backlog: {{heal: auto}}` has it done")
        return self._apply(now, wanted, task)

    def _apply(self, now: float, wanted: Action, task: TaskSnapshot) -> Action | Advice | None:
        if now < self._settled_at:
            return None
        while self._done and now - self._done[0] >= self._limits.window:
            self._done.popleft()
        if len(self._done) >= self._limits.actions:
            spent = f"{self._limits.actions} actions within {self._limits.window:g} s are spent"
            return self._tell(task, f"{spent}; left for a person: {_worded(wanted)}")
        self._done.append(now)
        self._settled_at = now + self._limits.settle
        self._told = ""
        return wanted

    def _tell(self, task: TaskSnapshot, text: str) -> Advice | None:
        if text == self._told:
            return None
        self._told = text
        return Advice(task.name, text)


def _actions(diagnosis: Diagnosis, task: TaskSnapshot) -> Iterator[Action]:
    """The harmless remedies that would change something, the main cause's first.

    Where the lag goes by itself nobody needs to be faster; who stands still is to move all the same.
    """
    draining = diagnosis.verdict == "draining"
    for cause in diagnosis.causes:
        for remedy in cause.remedies:
            if not remedy.harmless or (draining and remedy.kind != "restart_member"):
                continue
            found = _action(cause, remedy, task, diagnosis.partitions)
            if found is not None:
                yield replace(found, reason=f"{cause.kind}: {cause.evidence}")


def _action(cause: Cause, remedy: Remedy, task: TaskSnapshot, partitions: int) -> Action | None:
    most = task.backlog
    match remedy.kind:
        case "more_runners":
            bounds = (remedy.value or 0, partitions, most.max_runners or partitions)
            runners = min(bounds)
            if runners > task.runners:
                return Action(task.name, "set_runners", task.runners, runners, "")
        case "larger_batches":
            rows = min(remedy.value or 0, most.max_batch or task.most_rows)
            if rows > task.most_rows:
                return Action(task.name, "set_batch", task.most_rows, rows, "")
        case "restart_member" if cause.kind == "stuck_members":
            return Action(task.name, "restart_member", task.runners, task.runners, "", member=remedy.member)
        case _:
            pass
    return None


def _way_back(task: TaskSnapshot, reason: str) -> Action | None:
    if task.runners > task.wanted_runners:
        return Action(task.name, "set_runners", task.runners, task.wanted_runners, reason, back=True)
    if task.most_rows > task.wanted_rows:
        return Action(task.name, "set_batch", task.most_rows, task.wanted_rows, reason, back=True)
    return None


def _worded(action: Action) -> str:
    match action.kind:
        case "set_runners":
            return f"{action.after} runners instead of {action.before}"
        case "set_batch":
            return f"{action.after} rows in a transaction instead of {action.before}"
        case "restart_member":
            return f"{action.member} started anew"
