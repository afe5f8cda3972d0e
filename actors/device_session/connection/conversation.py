"""What a client and its session say to one another, from CONNACK to the end: every packet, one read after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

from actors.device_session.connection.writer import Writer
from actors.device_session.delivery.message import OVERHEAD
from actors.device_session.delivery.receiving import Receiver
from actors.device_session.errors import ClientLeftError, ProtocolViolationError
from actors.device_session.intake.ingest import Ingest
from actors.device_session.registry.state import Link
from actors.runtime.reply import Reply
from actors.wire.mqtt.dialect import PINGRESP
from actors.wire.mqtt.packets import (
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

    from actors.device_session.broker import Broker
    from actors.device_session.profile import ListenerProfile
    from actors.device_session.registry.state import SessionState
    from actors.device_session.registry.statuses import DeviceStatus

_EXACTLY_ONCE: Final = 2

Violation = Connect | Auth | Malformed
"""What nobody who is logged in may send here."""

Control = Puback | Pubrec | Pubrel | Pubcomp | Pingreq | Subscribe | Unsubscribe | Disconnect | Violation
"""Every packet but PUBLISH."""


class Conversation:
    """The packets of one connection that has logged in: what is to be done with each, and what is answered."""

    __slots__ = ("_broker", "_close", "_connect", "_ingest", "_profile", "_state", "_status", "_writer")

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
        self._ingest: Ingest | None = None

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
                    self._publishing().take(packets[start:index], now)  # type: ignore[arg-type]  # all between are Publish
                start = index + 1
                others += 1
                self._take_other(packet, now)
            if start < len(packets):
                self._publishing().take(packets[start:] if start else packets, now)  # type: ignore[arg-type]  # likewise
        finally:
            if self._ingest is not None:
                self._ingest.release(now)
        return len(packets) - others

    def _take_other(self, packet: Control, now: float) -> None:
        match packet:
            case Pingreq():
                self._writer.reply(PINGRESP)
            case Puback() | Pubrec() | Pubcomp():
                self._take_acknowledgement(packet)
            case Pubrel(packet_id):
                self._publishing().take_pubrel(packet_id)
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

    def _publishing(self) -> Ingest:
        if self._ingest is None:
            self._ingest = Ingest(self._broker, self._profile, self._state, self._status, self._writer)
        return self._ingest

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
