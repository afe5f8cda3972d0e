"""The packets of MQTT 5 that are not on the hot path, by paho-mqtt's tables of properties and reason codes."""

from __future__ import annotations

from typing import Final

from paho.mqtt.packettypes import PacketTypes

from actors.wire.mqtt import validate, validate5
from actors.wire.mqtt.cursor import Cursor, MalformedError
from actors.wire.mqtt.packets import (
    MAX_RECEIVE_MAXIMUM,
    MQTT_5,
    Auth,
    Connect,
    Disconnect,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties, UserProperties
from actors.wire.mqtt.reasons import Reason
from actors.wire.mqtt.topics import is_valid_name
from actors.wire.mqtt.validate5 import PropertyValues

_LONE_ID: Final = 2
_WITH_REASON: Final = 3


def connect(body: bytes) -> Connect:
    """Decode the body of a CONNECT.

    Raises:
        MalformedError: it breaks a rule.
    """
    cursor = Cursor("CONNECT", body)
    cursor.text("protocol name")
    cursor.integer(1, "protocol level")
    flags = cursor.integer(1, "connect flags")
    validate.connect_flags(flags, MQTT_5)
    keep_alive = cursor.integer(2, "keep alive")
    properties = validate5.properties("CONNECT", PacketTypes.CONNECT, cursor)
    client_id = cursor.text("client id")
    will = _will(flags, cursor) if flags & validate.WILL_FLAG else None
    username = cursor.text("user name") if flags & validate.USERNAME_FLAG else None
    password = cursor.binary("password") if flags & validate.PASSWORD_FLAG else None
    cursor.finish()
    method = properties.get("Authentication Method")
    data = properties.get("Authentication Data")
    if data is not None and method is None:
        what = "CONNECT: authentication data without a method (MQTT 5, 3.1.2.11.10)"
        raise MalformedError(what, Reason.PROTOCOL_ERROR)
    return Connect(
        level=MQTT_5,
        client_id=client_id,
        clean_start=bool(flags & validate.CLEAN_START_FLAG),
        keep_alive=keep_alive,
        username=username,
        password=password,
        will=will,
        session_expiry=properties.get("Session Expiry Interval", 0),
        receive_maximum=properties.get("Receive Maximum", MAX_RECEIVE_MAXIMUM),
        max_packet_bytes=properties.get("Maximum Packet Size"),
        topic_alias_maximum=properties.get("Topic Alias Maximum", 0),
        request_response_information=bool(properties.get("Request Response Information", 0)),
        request_problem_information=bool(properties.get("Request Problem Information", 1)),
        user=_user(properties),
        authentication_method=method,
        authentication_data=data,
    )


def _will(flags: int, cursor: Cursor) -> Will:
    properties = validate5.properties("CONNECT: will", PacketTypes.WILLMESSAGE, cursor)
    topic = cursor.text("will topic")
    if not is_valid_name(topic):
        what = "CONNECT: the will topic is empty or contains a wildcard [MQTT5-4.7.0-1, MQTT5-4.7.3-1]"
        raise MalformedError(what, Reason.TOPIC_NAME_INVALID)
    payload = cursor.binary("will payload")
    qos, retain = flags >> validate.WILL_QOS_SHIFT & 3, bool(flags & validate.WILL_RETAIN_FLAG)
    delay = properties.get("Will Delay Interval", 0)
    return Will(topic, payload, qos, retain, delay, _message(properties))


def _message(properties: PropertyValues) -> Properties:
    message = Properties(
        payload_format=properties.get("Payload Format Indicator"),
        message_expiry=properties.get("Message Expiry Interval"),
        response_topic=properties.get("Response Topic"),
        correlation_data=properties.get("Correlation Data"),
        content_type=properties.get("Content Type"),
        user=_user(properties),
    )
    return message if message != NO_PROPERTIES else NO_PROPERTIES


def _user(properties: PropertyValues) -> UserProperties:
    return properties.get(validate5.USER_PROPERTY, ())  # type: ignore[no-any-return]  # pairs by its type


def subscribe(body: bytes) -> Subscribe:
    """Decode the body of a SUBSCRIBE.

    Raises:
        MalformedError: it breaks a rule.
    """
    cursor = Cursor("SUBSCRIBE", body)
    packet_id = _packet_id("SUBSCRIBE", cursor)
    properties = validate5.properties("SUBSCRIBE", PacketTypes.SUBSCRIBE, cursor)
    if cursor.at_end:
        raise MalformedError("SUBSCRIBE: no topic filter [MQTT5-3.8.3-2]", Reason.PROTOCOL_ERROR)
    subscriptions = tuple(
        validate5.subscription(topic_filter, cursor.integer(1, "subscription options"))
        for topic_filter in validate.filters("SUBSCRIBE", cursor)
    )
    return Subscribe(packet_id, subscriptions, properties.get("Subscription Identifier"), _user(properties))


def unsubscribe(body: bytes) -> Unsubscribe:
    """Decode the body of an UNSUBSCRIBE.

    Raises:
        MalformedError: it breaks a rule.
    """
    cursor = Cursor("UNSUBSCRIBE", body)
    packet_id = _packet_id("UNSUBSCRIBE", cursor)
    properties = validate5.properties("UNSUBSCRIBE", PacketTypes.UNSUBSCRIBE, cursor)
    if cursor.at_end:
        raise MalformedError("UNSUBSCRIBE: no topic filter [MQTT5-3.10.3-2]", Reason.PROTOCOL_ERROR)
    return Unsubscribe(packet_id, tuple(validate.filters("UNSUBSCRIBE", cursor)), _user(properties))


def puback(body: bytes) -> Puback:
    """Decode the body of a PUBACK."""
    return Puback(*_acknowledgement("PUBACK", PacketTypes.PUBACK, body))


def pubrec(body: bytes) -> Pubrec:
    """Decode the body of a PUBREC."""
    return Pubrec(*_acknowledgement("PUBREC", PacketTypes.PUBREC, body))


def pubrel(body: bytes) -> Pubrel:
    """Decode the body of a PUBREL."""
    return Pubrel(*_acknowledgement("PUBREL", PacketTypes.PUBREL, body))


def pubcomp(body: bytes) -> Pubcomp:
    """Decode the body of a PUBCOMP."""
    return Pubcomp(*_acknowledgement("PUBCOMP", PacketTypes.PUBCOMP, body))


def _acknowledgement(packet: str, packet_type: int, body: bytes) -> tuple[int, int]:
    """A packet id, a reason that may be left out, and properties that tell people more: checked and left there."""
    if len(body) == _LONE_ID:
        return validate.lone_packet_id(packet, body), 0
    cursor = Cursor(packet, body)
    packet_id = _packet_id(packet, cursor)
    reason = cursor.integer(1, "reason code")
    if reason:
        validate5.reason(packet, packet_type, reason)
    if len(body) > _WITH_REASON:
        validate5.properties(packet, packet_type, cursor)
    cursor.finish()
    return packet_id, reason


def disconnect(body: bytes) -> Disconnect:
    """Decode the body of a DISCONNECT, which may be left out."""
    if not body:
        return Disconnect()
    cursor = Cursor("DISCONNECT", body)
    reason = validate5.reason("DISCONNECT", PacketTypes.DISCONNECT, cursor.integer(1, "reason code"))
    if cursor.at_end:
        return Disconnect(reason)
    properties = validate5.properties("DISCONNECT", PacketTypes.DISCONNECT, cursor)
    cursor.finish()
    if "Server Reference" in properties:
        what = "DISCONNECT: a server reference from a client (MQTT 5, 3.14.2.2.5)"
        raise MalformedError(what, Reason.PROTOCOL_ERROR)
    expiry = properties.get("Session Expiry Interval")
    return Disconnect(reason, expiry, properties.get("Reason String"), _user(properties))


def auth(body: bytes) -> Auth:
    """Decode the body of an AUTH, which may be left out."""
    if not body:
        return Auth()
    cursor = Cursor("AUTH", body)
    reason = validate5.reason("AUTH", PacketTypes.AUTH, cursor.integer(1, "reason code"))
    if cursor.at_end:
        return Auth(reason)
    properties = validate5.properties("AUTH", PacketTypes.AUTH, cursor)
    cursor.finish()
    method = properties.get("Authentication Method")
    if method is None:
        raise MalformedError("AUTH: no authentication method (MQTT 5, 3.15.2.2.2)", Reason.PROTOCOL_ERROR)
    data, text = properties.get("Authentication Data"), properties.get("Reason String")
    return Auth(reason, method, data, text, _user(properties))


def _packet_id(packet: str, cursor: Cursor) -> int:
    packet_id = cursor.integer(2, "packet id")
    validate.check_packet_id(packet, packet_id)
    return packet_id
