"""The bytes of every packet that a client sends, at each level: for load generators and tests.

What is written is what the reader reads: `PacketReader(...).feed(write(packet, level)) == [packet]`.
"""

from __future__ import annotations

from typing import Final

from paho.mqtt.packettypes import PacketTypes

from actors.wire.mqtt import encode, validate, validate5
from actors.wire.mqtt.dialect import dialect_of
from actors.wire.mqtt.packets import (
    MAX_RECEIVE_MAXIMUM,
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
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.properties import UserProperties
from actors.wire.mqtt.property_blocks import pack

_NO_PROPERTIES: Final = b"\0"


def write(packet: Packet, level: int = MQTT_5) -> bytes:  # noqa: C901, PLR0911 - one line for each packet
    """The bytes of a packet; a CONNECT has its level itself. What a level cannot say is left out.

    Raises:
        ValueError: it would be larger than MQTT can say, or is `Malformed`.
    """
    match packet:
        case Connect():
            return _connect(packet)
        case Publish(topic, payload, qos, packet_id, retain, dup, properties):
            flags = {"retain": retain, "dup": dup}
            return dialect_of(level).publish(
                topic, payload, qos=qos, packet_id=packet_id, properties=properties, **flags
            )
        case Puback(packet_id, reason):
            return dialect_of(level).puback(packet_id, reason)
        case Pubrec(packet_id, reason):
            return dialect_of(level).pubrec(packet_id, reason)
        case Pubrel(packet_id, reason):
            return dialect_of(level).pubrel(packet_id, reason)
        case Pubcomp(packet_id, reason):
            return dialect_of(level).pubcomp(packet_id, reason)
        case Subscribe():
            return _subscribe(packet, level)
        case Unsubscribe():
            return _unsubscribe(packet, level)
        case Pingreq():
            return encode.PINGREQ
        case Disconnect():
            return _disconnect(packet, level)
        case Auth():
            return _auth(packet)
        case Malformed(reason):
            raise ValueError(f"no packet: {reason}")


def _connect(packet: Connect) -> bytes:
    five = packet.level == MQTT_5
    flags = validate.CLEAN_START_FLAG if packet.clean_start else 0
    fields = [encode.text(packet.client_id)]
    if packet.will is not None:
        will_flags, will = _will(packet.will, five=five)
        flags |= will_flags
        fields.append(will)
    if packet.username is not None:
        flags |= validate.USERNAME_FLAG
        fields.append(encode.text(packet.username))
    if packet.password is not None:
        flags |= validate.PASSWORD_FLAG
        fields.append(encode.binary(packet.password))
    name = encode.text(validate.PROTOCOL_NAMES.get(packet.level, "MQTT"))
    head = name + bytes((packet.level, flags)) + packet.keep_alive.to_bytes(2, "big")
    return encode.packet(0x10, b"".join((head, _connect_block(packet) if five else b"", *fields)))


def _connect_block(packet: Connect) -> bytes:
    return pack(
        PacketTypes.CONNECT,
        SessionExpiryInterval=packet.session_expiry or None,
        ReceiveMaximum=packet.receive_maximum if packet.receive_maximum != MAX_RECEIVE_MAXIMUM else None,
        MaximumPacketSize=packet.max_packet_bytes,
        TopicAliasMaximum=packet.topic_alias_maximum or None,
        RequestResponseInformation=1 if packet.request_response_information else None,
        RequestProblemInformation=None if packet.request_problem_information else 0,
        UserProperty=_user(packet.user),
        AuthenticationMethod=packet.authentication_method,
        AuthenticationData=packet.authentication_data,
    )


def _will(will: Will, *, five: bool) -> tuple[int, bytes]:
    """The flags of a will, and its part of the payload."""
    flags = validate.WILL_FLAG | will.qos << validate.WILL_QOS_SHIFT
    flags |= validate.WILL_RETAIN_FLAG if will.retain else 0
    block = b""
    if five:
        properties = will.properties
        block = pack(
            PacketTypes.WILLMESSAGE,
            WillDelayInterval=will.delay or None,
            PayloadFormatIndicator=properties.payload_format,
            MessageExpiryInterval=properties.message_expiry,
            ContentType=properties.content_type,
            ResponseTopic=properties.response_topic,
            CorrelationData=properties.correlation_data,
            UserProperty=_user(properties.user),
        )
    return flags, block + encode.text(will.topic) + encode.binary(will.payload)


def _subscribe(packet: Subscribe, level: int) -> bytes:
    five = level == MQTT_5
    block = b""
    if five:
        user = _user(packet.user)
        block = pack(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=packet.identifier, UserProperty=user)
    fields = (
        encode.text(subscription.filter) + bytes((_options(subscription) if five else subscription.qos,))
        for subscription in packet.subscriptions
    )
    return encode.packet(0x82, b"".join((packet.packet_id.to_bytes(2, "big"), block, *fields)))


def _options(subscription: Subscription) -> int:
    flags = validate5.NO_LOCAL_FLAG if subscription.no_local else 0
    flags |= validate5.RETAIN_AS_PUBLISHED_FLAG if subscription.retain_as_published else 0
    return flags | subscription.retain_handling << validate5.RETAIN_HANDLING_SHIFT | subscription.qos


def _unsubscribe(packet: Unsubscribe, level: int) -> bytes:
    block = pack(PacketTypes.UNSUBSCRIBE, UserProperty=_user(packet.user)) if level == MQTT_5 else b""
    return encode.packet(
        0xA2, b"".join((packet.packet_id.to_bytes(2, "big"), block, *map(encode.text, packet.filters)))
    )


def _disconnect(packet: Disconnect, level: int) -> bytes:
    if level != MQTT_5:
        return encode.DISCONNECT
    block = pack(
        PacketTypes.DISCONNECT,
        SessionExpiryInterval=packet.session_expiry,
        ReasonString=packet.reason_string,
        UserProperty=_user(packet.user),
    )
    return _short(0xE0, packet.reason, block)


def _auth(packet: Auth) -> bytes:
    block = pack(
        PacketTypes.AUTH,
        AuthenticationMethod=packet.method,
        AuthenticationData=packet.data,
        ReasonString=packet.reason_string,
        UserProperty=_user(packet.user),
    )
    return _short(0xF0, packet.reason, block)


def _short(first: int, reason: int, block: bytes) -> bytes:
    """Reason 0 without properties, and no properties, may be left out."""
    if block != _NO_PROPERTIES:
        return encode.packet(first, bytes((reason,)) + block)
    return bytes((first, 1, reason)) if reason else bytes((first, 0))


def _user(user: UserProperties) -> list[tuple[str, str]] | None:
    return list(user) or None
