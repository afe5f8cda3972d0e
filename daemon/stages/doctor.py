"""The doctor: who lags and why, and what is done about it by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from actors.doctor.actor import Doctor
from actors.doctor.messages import Diagnosis, PolicySnapshot, TaskSnapshot
from actors.errors import PenstockError
from actors.ports import AuditEntry
from actors.task_runner.progress import TaskStatus
from actors.task_runner.task import TaskSupervisor
from actors.topic_partition.topic import Topics
from config.resources import Task, Topic
from config.resources.identity import Identity
from daemon.audit import AuditLog
from daemon.catalog.catalog import Catalog
from daemon.stages.groups import GroupStage
from daemon.stages.tasks import TaskStage


class DoctorStage:
    """Makes the doctor, and shows what it found; it has no resources of its own."""

    def __init__(
        self,
        groups: GroupStage,
        tasks: TaskStage,
        audit: AuditLog,
        batch_rows: int,
        *,
        topics: Topics,
        catalog: Catalog,
    ) -> None:
        self._groups = groups
        self._topics = topics
        self._catalog = catalog
        self._patients = Patients(tasks, batch_rows)
        self._audit = audit
        self._doctor: Doctor | None = None

    def doctor(self) -> Doctor:
        """A fresh doctor."""
        self._doctor = Doctor(self._groups.statistics, self._patients, self._audit, policies=self._policy)
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

    def _policy(self, topic: str) -> PolicySnapshot | None:
        stored, reference = self._catalog.get(Identity("topic", topic)), self._topics.get(topic)
        written = stored.resource.backlog if stored is not None and isinstance(stored.resource, Topic) else None
        if written is None or reference is None:
            return None
        gate, limit = reference.gate, msgspec.to_builtins(written.limit)
        return PolicySnapshot(
            action=written.action,
            limit="{" + ", ".join(f"{name}: {value}" for name, value in limit.items()) + "}",
            state=gate.state.value,
            since=gate.since,
            reason=gate.reason,
            divert_to=written.divert_to,
            refused=gate.refused,
            diverted=gate.diverted,
            dropped=gate.dropped,
        )


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
            held_by_sink=status.held_by_sink,
            connection=task.target.connection,
            runners=living.runners if living is not None else task.runners,
            wanted_runners=task.runners,
            batch_rows=max((one.batch_rows for one in status.runners), default=0),
            most_rows=living.most_rows if living is not None else self._batch_rows,
            wanted_rows=self._batch_rows,
            transactions=status.transactions,
            backlog=task.backlog,
        )
