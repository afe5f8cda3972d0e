"""The numbers of topics over HTTP for the metrics page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields

from actors.topic_gateway.actor import HttpGroupStatistics
from actors.topic_gateway.deliveries import DeliveryCounters
from actors.topic_gateway.gateway import TopicGateway
from daemon.listeners.http_service import HttpStatistics
from daemon.metrics import Metric, MetricType, Sample
from daemon.stages.topic_gateway import HttpGroupStage

_CLASSES = {2: "2xx", 4: "4xx", 5: "5xx"}
_GAUGES: tuple[tuple[str, str, Callable[[HttpGroupStatistics], float]], ...] = (
    ("handed_out", "Messages that consumers have in hand.", lambda one: one.handed_out),
    ("unconfirmed", "Messages that were handed out and are not confirmed.", lambda one: one.unconfirmed),
    ("waiting", "Calls that wait for messages.", lambda one: one.waiting),
    (
        "holding",
        "1 while a partition cannot be read or a message not be put aside.",
        lambda one: float(bool(one.holding)),
    ),
)


class TopicMeasures:
    """Looks at the topic gateway and at the groups of HTTP consumers; changes nothing."""

    def __init__(
        self, gateway: TopicGateway, consumers: HttpGroupStage, connections: Callable[[], HttpStatistics]
    ) -> None:
        self._gateway = gateway
        self._consumers = consumers
        self._connections = connections

    def metrics(self) -> Iterable[Metric]:
        """All families, as of this moment."""
        connections, calls = self._connections(), self._gateway.statistics
        yield _family("topics_connections", "gauge", "Open HTTP connections.", Sample(connections.connections))
        yield _family("topics_accepted_total", "counter", "HTTP connections accepted.", Sample(connections.accepted))
        asked = {
            "messages": calls.published,
            "bulk": calls.bulks,
            "take": calls.taken,
            "confirm": calls.confirmed,
            "fetch": calls.fetched,
        }
        samples = [Sample(count, {"call": name}) for name, count in asked.items()]
        yield _family("topics_calls_total", "counter", "Calls by what they asked for.", *samples)
        answers = [Sample(calls.answers[number], {"status": name}) for number, name in _CLASSES.items()]
        yield _family("topics_answers_total", "counter", "Answers by class of status.", *answers)
        yield from self._groups()

    def _groups(self) -> Iterable[Metric]:
        groups = self._consumers.statistics().items()
        for name, text, read in _GAUGES:
            samples = [Sample(read(one), {"group": group}) for group, one in groups]
            yield _family(f"http_group_{name}", "gauge", text, *samples)
        deliveries = [
            Sample(getattr(one.counters, field.name), {"group": group, "what": field.name})
            for group, one in groups
            for field in fields(DeliveryCounters)
        ]
        yield _family("http_group_messages_total", "counter", "Messages by what happened to them.", *deliveries)


def _family(name: str, kind: MetricType, text: str, *samples: Sample) -> Metric:
    return Metric(f"penstock_{name}", kind, text, samples)
