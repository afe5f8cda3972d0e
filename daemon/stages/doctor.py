"""The doctor: who lags and why, and what is done about it by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.doctor.actor import Doctor
from actors.doctor.messages import Diagnosis, TaskSnapshot
from actors.errors import PenstockError
from actors.ports import AuditEntry
from actors.task_runner.progress import TaskStatus
from actors.task_runner.task import TaskSupervisor
from config.resources import Task
from daemon.audit import AuditLog
from daemon.stages.groups import GroupStage
from daemon.stages.tasks import TaskStage


class DoctorStage:
    """Makes the doctor, and shows what it found; it has no resources of its own."""

    def __init__(self, groups: GroupStage, tasks: TaskStage, audit: AuditLog, batch_rows: int) -> None:
        self._groups = groups
        self._patients = Patients(tasks, batch_rows)
        self._audit = audit
        self._doctor: Doctor | None = None

    def doctor(self) -> Doctor:
        """A fresh doctor."""
        self._doctor = Doctor(self._groups.statistics, self._patients, self._audit)
        return self._doctor

    def diagnoses(self) -> Sequence[Diagnosis]:
        """What was found a few seconds ago, the worst first; nothing before the first round."""
        return self._doctor.diagnoses() if self._doctor is not None else ()

    def diagnoses_of(self, *, topic: str | None = None, group: str | None = None) -> Sequence[Diagnosis]:
        """Those of one topic, or of one group.

        Raises:
            NotFoundError: there is no such group.
        """
        if group is not None:
            self._groups.require(group)
        found = self.diagnoses()
        return [one for one in found if topic in {None, one.topic} and group in {None, one.group}]

    def actions(self) -> Mapping[tuple[str, str], int]:
        """How often something was done, by task and kind of action."""
        return self._doctor.actions() if self._doctor is not None else {}

    async def audit(self, limit: int) -> Sequence[AuditEntry]:
        """The last entries of the audit log, the newest first."""
        return await self._audit.entries(limit)


class Patients:
    """The tasks as the doctor sees and changes them (see `actors.doctor.actor.Tasks`)."""

    def __init__(self, tasks: TaskStage, batch_rows: int) -> None:
        self._tasks = tasks
        self._batch_rows = batch_rows

    def snapshots(self) -> Mapping[str, TaskSnapshot]:
        """Every task by name, as it is written and as it runs."""
        statuses = self._tasks.statistics()
        return {task.name: self._snapshot(task, statuses[task.name]) for task in self._tasks.resources()}

    async def set_runners(self, name: str, runners: int) -> None:
        """Have so many runners."""
        await self._living(name).set_runners(runners)

    async def set_most_rows(self, name: str, rows: int) -> None:
        """Let transactions take so many rows."""
        self._living(name).set_most_rows(rows)

    async def restart_runner(self, name: str, member: str) -> None:
        """End a runner and start it anew."""
        await self._living(name).restart_runner(member)

    def _living(self, name: str) -> TaskSupervisor:
        found = self._tasks.running(name)
        if found is None:
            raise PenstockError(f"task {name} does not run")
        return found

    def _snapshot(self, task: Task, status: TaskStatus) -> TaskSnapshot:
        living = self._tasks.running(task.name)
        return TaskSnapshot(
            name=task.name,
            state=status.state.value,
            reason=status.reason,
            holding=status.holding,
            connection=task.target.connection,
            runners=living.runners if living is not None else task.runners,
            wanted_runners=task.runners,
            batch_rows=max((one.batch_rows for one in status.runners), default=0),
            most_rows=living.most_rows if living is not None else self._batch_rows,
            wanted_rows=self._batch_rows,
            transactions=status.transactions,
            backlog=task.backlog,
        )
