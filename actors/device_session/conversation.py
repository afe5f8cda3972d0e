"""What a client and its session say to one another, from CONNACK to the end: every packet, one read after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

from actors.device_session import answers as words
from actors.device_session.errors import ClientLeftError, ProtocolViolationError
from actors.device_session.journal import Released
from actors.device_session.message import OVERHEAD
from actors.device_session.publishing import Publisher, Terms
from actors.device_session.receiving import Receiver
from actors.device_session.state import Link
from actors.device_session.writer import Refused, Writer
from actors.errors import CircuitOpenError, PenstockError
from actors.runtime.reply import Reply
from actors.topic_partition.messages import Append
from actors.wire.mqtt.dialect import PINGRESP
from actors.wire.mqtt.packets import (
    MQTT_5,
    Auth,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
)
from actors.wire.mqtt.reasons import FAILURE, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.device_session.batches import PartitionBatch
    from actors.device_session.broker import Broker
    from actors.device_session.profile import ListenerProfile
    from actors.device_session.reading import Intake
    from actors.device_session.state import SessionState
    from actors.device_session.statuses import DeviceStatus

_EXACTLY_ONCE: Final = 2

Violation = Connect | Auth | Malformed
"""What nobody who is logged in may send here."""

Control = Puback | Pubrec | Pubrel | Pubcomp | Pingreq | Subscribe | Unsubscribe | Disconnect | Violation
"""Every packet but PUBLISH."""


class Conversation:
    """The packets of one connection that has logged in: what is to be done with each, and what is answered."""

    __slots__ = ("_broker", "_close", "_connect", "_profile", "_publisher", "_released", "_state", "_status", "_writer")

    def __init__(
        self,
        broker: Broker,
        connect: Connect,
        profile: ListenerProfile,
        *,
        state: SessionState,
        status: DeviceStatus | None,
        writer: Writer,
        close: Callable[[Reason, str], None],
    ) -> None:
        """`close` ends the connection: what the client is told, and the reason for people."""
        self._broker = broker
        self._connect = connect
        self._profile = profile
        self._state = state
        self._status = status
        self._writer = writer
        self._close = close
        # Made when it is first needed: most sessions only listen, or only publish.
        self._publisher: Publisher | None = None
        # Packet ids and numbers that PUBREL of this read has named.
        self._released: list[tuple[int, int]] = []

    def resume(self) -> None:
        """Go on with what the session's last connection left: what was under way is sent again [MQTT-4.4.0-1]."""
        if self._state.receiver is not None:
            self._attach(self._state.receiver)

    def take(self, packets: Sequence[Packet], now: float) -> int:
        """Everything of one read, in order; the PUBLISH packets that stand together are taken together.

        Returns how many PUBLISH packets there were.

        Raises:
            ProtocolViolationError: a packet is not allowed; what came before it is taken.
            ClientLeftError: DISCONNECT was among them.
            PenstockError: what was published cannot be stored.
        """
        start = others = 0
        try:
            for index, packet in enumerate(packets):
                if isinstance(packet, Publish):
                    continue
                if index > start:
                    self._publish(packets[start:index], now)  # type: ignore[arg-type]  # all between are Publish
                start = index + 1
                others += 1
                self._take_other(packet, now)
            if start < len(packets):
                self._publish(packets[start:] if start else packets, now)  # type: ignore[arg-type]  # likewise
        finally:
            if self._released:
                self._release(now)
        return len(packets) - others

    # --- what it publishes --------------------------------------------------------------------------------------------

    def _publish(self, publishes: Sequence[Publish], now: float) -> None:
        if self._released:
            self._release(now)
        if self._publisher is None:
            self._publisher = self._new_publisher()
        if self._connect.level == MQTT_5 and self._writer.unfinished + len(publishes) > self._profile.receive_maximum:
            self._check_receive_maximum(publishes)
        intake = self._publisher.take(publishes)
        replies = intake.replies
        for batch in intake.batches:
            self._submit(batch, intake, now)
        if intake.crowded:
            self._writer.feeds(intake.crowded)
        if replies or intake.answers:
            self._writer.unfinished += intake.new
            self._writer.inflight.add(intake.answers, replies, intake.size, now)
            self._writer.answered()
        if intake.violation is not None:
            raise intake.violation

    def _new_publisher(self) -> Publisher:
        terms = Terms(
            refuses=self._writer.dialect.can_refuse,
            maximum_qos=self._profile.maximum_qos,
            alias_maximum=self._profile.topic_alias_maximum,
        )
        return Publisher(self._broker, self._state, self._status, terms, self._writer.answered)

    def _check_receive_maximum(self, publishes: Sequence[Publish]) -> None:
        """More unanswered messages than CONNACK allowed [MQTT5-3.3.4-7]; nothing of them is taken, nor answered."""
        incoming = self._state.incoming
        new = 0
        for publish in publishes:
            if publish.qos == _EXACTLY_ONCE:
                new += incoming is None or incoming.get(publish.packet_id) is None
            else:
                new += publish.qos
        if self._writer.unfinished + new > self._profile.receive_maximum:
            most = self._profile.receive_maximum
            what = f"more than {most} unacknowledged messages, which CONNACK allowed [MQTT5-3.3.4-7]"
            raise ProtocolViolationError(what, Reason.RECEIVE_MAXIMUM_EXCEEDED)

    def _submit(self, batch: PartitionBatch, intake: Intake, now: float) -> None:
        """Hand a batch to its partition; where that refuses, see that nobody takes it for stored."""
        reply: Reply[int] = Reply(self._writer.answered)
        for message in batch.open:
            message.appended(batch.place, reply)
        try:
            if self._writer.refused is not None:
                # Stored now it could not be acknowledged, and would come a second time.
                raise self._writer.refused.error
            batch.partition.submit(Append(batch.records, batch.size, reply))
        except CircuitOpenError as error:
            reply.fail(error)
            self._refused(batch, intake, error, now)
            if self._writer.refused is None or not intake.answers:
                return
        except PenstockError as error:
            reply.fail(error)
            raise
        else:
            self._broker.counters.records += len(batch.records)
        intake.replies.append(reply)

    def _refused(self, batch: PartitionBatch, intake: Intake, error: CircuitOpenError, now: float) -> None:
        """A topic's policy refuses reports: a client of MQTT 5 hears it at once, and goes on.

        MQTT 3 cannot say so: what is to be acknowledged from now on is withheld, see `Session.check`.
        """
        self._broker.counters.refused_reports += len(batch.records)
        if not self._writer.dialect.can_refuse:
            if intake.answers and self._writer.refused is None:
                self._writer.refused = Refused(now, error)
            return
        refused = {publish.packet_id for group in batch.publishes for publish in group}
        for place, answer in enumerate(intake.answers):
            if words.packet_id_of(answer) in refused:
                intake.answers[place] = words.refused(answer, Reason.QUOTA_EXCEEDED)
        incoming = self._state.incoming
        if incoming is None:
            return
        for packet_id in refused:
            message = incoming.get(packet_id)
            if message is not None and message in batch.open:
                incoming.forget(packet_id, message.number)

    def _release(self, now: float) -> None:
        """PUBREL of one read: PUBCOMP leaves once nobody can take these for unfinished again [MQTT5-4.3.3-11]."""
        released, self._released = self._released, []
        answers = [words.pubcomp(packet_id) for packet_id, _ in released]
        incoming = self._state.incoming
        assert incoming is not None  # noqa: S101 - they were open there

        def forget() -> None:
            if reply.error is None:
                for packet_id, number in released:
                    incoming.forget(packet_id, number)
            self._writer.answered()

        reply: Reply[None] = Reply(forget)
        self._writer.inflight.add(answers, (reply,), OVERHEAD * len(answers), now)
        if self._state.is_persistent:
            session = self._state.incarnation
            self._broker.journal.write([Released(session, *message) for message in released], reply)
        else:
            reply.set(None)

    # --- everything else ----------------------------------------------------------------------------------------------

    def _take_other(self, packet: Control, now: float) -> None:
        match packet:
            case Pingreq():
                self._writer.reply(PINGRESP)
            case Puback() | Pubrec() | Pubcomp():
                self._take_acknowledgement(packet)
            case Pubrel(packet_id):
                self._take_pubrel(packet_id)
            case Subscribe() | Unsubscribe():
                self._take_subscription(packet, now)
            case Disconnect():
                self._take_disconnect(packet)
            case Connect():
                raise ProtocolViolationError("a second CONNECT [MQTT-3.1.0-2, MQTT5-3.1.0-2]")
            case Auth():
                raise ProtocolViolationError("AUTH without an authentication method in CONNECT [MQTT5-4.12.0-7]")
            case Malformed(reason, code):
                raise ProtocolViolationError(reason, code)
            case _:
                assert_never(packet)

    def _take_acknowledgement(self, packet: Puback | Pubrec | Pubcomp) -> None:
        """What the client says of a message that was delivered to it."""
        receiver = self._state.receiver
        match packet:
            case Puback(packet_id):
                if receiver is not None:
                    receiver.acknowledged(packet_id)
            case Pubrec(packet_id, reason):
                if receiver is not None:
                    self._writer.reply(receiver.received(packet_id, reason))
                elif reason < FAILURE:
                    self._writer.reply(self._writer.dialect.pubrel(packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND))
            case Pubcomp(packet_id):
                if receiver is not None:
                    receiver.completed(packet_id)
            case _:
                assert_never(packet)

    def _take_pubrel(self, packet_id: int) -> None:
        incoming = self._state.incoming
        number = incoming.release(packet_id) if incoming is not None else None
        if number is None:
            self._writer.reply(self._writer.dialect.pubcomp(packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND))
        else:
            self._released.append((packet_id, number))

    def _take_disconnect(self, packet: Disconnect) -> None:
        if packet.session_expiry is not None:
            if packet.session_expiry and not self._connect.session_expiry:
                what = "DISCONNECT asks to keep a session that CONNECT said was not to be kept [MQTT5-3.14.2.2.2]"
                raise ProtocolViolationError(what)
            self._state.expiry = min(packet.session_expiry, self._profile.session_expiry_max)
        raise ClientLeftError("the client disconnected", packet)

    def _take_subscription(self, packet: Subscribe | Unsubscribe, now: float) -> None:
        """Subscriptions that are to outlive the connection are on disk before they are acknowledged."""
        receiver, dialect = self._receiving(), self._writer.dialect
        if isinstance(packet, Subscribe):
            answer = receiver.subscribe(packet, self._profile.maximum_qos)
            acknowledgement = dialect.suback(packet.packet_id, answer.reasons)
        else:
            answer = receiver.unsubscribe(packet.filters)
            acknowledgement = dialect.unsuback(packet.packet_id, answer.reasons)
        if not answer.changes:
            self._writer.reply(acknowledgement)
            return

        def written() -> None:
            if reply.error is None:
                self._writer.reply(acknowledgement)
            self._writer.answered()

        reply: Reply[None] = Reply(written)
        self._writer.inflight.add((), (reply,), OVERHEAD + len(acknowledgement), now)
        self._broker.journal.write(answer.changes, reply)

    def _receiving(self) -> Receiver:
        state = self._state
        if state.receiver is None:
            state.receiver = Receiver(self._broker, state)
            self._attach(state.receiver)
        return state.receiver

    def _attach(self, receiver: Receiver) -> None:
        connect, writer = self._connect, self._writer
        writer.receiver = receiver
        receiver.attach(
            Link(
                writer.dialect,
                writer.wake,
                self._close,
                receive_maximum=connect.receive_maximum,
                max_packet_bytes=connect.max_packet_bytes,
                topic_alias_maximum=connect.topic_alias_maximum,
            )
        )
