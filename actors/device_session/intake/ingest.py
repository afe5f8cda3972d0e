"""How what a client publishes is taken in and answered: to the partitions, and back as PUBACK, PUBREC and PUBCOMP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from actors.device_session.connection.writer import Refused, Writer
from actors.device_session.delivery.message import OVERHEAD
from actors.device_session.errors import ProtocolViolationError
from actors.device_session.intake import answers as words
from actors.device_session.intake.publishing import Publisher, Terms
from actors.device_session.journal import Released
from actors.errors import CircuitOpenError, PenstockError
from actors.runtime.reply import Reply
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.connection.reading import Intake, PartitionBatch
    from actors.device_session.profile import ListenerProfile
    from actors.device_session.registry.state import SessionState
    from actors.device_session.registry.statuses import DeviceStatus
    from actors.wire.mqtt.packets import Publish

_EXACTLY_ONCE: Final = 2


class Ingest:
    """The publishing side of one connection; made when its client first publishes."""

    __slots__ = ("_broker", "_profile", "_publisher", "_released", "_state", "_writer")

    def __init__(
        self,
        broker: Broker,
        profile: ListenerProfile,
        state: SessionState,
        status: DeviceStatus | None,
        writer: Writer,
    ) -> None:
        self._broker = broker
        self._profile = profile
        self._state = state
        self._writer = writer
        terms = Terms(writer.dialect.can_refuse, profile.maximum_qos, profile.topic_alias_maximum)
        self._publisher = Publisher(broker, state, status, terms, writer.answered)
        # Packet ids and numbers that PUBREL of this read has named.
        self._released: list[tuple[int, int]] = []

    def take(self, publishes: Sequence[Publish], now: float) -> None:
        """The PUBLISH packets that stand together in one read.

        Raises:
            ProtocolViolationError: one of them is not allowed; what came before it is taken.
            PenstockError: they cannot be stored.
        """
        self.release(now)
        if self._writer.dialect.can_refuse and self._writer.unfinished + len(publishes) > self._profile.receive_maximum:
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
        for message in batch.open or ():
            message.appended(batch.place, reply)
        try:
            if self._writer.refused is not None:
                # Stored now it could not be acknowledged, and would come a second time.
                raise self._writer.refused.error
            batch.hand_over(reply, self._broker.conditions)
        except CircuitOpenError as error:
            reply.fail(error)
            self._refused(batch, intake, error, now)
            if self._writer.refused is None or not intake.answers:
                return
        except PenstockError as error:
            reply.fail(error)
            raise
        else:
            if not batch.doubts:
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
        own = batch.open or ()
        given_up = [
            released
            for packet_id in refused
            if incoming.get(packet_id) in own and (released := incoming.give_up(packet_id)) is not None
        ]
        if given_up:
            # Another target perhaps has it: nobody may take the next message of that packet id for this one.
            reply: Reply[None] = Reply(self._writer.answered)
            self._broker.journal.write(given_up, reply)
            intake.replies.append(reply)

    def take_pubrel(self, packet_id: int) -> None:
        """PUBREL came; `release` follows, once for all of one read."""
        incoming = self._state.incoming
        number = incoming.release(packet_id) if incoming is not None else None
        if number is None:
            self._writer.reply(self._writer.dialect.pubcomp(packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND))
        else:
            self._released.append((packet_id, number))

    def release(self, now: float) -> None:
        """What PUBREL has named: PUBCOMP leaves once nobody can take these for unfinished again [MQTT5-4.3.3-11]."""
        if not self._released:
            return
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
