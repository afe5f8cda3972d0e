"""All that one client's MQTT topics lead to, found out once and kept until something changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.targets import TopicLookup, TopicTarget
from actors.directory.identities import Identity
from actors.records import TopicPartition
from actors.rules.forward import Forward
from actors.rules.plan import Plan, compile_plan
from actors.topic_partition.gate import ORIGIN_HEADER, Gate, GateState

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.audience import Audience

# A device publishes to one topic, an app to some more; past this the paths are found anew.
_PATHS: Final = 64


class Route(NamedTuple):
    """A forward with the topic that takes its records now; `place` is known where they all have the same key.

    `home` is the topic that the forward names: another one than `topic` while records are diverted, and `diverted` is
    the gate that leads them there. `most` is the largest record that may be sent.
    """

    forward: Forward
    topic: TopicTarget | None
    place: TopicPartition | None
    most: int
    home: TopicTarget | None
    diverted: Gate | None


class Path:
    """All that is known of one MQTT topic for one client."""

    __slots__ = ("audience", "plan", "routes")

    def __init__(self, plan: Plan, routes: tuple[Route, ...]) -> None:
        self.plan = plan
        self.routes = routes
        self.audience: Audience | None = None
        """Who has subscribed to the topic, as far as was found out."""

    def closed_gates(self) -> list[Gate]:
        """The gates that would refuse a record now."""
        gates = [route.topic.gate for route in self.routes if route.topic is not None]
        return [gate for gate in gates if gate.state is GateState.REJECTING and gate.allowance <= 0]


class Paths:
    """The paths of one client, by MQTT topic."""

    __slots__ = ("_broker", "_directory_version", "_identity", "_paths", "_topics_version")

    def __init__(self, broker: Broker, identity: Identity) -> None:
        self._broker = broker
        self._identity = identity
        self._paths: dict[str, Path] = {}
        self._directory_version = -1
        self._topics_version = -1

    def forget_stale(self) -> None:
        """Find everything out anew where anything has changed; to be called before `get`, once for many."""
        directory, topics = self._broker.directory.version, self._broker.topics.version
        if directory != self._directory_version or topics != self._topics_version:
            self._paths.clear()
            self._directory_version, self._topics_version = directory, topics

    def get(self, topic: str) -> Path:
        """The path of a topic."""
        return self._paths.get(topic) or self._find(topic)

    def _find(self, topic: str) -> Path:
        broker = self._broker
        plan = compile_plan(self._identity, topic, broker.directory)
        routes = [_route(broker.topics, forward) for forward in plan.forwards]
        if len(self._paths) >= _PATHS:
            self._paths.clear()
        path = self._paths[topic] = Path(plan, tuple(routes))
        return path


def _route(topics: TopicLookup, forward: Forward) -> Route:
    home, target = topics.get(forward.topic), topics.route(forward.topic)
    if home is None or target is None:
        return Route(forward, None, None, 0, None, None)
    place = TopicPartition(target.name, target.partition_for(forward.key)) if forward.fixed else None
    if target is home:
        return Route(forward, target, place, target.max_message_bytes, home, None)
    # They are to come home again, so both must take them.
    most = min(home.max_message_bytes, target.max_message_bytes)
    marked = forward.with_headers((ORIGIN_HEADER, home.name.encode()))
    return Route(marked, target, place, most, home, home.gate)
