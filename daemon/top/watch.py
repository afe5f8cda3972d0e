"""Looks at everything that is measured in the instance, and compares what it sees with what it saw shortly before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import trio

from actors.consumer_group.messages import GroupStatistics
from actors.device_session.broker import Broker
from actors.device_session.registry.sessions import Standing
from actors.gateway_route.counters import RouteStatistics
from actors.gateway_route.gateway import Gateway
from actors.runtime.actor import Actor
from actors.runtime.child import ChildStatus
from actors.runtime.supervisor import Supervisor
from actors.session_store.reference import SessionStoreReference, StoreStatistics
from actors.task_runner.progress import TaskStatus
from actors.task_runner.task import TaskSupervisor
from actors.topic_gateway.actor import HttpGroupActor, HttpGroupStatistics
from actors.topic_gateway.gateway import TopicGateway
from actors.topic_partition.gate import Gate
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import Route, Task
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.stages.groups import GroupStage
from daemon.stages.tasks import TaskStage
from daemon.stages.topic_gateway import HttpGroupStage
from daemon.top.pressure import SESSION_STORE
from daemon.top.sample import (
    ActorSample,
    ConsumersSample,
    GroupSample,
    PartitionSample,
    RouteSample,
    Sample,
    SessionStoreSample,
    TaskSample,
)
from daemon.top.view import view

# What is compared lies at least so far apart, so that rates mean something; and not so far that they are history.
LEAST_SECONDS = 0.5
MOST_SECONDS = 5.0
# Looks that are remembered: as many as those who look at the same time every half second may need.
_REMEMBERED = 16
# Of thousands of sessions, those that are worth a line.
_SESSIONS_SHOWN = 10


class Watch:
    """What `top` shows; `root` gives the tree once there is one."""

    def __init__(
        self,
        *,
        broker: Broker,
        topics: Topics,
        groups: GroupStage,
        tasks: TaskStage,
        consumers: HttpGroupStage,
        gateway: Gateway,
        over_http: TopicGateway,
        catalog: Catalog,
        session_store: SessionStoreReference,
        root: Callable[[], Supervisor | None],
    ) -> None:
        self._broker = broker
        self._topics = topics
        self._groups = groups
        self._tasks = tasks
        self._consumers = consumers
        self._gateway = gateway
        self._over_http = over_http
        self._catalog = catalog
        self._session_store = session_store
        self._root = root
        self._samples: deque[Sample] = deque(maxlen=_REMEMBERED)

    async def top(self) -> Mapping[str, Any]:
        """The instance now (see `view`); waits for a moment where nobody has looked lately."""
        before = self._lately()
        if before is None:
            before = self._look()
            await trio.sleep(LEAST_SECONDS)
        return view(before, self._look())

    def _lately(self) -> Sample | None:
        """The newest look that is old enough, unless it is too old."""
        now = trio.current_time()
        return next((one for one in reversed(self._samples) if LEAST_SECONDS <= now - one.at <= MOST_SECONDS), None)

    def _look(self) -> Sample:
        sample = self.sample()
        if not self._samples or sample.at - self._samples[-1].at >= LEAST_SECONDS / 2:
            self._samples.append(sample)
        return sample

    def sample(self) -> Sample:
        """Everything as it is now."""
        sessions = self._broker.sessions.statistics()
        tasks = self._tasks.statistics()
        routes = self._gateway.statistics().routes
        groups, consumers = self._groups.statistics(), self._consumers.statistics()
        root = self._root()
        return Sample(
            at=trio.current_time(),
            connections=sessions.connections,
            held=sessions.held,
            partitions=tuple(partition for topic in self._topics for partition in _partitions(topic)),
            groups=tuple(_group(one, consumers.get(one.group)) for one in groups),
            session_store=_session_store(self._session_store.statistics()),
            tasks=tuple(self._task(name, status) for name, status in tasks.items()),
            routes=tuple(self._route(name, statistics) for name, statistics in routes.items()),
            tree=ActorSample("penstock", "running", children=self._tree(root, routes)) if root else _STARTING,
        )

    def _task(self, name: str, status: TaskStatus) -> TaskSample:
        stored = self._catalog.get(Identity("task", name))
        task = stored.resource if stored is not None else None
        return TaskSample(
            name=name,
            connection=task.target.connection if isinstance(task, Task) else "",
            state=status.state.value,
            reason=status.reason,
            holding=status.holding,
            held_by_sink=status.held_by_sink,
            runners=sum(bool(runner.partitions) for runner in status.runners),
            seconds=status.seconds,
        )

    def _route(self, name: str, statistics: RouteStatistics) -> RouteSample:
        stored = self._catalog.get(Identity("route", name))
        route = stored.resource if stored is not None else None
        data = route.backend.data if isinstance(route, Route) else None
        admission = statistics.admission
        return RouteSample(
            name=name,
            connection=data.connection if data is not None else None,
            running=admission.running,
            waiting=admission.waiting,
            capacity=admission.capacity,
            waited=admission.waited,
        )

    # --- the tree ----------------------------------------------------------------------------------------------------

    def _tree(self, supervisor: Supervisor, routes: Mapping[str, RouteStatistics]) -> tuple[ActorSample, ...]:
        return tuple(self._entry(supervisor, child, routes) for child in supervisor.children())

    def _entry(self, supervisor: Supervisor, child: ChildStatus, routes: Mapping[str, RouteStatistics]) -> ActorSample:
        instance = supervisor.child(child.name)
        entry = ActorSample(child.name, child.state.value, child.reason, child.restarts)
        match instance:
            case TaskSupervisor():
                status = instance.status()
                entry = replace(entry, counts={"rows": status.rows, "transactions": status.transactions})
                return replace(
                    entry, reason=entry.reason or status.holding, children=self._tree(instance.supervisor, routes)
                )
            case Supervisor():
                return replace(entry, children=self._tree(instance, routes))
            case HttpGroupActor():
                return _consumers_entry(replace(entry, mailbox=instance.mailbox.statistics()), instance.statistics())
            case Actor():
                return self._actor(supervisor.name, replace(entry, mailbox=instance.mailbox.statistics()))
        if supervisor.name == "listeners":
            return self._listener(entry, routes)
        return entry

    def _actor(self, stage: str, entry: ActorSample) -> ActorSample:
        counts: dict[str, float] = {}
        gauges: dict[str, float] = {}
        if stage == "partitions":
            topic, _, number = entry.name.rpartition("-")
            reference = self._topics.get(topic)
            if reference is not None and int(number) < len(reference.partitions):
                statistics = reference.partitions[int(number)].statistics()
                counts = {"records": statistics.appended, "commits": statistics.commits}
        elif stage == "groups":
            group = self._groups.get(entry.name)
            gauges = {"lag": group.statistics().lag} if group is not None else {}
        elif entry.name == SESSION_STORE:
            store = self._session_store.statistics()
            counts |= {"changes": store.counters.changes, "commits": store.counters.commits}
            gauges = {"kept": len(self._broker.states), "used bytes": store.used}
            return replace(entry, counts=counts, gauges=gauges, reason=entry.reason or store.fault)
        counts["messages"] = entry.mailbox.taken if entry.mailbox is not None else 0
        return replace(entry, counts=counts, gauges=gauges)

    def _listener(self, entry: ActorSample, routes: Mapping[str, RouteStatistics]) -> ActorSample:
        """Sessions and calls are no children of a supervisor; what they do is shown with their listener."""
        if entry.name == "mqtt":
            sessions, counters = self._broker.sessions.statistics(), self._broker.counters
            counts: dict[str, float] = {"published": counters.published, "acknowledged": counters.acknowledged}
            shown = tuple(map(_session_entry, self._broker.sessions.busiest(_SESSIONS_SHOWN)))
            gauges = {"connections": sessions.connections, "held": sessions.held}
            return replace(entry, counts=counts, gauges=gauges, children=shown)
        if entry.name == "topics":
            calls = self._over_http.statistics
            return replace(entry, counts={"produced": calls.published + calls.bulks, "taken": calls.taken})
        if entry.name == "gateway":
            return replace(entry, children=tuple(_route_entry(name, one) for name, one in routes.items()))
        return entry


_STARTING = ActorSample("penstock", "starting")


def _route_entry(name: str, one: RouteStatistics) -> ActorSample:
    state = "running" if one.published else "stopped"
    gauges = {"running": one.admission.running, "waiting": one.admission.waiting, "capacity": one.admission.capacity}
    return ActorSample(f"route {name}", state, counts={"requests": one.requests}, gauges=gauges)


def _session_entry(one: Standing) -> ActorSample:
    """A session whose reports wait; with a device several sessions may have a client id each."""
    state = "held" if one.held else "refused" if one.refused else "running"
    gauges = {"unacknowledged bytes": one.inflight, "seconds": round(one.waited, 1)}
    return ActorSample(f"session {one.client} ({one.client_id})", state, gauges=gauges)


def _consumers_entry(entry: ActorSample, one: HttpGroupStatistics) -> ActorSample:
    counters = one.counters
    counts = {"delivered": counters.delivered, "confirmed": counters.confirmed}
    gauges = {"asking": one.waiting, "in hand": one.handed_out, "unconfirmed": one.unconfirmed}
    return replace(entry, reason=entry.reason or one.holding, counts=counts, gauges=gauges)


def _partitions(topic: TopicReference) -> Iterator[PartitionSample]:
    gate = topic.gate
    for number, partition in enumerate(topic.partitions):
        statistics = partition.statistics()
        yield PartitionSample(
            topic=topic.name,
            number=number,
            alive=statistics.alive,
            fault=statistics.fault,
            sync=statistics.sync_total,
            brought=statistics.senders,
            waited=statistics.mailbox.waited_by,
            standing=_standing(statistics.mailbox.kept_by, gate),
            refused=dict(gate.refused_by),
            gate=gate.state.value,
            gate_reason=gate.reason,
        )


def _session_store(store: StoreStatistics) -> SessionStoreSample:
    waited = store.mailbox.waited if store.mailbox is not None else 0.0
    return SessionStoreSample(store.alive, store.fault, waited, store.counters.commit_seconds)


def _standing(kept: Mapping[str, int], gate: Gate) -> Mapping[str, int]:
    """Calls over HTTP wait at the gate, for whatever partition; everybody else stands at a partition."""
    return {**kept, "http": kept.get("http", 0) + gate.waiting} if gate.waiting else kept


def _group(group: GroupStatistics, consumers: HttpGroupStatistics | None) -> GroupSample:
    return GroupSample(
        name=group.group,
        topic=group.topic,
        kind=group.kind,
        lag=group.lag,
        consume_rate=sum(one.consume_rate for one in group.partitions),
        members=len(group.members),
        unread=tuple(one.partition for one in group.partitions if one.lag and not one.member),
        consumers=ConsumersSample(consumers.waiting, consumers.handed_out, consumers.holding) if consumers else None,
    )
