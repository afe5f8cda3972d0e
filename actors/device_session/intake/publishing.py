"""What one session publishes: from the PUBLISH packets of one read to the appends and deliveries they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.connection.reading import Intake, Reading
from actors.device_session.delivery.message import OVERHEAD
from actors.device_session.errors import ProtocolViolationError
from actors.device_session.intake import answers as words
from actors.device_session.intake.aliases import TopicAliases
from actors.device_session.intake.delivering import Deliverer
from actors.device_session.intake.forwarding import Forwarder
from actors.device_session.intake.incoming import Incoming
from actors.device_session.intake.paths import Paths
from actors.device_session.registry.statuses import milliseconds
from actors.wire.mqtt.packets import Publish, Will
from actors.wire.mqtt.properties import NO_PROPERTIES
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.registry.state import SessionState
    from actors.device_session.registry.statuses import DeviceStatus
    from actors.topic_partition.gate import Gate

_EXACTLY_ONCE: Final = 2


class Terms(NamedTuple):
    """On what terms a connection publishes.

    `refuses`: its client can be told that a message was not taken (MQTT 5). `alias_maximum`: the highest topic alias.
    """

    refuses: bool = False
    maximum_qos: int = _EXACTLY_ONCE
    alias_maximum: int = 0


class Publisher:
    """The publishing side of one session, for one connection; keeps what it found out until something changes.

    `answered` is called when something that was waited for has its answer.
    """

    __slots__ = (
        "_aliases",
        "_broker",
        "_deliverer",
        "_forwarder",
        "_paths",
        "_plain_qos",
        "_state",
        "_status",
        "_terms",
    )

    def __init__(
        self,
        broker: Broker,
        state: SessionState,
        status: DeviceStatus | None,
        terms: Terms = Terms(),  # noqa: B008 - immutable
        answered: Callable[[], None] | None = None,
    ) -> None:
        self._broker = broker
        self._state = state
        self._status = status
        self._terms = terms
        self._deliverer = Deliverer(broker, state, answered or _nothing, refuses=terms.refuses)
        self._paths = Paths(broker, state.identity)
        self._forwarder = Forwarder(broker, state, status)
        self._aliases: TopicAliases | None = None
        self._plain_qos = min(terms.maximum_qos, 1)

    def take(self, publishes: Sequence[Publish]) -> Intake:
        """Decide what becomes of the PUBLISH packets of one read, deliver them to subscribers, count what is dropped.

        Stops at the first packet that this server does not allow.
        """
        reading = Reading()
        answers = reading.answers
        by_topic: dict[str, list[Publish]] = {}
        plain_qos = self._plain_qos
        violation = None
        for publish in publishes:
            topic, _, qos, packet_id, retain, _, properties = publish
            if qos > plain_qos or retain or properties is not NO_PROPERTIES:
                try:
                    self._take_special(publish, reading, by_topic)
                except ProtocolViolationError as error:
                    violation = error
                    break
                continue
            if qos:
                answers.append(packet_id)
            group = by_topic.get(topic)
            if group is None:
                by_topic[topic] = [publish]
            else:
                group.append(publish)
        self._paths.forget_stale()
        for topic, group in by_topic.items():
            self._take_topic(topic, group, reading)
        size = OVERHEAD * len(publishes) + reading.size
        return self._close(reading, size, violation)

    def take_will(self, will: Will) -> Intake:
        """What becomes of a will: the same as of any message of this client, but that nobody is answered."""
        reading = Reading()
        reading.made_special()
        publish = Publish(will.topic, will.payload, will.qos, 0, will.retain, False, will.properties)  # noqa: FBT003
        self._paths.forget_stale()
        self._take_topic(will.topic, [publish], reading)
        return self._close(reading, OVERHEAD + reading.size, None)

    def _take_special(self, publish: Publish, reading: Reading, by_topic: dict[str, list[Publish]]) -> None:
        """One that is not plain: of QoS 2, retained, or with properties."""
        if publish.qos > self._terms.maximum_qos:
            what = f"PUBLISH with QoS {publish.qos}; this listener takes {self._terms.maximum_qos} at most"
            raise ProtocolViolationError(f"{what} [MQTT5-3.2.2-11]", Reason.QOS_NOT_SUPPORTED)
        publish = self._resolved(publish)
        if publish.qos > 1 or publish.retain or publish.properties is not NO_PROPERTIES:
            reading.made_special()
        if publish.qos == _EXACTLY_ONCE:
            if not self._open(publish.packet_id, reading):
                return
        elif publish.qos:
            reading.answers.append(publish.packet_id)
        by_topic.setdefault(publish.topic, []).append(publish)

    def _open(self, packet_id: int, reading: Reading) -> bool:
        """Take a QoS 2 message; False where it is a repetition that changes nothing [MQTT-4.3.3-2, MQTT5-4.3.3-10]."""
        incoming, special = self._incoming(), reading.made_special()
        before = incoming.get(packet_id)
        if before is not None and not before.releasing:
            special.repeated += 1
        message = incoming.take(packet_id)
        reading.answers.append(words.pubrec(packet_id))
        if message.accepted or packet_id in special.open:
            return False
        special.open[packet_id] = message
        return True

    def _incoming(self) -> Incoming:
        state = self._state
        if state.incoming is None:
            kept = self._broker.open_messages if state.is_persistent else None
            state.incoming = Incoming(state.incarnation, kept)
        return state.incoming

    def _resolved(self, publish: Publish) -> Publish:
        """The same with its topic, where an alias stands for that."""
        alias = publish.properties.topic_alias
        if alias is None:
            return publish
        if self._aliases is None:
            self._aliases = TopicAliases(self._terms.alias_maximum)
        topic = self._aliases.resolve(publish.topic, alias)
        properties = publish.properties._replace(topic_alias=None)
        return publish._replace(topic=topic, properties=NO_PROPERTIES if properties == NO_PROPERTIES else properties)

    def _take_topic(self, topic: str, publishes: list[Publish], reading: Reading) -> None:
        broker, count = self._broker, len(publishes)
        path = self._paths.get(topic)
        broker.counters.published += count
        if not path.plan.allowed:
            broker.counters.dropped_no_right += count
            self._forwarder.warn("Reports dropped: no right to publish there", topic, count=count)
            self._refuse(publishes, Reason.NOT_AUTHORIZED, reading)
            return
        now = milliseconds()
        if self._status is not None:
            self._status.last_report = now
            self._status.reports += count
        if path.plan.check is not None:
            bad = Reason.PAYLOAD_FORMAT_INVALID if self._terms.refuses else 0
            publishes = self._forwarder.checked(topic, path.plan.check, publishes, reading, bad)
        if path.routes and self._terms.refuses and (closed := path.closed_gates()):
            self._refuse_closed(publishes, closed, reading)
            return
        self._deliverer.deliver(topic, path, publishes, now, reading)
        if path.routes:
            if publishes:
                self._forwarder.forward(topic, path, publishes, now, reading)
            return
        broker.counters.dropped_no_rule += len(publishes)
        if not path.audience and self._terms.refuses:
            untaken = [publish for publish in publishes if not publish.retain]
            reading.refuse(untaken, Reason.NO_MATCHING_SUBSCRIBERS)

    def _refuse(self, publishes: Sequence[Publish], reason: Reason, reading: Reading) -> None:
        if self._terms.refuses:
            reading.refuse(publishes, reason)

    def _refuse_closed(self, publishes: Sequence[Publish], closed: list[Gate], reading: Reading) -> None:
        """A topic's backlog policy refuses reports: the client hears it at once, and goes on."""
        for gate in closed:
            gate.refused += len(publishes)
        self._broker.counters.refused_reports += len(publishes)
        reading.refuse(publishes, Reason.QUOTA_EXCEEDED)

    def _close(self, reading: Reading, size: int, violation: ProtocolViolationError | None) -> Intake:
        """Tell the journal, and let go of QoS 2 messages that are refused: their packet ids are free."""
        new = len(reading.answers)
        if reading.replies or reading.fan_out is not None or reading.special is not None:
            self._deliverer.write(reading)
        if reading.special is not None:
            new -= reading.special.repeated
            refused = [packet_id for packet_id in reading.special.open if reading.is_refused(packet_id)]
            if refused:
                self._deliverer.give_up(refused, reading)
        crowded = reading.fan_out.crowded if reading.fan_out is not None else ()
        return Intake(reading.said(), reading.batches.values(), reading.replies, size, new, crowded, violation)


def _nothing() -> None:
    """Nobody waits."""
