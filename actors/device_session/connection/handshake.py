"""From the first byte of a connection to the decision about its CONNECT."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from actors.device_session.core import (
    CLIENT_ID_CHARACTERS,
    Admission,
    Refusal,
    admit,
    authenticate,
    connack_properties,
    refuse_form,
)
from actors.device_session.errors import ProtocolViolationError
from actors.device_session.registry.failed_logins import source_of
from actors.device_session.registry.will import publish_kept_will
from actors.runtime.reply import Reply
from actors.wire.mqtt.dialect import Dialect, dialect_of
from actors.wire.mqtt.packets import MQTT_5, Connect, Malformed, Packet
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.profile import ListenerProfile
    from actors.device_session.registry.state import SessionState
    from actors.wire.mqtt.reader import PacketReader

# Before it has logged in, a client gets to store no more than this here; no CONNECT that anybody needs is larger.
_CONNECT_BYTES: Final = 64 * 1024
# The first byte of the first packet [MQTT-3.1.0-1, MQTT5-3.1.0-1], flags included.
_CONNECT: Final = 0x10


async def first_packets(receive: Callable[[], Awaitable[bytes]], reader: PacketReader) -> list[Packet]:
    """The packets of the first reads, as soon as there is one.

    Raises:
        ProtocolViolationError: what comes is not CONNECT.
    """
    received = 0
    while True:
        data = await receive()
        if not received and data[0] != _CONNECT:
            raise ProtocolViolationError("the first packet is not CONNECT [MQTT-3.1.0-1]: another protocol?")
        packets = reader.feed(data)
        if packets:
            return packets
        received += len(data)
        if received > _CONNECT_BYTES:
            raise ProtocolViolationError(f"no CONNECT within the first {_CONNECT_BYTES} bytes")


def decide(
    connect: Connect, broker: Broker, profile: ListenerProfile, *, address: str, names: Sequence[str], now: float
) -> Admission | Refusal:
    """Who this is and what it may have; `names` are those in its certificate. Failed log-ins are counted."""
    refusal = refuse_form(connect, profile)
    if refusal is not None:
        return refusal
    source, username = source_of(address.rpartition(":")[0].strip("[]")), connect.username or ""
    if broker.failed_logins.locks(source, username, now):
        return Refusal(Reason.CONNECTION_RATE_EXCEEDED, "too many failed log-ins from there: locked for a while")
    shown = authenticate(connect, profile, broker.directory, names)
    if shown is not None:
        broker.failed_logins.succeeded(source, username)
    elif connect.password is not None and broker.failed_logins.failed(source, username, now):
        broker.log.warning(
            "Failed log-ins: locked for a while", source=source, username=username[:CLIENT_ID_CHARACTERS]
        )
    return admit(connect, shown, profile)


def attach(admission: Admission, broker: Broker) -> tuple[SessionState, bool, Reply[None]]:
    """The session for one who may log in, whether it was there before, and when all of that is on disk.

    The client's other connection, if there was one, has ended. Where a session is to begin anew, the old one's will,
    should it still wait, is published, as that session ends here [MQTT5-3.1.2-10].
    """
    key, states = admission.key, broker.states
    before = states.get(key)
    clean_start = admission.connect.clean_start
    state, present, changes = states.attach(
        key,
        admission.identity,
        admission.connect.level,
        admission.expiry,
        clean_start=clean_start,
        will=admission.connect.will,
    )
    if before is not None and state is not before:
        publish_kept_will(broker, before, "its session ended")
    stored: Reply[None] = Reply()
    if changes:
        broker.journal.write(changes, stored)
    else:
        stored.set(None)
    return state, present, stored


def dialect_for(connect: Connect) -> Dialect:
    """The words in which this client is answered."""
    return dialect_of(
        connect.level,
        problem_information=connect.request_problem_information,
        max_packet_bytes=connect.max_packet_bytes,
    )


def accept(dialect: Dialect, admission: Admission, profile: ListenerProfile, *, session_present: bool) -> bytes:
    """CONNACK of success."""
    properties = connack_properties(admission, profile)
    return dialect.connack(Reason.SUCCESS, session_present=session_present, properties=properties)


def refuse(refusal: Refusal, connect: Connect, broker: Broker, address: str) -> bytes:
    """CONNACK of a refusal, which is counted; why it is one in detail is for the operator alone."""
    broker.counters.refused_connects += 1
    broker.log.warning(
        "CONNECT refused",
        code=refusal.code.value,
        reason=refusal.reason,
        username=(connect.username or "")[:CLIENT_ID_CHARACTERS],
        client_id=connect.client_id[:CLIENT_ID_CHARACTERS],
        address=address,
    )
    return dialect_for(connect).connack(refusal.code)


def refuse_malformed(packet: Malformed, level: int) -> bytes:
    """CONNACK for a CONNECT that breaks the rules of its form; empty below MQTT 5, which has no code for it.

    [MQTT-3.1.4-1, MQTT-3.2.2-6, MQTT5-3.1.4-1]
    """
    return dialect_of(level).connack(packet.code) if level == MQTT_5 else b""
