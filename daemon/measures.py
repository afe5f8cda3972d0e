"""The numbers of the metrics page: read from the counters that stand beside what they count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from actors.device_session.broker import Broker
from actors.doctor.messages import Diagnosis
from actors.gateway_route.gateway import Gateway
from actors.task_runner.progress import TaskStatus
from actors.topic_partition.reference import PartitionStatistics
from actors.topic_partition.topic import Topics
from daemon.doors import Doors
from daemon.metrics import Metric, MetricType, Sample
from daemon.route_measures import route_metrics
from daemon.session_measures import SessionMeasures
from daemon.stages.doctor import DoctorStage
from daemon.stages.tasks import TaskStage
from daemon.topic_measures import TopicMeasures

_PARTITION: tuple[tuple[str, MetricType, str, Callable[[PartitionStatistics], float]], ...] = (
    ("appended_records_total", "counter", "Records appended.", lambda one: one.appended),
    ("refused_records_total", "counter", "Records that were not taken.", lambda one: one.refused),
    ("commits_total", "counter", "Group commits.", lambda one: one.commits),
    ("sync_seconds_total", "counter", "Seconds spent in fdatasync.", lambda one: one.sync_total),
    ("start_offset", "gauge", "First offset that is kept.", lambda one: one.start_offset),
    ("high_watermark", "gauge", "Next offset to be acknowledged.", lambda one: one.high_watermark),
    ("size_bytes", "gauge", "Bytes on disk.", lambda one: one.size),
    ("mailbox_bytes", "gauge", "Bytes that wait to be appended.", lambda one: one.mailbox.depth),
    ("waited_seconds_total", "counter", "Seconds that producers stood in line.", lambda one: one.mailbox.waited),
    ("up", "gauge", "1 while the partition takes appends.", lambda one: float(one.alive and not one.fault)),
)
_TASK: tuple[tuple[str, MetricType, str, Callable[[TaskStatus], float]], ...] = (
    ("rows_total", "counter", "Row writes.", lambda one: one.rows),
    ("dead_records_total", "counter", "Records sent to the dead-letter topic.", lambda one: one.dead),
    ("lost_records_total", "counter", "Records gone or damaged before they were read.", lambda one: one.lost),
    ("transactions_total", "counter", "Transactions committed.", lambda one: one.transactions),
    ("retries_total", "counter", "Attempts after a hold.", lambda one: one.retries),
    ("lag_records", "gauge", "Records that wait.", lambda one: one.lag),
    ("holding", "gauge", "1 while it waits for its sink.", lambda one: float(bool(one.holding))),
)
_GATE = (
    ("refused", "Records that a backlog policy refused."),
    ("diverted", "Records that a backlog policy led to another topic."),
    ("dropped", "Records that a backlog policy dropped before every group had read them."),
)
_GROUP: tuple[tuple[str, str, Callable[[Diagnosis], float | None]], ...] = (
    ("lag_records", "Records that wait.", lambda one: one.lag),
    ("lag_bytes", "Bytes that wait, about.", lambda one: one.lag_bytes),
    ("lag_seconds", "Age of the oldest record that waits.", lambda one: one.lag_seconds),
    ("produce_rate", "Records per second that come, over 10 seconds.", lambda one: one.produce_rate),
    ("consume_rate", "Records per second that are done, over 10 seconds.", lambda one: one.consume_rate),
    ("drain_seconds", "Until nothing waits at these rates; absent while the lag grows.", lambda one: one.drain_seconds),
    ("members", "Members.", lambda one: one.members),
)


class Measures:
    """Looks at everything that counts something; changes nothing."""

    def __init__(  # noqa: PLR0917 - it looks at everything
        self,
        broker: Broker,
        topics: Topics,
        tasks: TaskStage,
        gateway: Gateway,
        doors: Doors,
        doctor: DoctorStage,
        over_http: TopicMeasures,
        sessions: SessionMeasures,
    ) -> None:
        self._broker = broker
        self._topics = topics
        self._tasks = tasks
        self._gateway = gateway
        self._doors = doors
        self._doctor = doctor
        self._over_http = over_http
        self._sessions = sessions

    def metrics(self) -> Iterable[Metric]:
        """All families, as of this moment."""
        yield from self._mqtt()
        yield from self._sessions.metrics()
        yield from self._partitions()
        yield from self._gates()
        yield from self._moved()
        yield from self._groups()
        yield from self._http()
        yield from route_metrics(self._gateway)
        yield from self._over_http.metrics()

    def _mqtt(self) -> Iterator[Metric]:
        for name, value in asdict(self._broker.counters).items():
            yield _single(f"penstock_mqtt_{name}_total", "counter", f"MQTT: {name.replace('_', ' ')}.", value)
        sessions = self._broker.sessions.statistics()
        yield _single("penstock_mqtt_connections", "gauge", "Open MQTT connections.", sessions.connections)
        yield _single("penstock_mqtt_sessions", "gauge", "MQTT sessions that are logged in.", sessions.connected)
        waiting = self._broker.lifecycle.waiting
        yield _single("penstock_mqtt_lifecycle_waiting", "gauge", "Lifecycle events that are not stored yet.", waiting)

    def _partitions(self) -> Iterator[Metric]:
        found = [
            ({"topic": topic.name, "partition": str(number)}, partition.statistics())
            for topic in self._topics
            for number, partition in enumerate(topic.partitions)
        ]
        for name, kind, text, read in _PARTITION:
            samples = tuple(Sample(read(statistics), labels) for labels, statistics in found)
            yield Metric(f"penstock_partition_{name}", kind, text, samples)

    def _gates(self) -> Iterator[Metric]:
        gates = [({"topic": topic.name}, topic.gate) for topic in self._topics]
        states = tuple(Sample(1.0, labels | {"state": gate.state.value}) for labels, gate in gates)
        yield Metric("penstock_topic_gate_state", "gauge", "1 for what happens to a topic's records.", states)
        for name, text in _GATE:
            samples = tuple(Sample(getattr(gate, name), labels) for labels, gate in gates)
            yield Metric(f"penstock_topic_{name}_records_total", "counter", text, samples)

    def _moved(self) -> Iterator[Metric]:
        found = [({"task": name}, status) for name, status in self._tasks.statistics().items()]
        for name, kind, text, read in _TASK:
            yield Metric(f"penstock_task_{name}", kind, text, tuple(Sample(read(one), labels) for labels, one in found))
        steps = tuple(
            Sample(seconds, labels | {"step": step}) for labels, one in found for step, seconds in one.seconds.items()
        )
        yield Metric("penstock_task_step_seconds_total", "counter", "Seconds spent by step.", steps)
        states = tuple(Sample(1.0, labels | {"state": one.state.value}) for labels, one in found)
        yield Metric("penstock_task_state", "gauge", "1 for the state that a task is in.", states)

    def _groups(self) -> Iterator[Metric]:
        found = [({"group": one.group, "topic": one.topic}, one) for one in self._doctor.diagnoses()]
        for name, text, read in _GROUP:
            # What is not known is left out: 0 would say that all is well.
            values = ((labels, read(one)) for labels, one in found)
            samples = tuple(Sample(value, labels) for labels, value in values if value is not None)
            yield Metric(f"penstock_group_{name}", "gauge", text, samples)
        causes = tuple(Sample(1.0, labels | {"cause": cause.kind}) for labels, one in found for cause in one.causes)
        yield Metric("penstock_group_lag_cause", "gauge", "1 for each cause of a group's lag.", causes)
        done = tuple(
            Sample(count, {"task": task, "action": action}) for (task, action), count in self._doctor.actions().items()
        )
        yield Metric("penstock_heal_actions_total", "counter", "What was done against lag by itself.", done)

    def _http(self) -> Iterator[Metric]:
        statistics = self._doors.http_statistics()
        yield _single("penstock_gateway_connections", "gauge", "Open HTTP connections.", statistics.connections)
        yield _single("penstock_gateway_accepted_total", "counter", "HTTP connections accepted.", statistics.accepted)
        yield _single("penstock_gateway_refused_total", "counter", "Requests refused unread.", statistics.refused)
        failed = statistics.failed_handshakes
        yield _single("penstock_gateway_failed_handshakes_total", "counter", "Connections that got no TLS.", failed)
        unrouted = self._gateway.statistics()
        yield _single("penstock_gateway_not_found_total", "counter", "Requests for no route.", unrouted.not_found)
        yield _single("penstock_gateway_redirected_total", "counter", "Requests sent to https.", unrouted.redirected)
        text = "Requests over connections that are no good for their domain."
        yield _single("penstock_gateway_misdirected_total", "counter", text, unrouted.misdirected)


def _single(name: str, kind: MetricType, text: str, value: float) -> Metric:
    return Metric(name, kind, text, (Sample(value),))
