"""CONNECT, SUBSCRIBE and UNSUBSCRIBE of MQTT 3.1 and 3.1.1, once `validate` has passed their bytes.

The last two go through amqtt's packet classes. amqtt reads from a stream with coroutines; here the stream is one whole
packet in memory, so the coroutine never waits and is driven by hand. CONNECT does not: amqtt invents missing client
ids, takes passwords for text, and needs five times as long as the check before it, which has read all there is; when
thousands of devices come back at once, that is a fifth of what each of them costs.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from amqtt.mqtt.packet import SUBSCRIBE, UNSUBSCRIBE, MQTTFixedHeader
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

from actors.wire.mqtt import validate
from actors.wire.mqtt.cursor import MalformedError
from actors.wire.mqtt.packets import NEVER_EXPIRES, Connect, Subscribe, Subscription, Unsubscribe


class _WholePacket:
    """A stream that holds one packet's body; reading beyond it is an error, not a wait."""

    __slots__ = ("_body", "_position")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0

    async def read(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._body):
            raise MalformedError("a field ends beyond the packet")
        taken = self._body[self._position : end]
        self._position = end
        return taken


def connect(body: bytes) -> Connect:
    """Decode the body of a CONNECT.

    Raises:
        MalformedError: it is not MQTT.
    """
    client = validate.connect(body)
    return Connect(
        level=client.level,
        client_id=client.client_id,
        clean_start=client.clean_start,
        keep_alive=client.keep_alive,
        username=client.username,
        password=client.password,
        will=client.will,
        session_expiry=0 if client.clean_start else NEVER_EXPIRES,
    )


def subscribe(body: bytes) -> Subscribe:
    """Decode the body of a SUBSCRIBE.

    Raises:
        MalformedError: it breaks a rule.
    """
    validate.subscribe(body)
    packet = _decode(SubscribePacket, SUBSCRIBE, body)
    subscriptions = tuple(Subscription(topic_filter, qos) for topic_filter, qos in packet.payload.topics)
    return Subscribe(packet_id=packet.variable_header.packet_id, subscriptions=subscriptions)


def unsubscribe(body: bytes) -> Unsubscribe:
    """Decode the body of an UNSUBSCRIBE.

    Raises:
        MalformedError: it breaks a rule.
    """
    validate.unsubscribe(body)
    packet = _decode(UnsubscribePacket, UNSUBSCRIBE, body)
    return Unsubscribe(packet_id=packet.variable_header.packet_id, filters=tuple(packet.payload.topics))


def _decode(packet_class: Any, packet_type: int, body: bytes) -> Any:
    header = MQTTFixedHeader(packet_type, 0, len(body))
    return _drive(packet_class.from_stream(_WholePacket(body), fixed_header=header))


def _drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("a decoder waited for bytes although the whole packet was there")
