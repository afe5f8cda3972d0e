"""The engine: makes what runs follow what is stored, and says what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from actors.errors import ActorGone, PenstockError
from actors.ports import Column, ConnectionReport
from actors.runtime.child import ChildState, describe
from actors.runtime.supervisor import Supervisor
from actors.task_runner.task import TaskSupervisor
from config.manifest import KINDS
from config.resources import Connection
from config.resources.identity import Identity
from daemon.backup import Backup
from daemon.engine import Change
from daemon.measures import Measures
from daemon.metrics import Metric
from daemon.stages.access import Access
from daemon.stages.backlog import BacklogStage
from daemon.stages.connections import Connections
from daemon.stages.domains import DomainStage
from daemon.stages.flow import FlowStage
from daemon.stages.functions import FunctionStage
from daemon.stages.groups import GroupStage
from daemon.stages.identities import IdentityStage
from daemon.stages.routes import RouteStage
from daemon.stages.stage import Stage
from daemon.stages.tasks import TaskStage
from daemon.stages.topics import TopicStage

log = structlog.get_logger()

# What refers to others comes after them; what goes, goes the other way round.
ORDER = tuple(KINDS)

# A task's last transaction and a connection's end both have their deadlines; together they take less.
_CHANGE_SECONDS = 30.0
# Changes that are followed before others get their turn; and problems that are named in one message.
_SLICE = 100
_NAMED = 5


class RunningEngine:
    """The running side of one instance (see `daemon.engine.Engine`)."""

    def __init__(
        self,
        *,
        backup: Backup,
        access: Access,
        connections: Connections,
        topics: TopicStage,
        groups: GroupStage,
        backlog: BacklogStage,
        functions: FunctionStage,
        tasks: TaskStage,
        routes: RouteStage,
        identities: IdentityStage,
        flow: FlowStage,
        domains: DomainStage,
        measures: Measures,
        addresses: Mapping[str, str],
        public_addresses: Mapping[str, str],
        device_addresses: Callable[[], Mapping[str, str]],
    ) -> None:
        self._backup = backup
        self._access = access
        self._connections = connections
        self._topics = topics
        self._groups = groups
        self._backlog = backlog
        self._tasks = tasks
        self._routes = routes
        self._addresses = addresses
        self._public_addresses = public_addresses
        self._device_addresses = device_addresses
        self._measures = measures
        self._root: Supervisor | None = None
        # Some kinds of the gateway have a stage of their own.
        stages: tuple[Stage, ...] = (
            access,
            connections,
            topics,
            functions,
            tasks,
            routes,
            identities,
            flow,
            domains,
        )
        self._stages = {kind: stage for stage in stages for kind in stage.kinds}

    def attach(self, root: Supervisor) -> None:
        """The tree that runs it."""
        self._root = root

    @property
    def root(self) -> Supervisor | None:
        """The tree that runs it; None until there is one."""
        return self._root

    async def reconcile(self, changes: Sequence[Change]) -> None:
        """Follow each change; one that cannot be followed holds up no other.

        Raises:
            PenstockError: some could not be followed, which the log tells; all others were.
        """
        problems = []
        for number, change in enumerate(sorted(changes, key=_when)):
            if number % _SLICE == 0:
                await trio.lowlevel.checkpoint()
            problem = await self._try_to_follow(change)
            if problem:
                problems.append(f"{change.identity}: {problem}")
        self._access.settle()
        self._routes.settle()
        if problems:
            left_out = f" (and {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
            raise PenstockError("; ".join(problems[:_NAMED]) + left_out)

    async def _try_to_follow(self, change: Change) -> str:
        try:
            with trio.fail_after(_CHANGE_SECONDS):
                await self._follow(change)
        except ActorGone:
            # A part of the tree is being started anew, or all of it ends: its next life follows the catalog.
            return ""
        except trio.TooSlowError:
            problem = f"it did not come about within {_CHANGE_SECONDS:g} seconds"
        except PenstockError as error:
            problem = str(error)
        except Exception as error:
            log.exception("change crashed", resource=str(change.identity))
            return describe(error)
        else:
            return ""
        log.error("change not followed", resource=str(change.identity), reason=problem)
        return problem

    async def _follow(self, change: Change) -> None:
        follow = partial(self._stages[change.identity.kind].follow, change)
        if change.identity.kind == "connection" and self._connections.replaces(change):
            async with self._tasks.without_users(change.identity.name):
                await follow()
        else:
            await follow()

    async def rebuild_connection(self, name: str) -> None:
        """Build the connector of a connection anew, as after a change of its settings; tasks that use it wait.

        Raises:
            PenstockError: it did not come about.
        """
        try:
            with trio.fail_after(_CHANGE_SECONDS):
                async with self._tasks.without_users(name):
                    await self._connections.rebuild(name)
        except trio.TooSlowError:
            reason = f"connection {name} was not built anew within {_CHANGE_SECONDS:g} seconds"
            raise PenstockError(reason) from None

    async def test_connection(self, connection: Connection) -> ConnectionReport:
        """Try a connection whose settings are complete."""
        return await self._connections.test(connection)

    async def tables(self, name: str) -> Sequence[str]:
        """Tables and views of a connection."""
        return await self._connections.living(name).tables()

    async def columns(self, name: str, table: str) -> Sequence[Column]:
        """Columns of a table."""
        return await self._connections.living(name).columns(table)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What a resource does now."""
        status = dict(self._stages[identity.kind].status(identity))
        if identity.kind == "topic" and status:
            status["backlog"] = self._backlog.status(identity.name)
        if identity.kind == "route" and status:
            status["calls"] = self._routes.calls(identity.name, self._public_addresses)
        if "mqtt" in status:
            status["mqtt"] = {**self._device_addresses(), **status["mqtt"]}
        return status

    async def start_task(self, name: str) -> None:
        """Start a task."""
        await self._tasks.start(name)

    async def stop_task(self, name: str) -> None:
        """Stop a task."""
        await self._tasks.stop(name)

    async def delete_topic_data(self, name: str) -> bool:
        """Delete the files of a topic that is gone, and what HTTP consumers had read of it."""
        deleted = await self._topics.delete_data(name)
        await self._groups.forget_topic(name)
        await self._backlog.forget_topic(name)
        return deleted

    async def disconnect_device(self, identity: Identity, reason: str) -> bool:
        """End the sessions of a device."""
        return self._access.disconnect_device(identity.name, reason)

    async def backup(self, folder: Path) -> Mapping[str, Any]:
        """Copy the data folder."""
        return await self._backup.into(folder)

    def addresses(self) -> Mapping[str, str]:
        """Bound addresses."""
        return dict(self._addresses)

    def tree(self) -> Mapping[str, Any]:
        """The supervision tree."""
        return {"name": "penstock", "children": _shown(self._root) if self._root is not None else []}

    def ready(self) -> tuple[bool, str]:
        """Whether every entry of the tree runs; a resource that failed is shown where one looks at it."""
        missing = "starting" if self._root is None else _missing(self._root)
        return not missing, missing

    def metrics(self) -> Iterable[Metric]:
        """The numbers of this moment."""
        return self._measures.metrics()


def _when(change: Change) -> tuple[int, int]:
    rank = ORDER.index(change.identity.kind)
    return (0, -rank) if change.after is None else (1, rank)


def _missing(supervisor: Supervisor) -> str:
    """The first entry that does not run, and why; resources do not count."""
    for child in supervisor.children():
        if child.resource:
            continue
        if child.state is not ChildState.RUNNING:
            return f"{child.name}: {child.state.value} {child.reason}".strip()
        nested = supervisor.child(child.name)
        missing = _missing(nested) if isinstance(nested, Supervisor) else ""
        if missing:
            return missing
    return ""


def _shown(supervisor: Supervisor) -> list[dict[str, Any]]:
    shown = []
    for child in supervisor.children():
        instance = supervisor.child(child.name)
        nested = instance.supervisor if isinstance(instance, TaskSupervisor) else instance
        shown.append(
            {
                "name": child.name,
                "state": child.state.value,
                "reason": child.reason,
                "restarts": child.restarts,
                "children": _shown(nested) if isinstance(nested, Supervisor) else [],
            }
        )
    return shown
