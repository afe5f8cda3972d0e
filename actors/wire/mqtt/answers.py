"""What a server sends, read as a client does: for load generators and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from paho.mqtt.packettypes import PacketTypes

from actors.wire.mqtt import publish_properties, validate, validate5
from actors.wire.mqtt.cursor import CONTINUED, Cursor, MalformedError, variable_integer
from actors.wire.mqtt.packets import MQTT_5, Publish
from actors.wire.mqtt.properties import NO_PROPERTIES, ConnackProperties, UserProperties
from actors.wire.mqtt.reasons import Reason
from actors.wire.mqtt.validate5 import PropertyValues

_PUBLISH: Final = 3
_MAX_LENGTH_BYTES: Final = 4


class Connack(NamedTuple):
    """The answer to CONNECT; `reason` is a return code below MQTT 5."""

    session_present: bool
    reason: int
    properties: ConnackProperties = ConnackProperties()


class Acknowledgement(NamedTuple):
    """PUBACK, PUBREC, PUBREL or PUBCOMP, told apart by `kind`."""

    kind: str
    packet_id: int
    reason: int = 0
    reason_string: str | None = None
    user: UserProperties = ()


class Suback(NamedTuple):
    """For each filter the QoS that was granted, or a failure."""

    packet_id: int
    reasons: tuple[int, ...]
    reason_string: str | None = None
    user: UserProperties = ()


class Unsuback(NamedTuple):
    """For each filter a reason; below MQTT 5 there are none."""

    packet_id: int
    reasons: tuple[int, ...] = ()
    reason_string: str | None = None
    user: UserProperties = ()


class Pingresp(NamedTuple):
    """Sign of life."""


class ServerDisconnect(NamedTuple):
    """The server ends the connection (MQTT 5)."""

    reason: int
    reason_string: str | None = None
    server_reference: str | None = None
    user: UserProperties = ()


Answer = Connack | Publish | Acknowledgement | Suback | Unsuback | Pingresp | ServerDisconnect


class AnswerReader:
    """The packets of one connection that a server sends, in the order in which they came, at one level."""

    __slots__ = ("_level", "_rest")

    def __init__(self, level: int = MQTT_5) -> None:
        self._level = level
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Answer]:
        """Take what the socket brought and return every packet that is whole now; keep the rest.

        Raises:
            MalformedError: the server sent what is not MQTT.
        """
        self._rest += data
        answers: list[Answer] = []
        while (body := _whole(self._rest)) is not None:
            begin, end = body
            answers.append(self._answer(self._rest[0], bytes(self._rest[begin:end])))
            del self._rest[:end]
        return answers

    def _answer(self, first: int, body: bytes) -> Answer:
        kind, flags = first >> 4, first & 0x0F
        five = self._level == MQTT_5
        if kind == _PUBLISH:
            return _publish(flags, body, five=five)
        if kind not in _KINDS:
            raise MalformedError(f"packet type {kind} is not for servers to send", Reason.PROTOCOL_ERROR)
        name, packet_type, expected_flags, decode = _KINDS[kind]
        validate.header_flags(name, flags, expected_flags, self._level)
        return decode(_Body(name, packet_type, body, five=five))


def _whole(data: bytearray) -> tuple[int, int] | None:
    """Where the body of the first packet begins and ends; None while that is not whole."""
    head = bytes(data[1 : 1 + _MAX_LENGTH_BYTES])
    if len(head) < _MAX_LENGTH_BYTES and all(byte & CONTINUED for byte in head):
        return None
    length, used = variable_integer(head, 0, "the remaining length")
    end = 1 + used + length
    return (1 + used, end) if end <= len(data) else None


class _Body(Cursor):
    """The fields of one packet, with its properties where the level has some."""

    __slots__ = ("_name", "_packet_type", "five")

    def __init__(self, name: str, packet_type: int, body: bytes, *, five: bool) -> None:
        super().__init__(name, body)
        self._name = name
        self._packet_type = packet_type
        self.five = five

    def packet_id(self) -> int:
        packet_id = self.integer(2, "packet id")
        validate.check_packet_id(self._name, packet_id)
        return packet_id

    def reason(self) -> int:
        return validate5.reason(self._name, self._packet_type, self.integer(1, "reason code"))

    def properties(self) -> PropertyValues:
        if not self.five or self.at_end:
            return {}
        return validate5.properties(self._name, self._packet_type, self)


def _explanation(get: Callable[..., Any]) -> tuple[str | None, UserProperties]:
    return get("Reason String"), get(validate5.USER_PROPERTY, ())


def _connack(body: _Body) -> Connack:
    flags = body.integer(1, "flags")
    if flags > 1:
        raise MalformedError("CONNACK: reserved flags are set [MQTT-3.2.2-1, MQTT5-3.2.2-1]")
    reason = body.reason() if body.five else body.integer(1, "return code")
    get = body.properties().get
    body.finish()
    reason_string, user = _explanation(get)
    properties = ConnackProperties(
        session_expiry=get("Session Expiry Interval"),
        receive_maximum=get("Receive Maximum"),
        maximum_qos=get("Maximum QoS"),
        retain_available=bool(get("Retain Available", 1)),
        max_packet_bytes=get("Maximum Packet Size"),
        assigned_client_id=get("Assigned Client Identifier"),
        topic_alias_maximum=get("Topic Alias Maximum"),
        reason_string=reason_string,
        user=user,
        wildcards_available=bool(get("Wildcard Subscription Available", 1)),
        subscription_ids_available=bool(get("Subscription Identifier Available", 1)),
        shared_available=bool(get("Shared Subscription Available", 1)),
        server_keep_alive=get("Server Keep Alive"),
        response_information=get("Response Information"),
        server_reference=get("Server Reference"),
        authentication_method=get("Authentication Method"),
        authentication_data=get("Authentication Data"),
    )
    return Connack(bool(flags), reason, properties)


def _publish(flags: int, body: bytes, *, five: bool) -> Publish:
    qos, dup = flags >> 1 & 3, bool(flags & validate.DUP_FLAG)
    validate.publish_flags(qos, dup=dup)
    cursor = Cursor("PUBLISH", body)
    name = cursor.binary("topic")
    packet_id = cursor.integer(2, "packet id") if qos else 0
    if qos:
        validate.check_packet_id("PUBLISH", packet_id)
    payload, properties = cursor.rest(), NO_PROPERTIES
    if five:
        properties, begin = publish_properties.read_block(payload, 0, from_server=True)
        payload = payload[begin:]
    topic = validate.topic_name(name) if name or properties.topic_alias is None else ""
    return Publish(topic, payload, qos, packet_id, bool(flags & validate.RETAIN_FLAG), dup, properties)


def _acknowledgement(kind: str) -> Callable[[_Body], Acknowledgement]:
    def read(body: _Body) -> Acknowledgement:
        packet_id = body.packet_id()
        reason = body.reason() if body.five and not body.at_end else 0
        get = body.properties().get
        body.finish()
        return Acknowledgement(kind, packet_id, reason, *_explanation(get))

    return read


def _suback(body: _Body) -> Suback:
    packet_id = body.packet_id()
    get = body.properties().get
    reasons = body.rest()
    if body.five:
        for reason in reasons:
            validate5.reason("SUBACK", PacketTypes.SUBACK, reason)
    elif set(reasons) - {0, 1, 2, 0x80}:
        raise MalformedError("SUBACK: a return code that there is not [MQTT-3.9.3-2]")
    return Suback(packet_id, tuple(reasons), *_explanation(get))


def _unsuback(body: _Body) -> Unsuback:
    packet_id = body.packet_id()
    get = body.properties().get
    reasons = body.rest() if body.five else b""
    body.finish()
    for reason in reasons:
        validate5.reason("UNSUBACK", PacketTypes.UNSUBACK, reason)
    return Unsuback(packet_id, tuple(reasons), *_explanation(get))


def _pingresp(body: _Body) -> Pingresp:
    body.finish()
    return Pingresp()


def _disconnect(body: _Body) -> ServerDisconnect:
    if not body.five:
        raise MalformedError("DISCONNECT: not for a server to send below MQTT 5", Reason.PROTOCOL_ERROR)
    reason = 0 if body.at_end else body.reason()
    get = body.properties().get
    body.finish()
    reason_string, user = _explanation(get)
    return ServerDisconnect(reason, reason_string, get("Server Reference"), user)


_KINDS: Final[dict[int, tuple[str, int, int, Callable[[_Body], Answer]]]] = {
    2: ("CONNACK", PacketTypes.CONNACK, 0, _connack),
    4: ("PUBACK", PacketTypes.PUBACK, 0, _acknowledgement("PUBACK")),
    5: ("PUBREC", PacketTypes.PUBREC, 0, _acknowledgement("PUBREC")),
    6: ("PUBREL", PacketTypes.PUBREL, 2, _acknowledgement("PUBREL")),
    7: ("PUBCOMP", PacketTypes.PUBCOMP, 0, _acknowledgement("PUBCOMP")),
    9: ("SUBACK", PacketTypes.SUBACK, 0, _suback),
    11: ("UNSUBACK", PacketTypes.UNSUBACK, 0, _unsuback),
    13: ("PINGRESP", PacketTypes.PINGRESP, 0, _pingresp),
    14: ("DISCONNECT", PacketTypes.DISCONNECT, 0, _disconnect),
}
