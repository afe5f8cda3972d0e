"""The properties of a PUBLISH, cut by hand on the bytes (MQTT 5, 3.3.2.3): devices may send some with each report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from actors.wire.mqtt import property_blocks as ids
from actors.wire.mqtt.cursor import MalformedError, utf8, variable_integer
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties
from actors.wire.mqtt.reasons import Reason
from actors.wire.mqtt.topics import is_valid_name

# MQTT sets no limit; a packet full of properties would take many times its size, and its time from every other client.
MAX_USER_PROPERTIES: Final = 1024

_new = tuple.__new__


def read_block(body: bytes, position: int, *, from_server: bool = False) -> tuple[Properties, int]:
    """The properties whose block begins at `position` of a PUBLISH's body, and where the payload begins.

    Raises:
        MalformedError: the block ends beyond the packet, or a property is wrong, sent twice or not for this packet.
    """
    size, position = variable_integer(body, position, "PUBLISH: property length")
    if not size:
        return NO_PROPERTIES, position
    end = position + size
    if end > len(body):
        raise MalformedError("PUBLISH: the properties end beyond the packet")
    return _read(body[position:end], from_server=from_server), end


def _read(block: bytes, *, from_server: bool) -> Properties:
    found: dict[int, Any] = {}
    user: list[tuple[str, str]] = []
    subscription_ids: list[int] = []
    position = 0
    while position < len(block):
        identifier = block[position]
        read = _READERS.get(identifier)
        if read is None:
            raise MalformedError(f"PUBLISH: {identifier:#x} is no property of it (MQTT 5, 2.2.2.2)")
        value, position = read(block, position + 1)
        if identifier == ids.USER:
            user.append(value)
            check_user_properties("PUBLISH", len(user))
        elif identifier == ids.SUBSCRIPTION_ID and from_server:
            subscription_ids.append(value)
        elif identifier in found:
            raise MalformedError(f"PUBLISH: the property {identifier:#x} comes twice", Reason.PROTOCOL_ERROR)
        else:
            found[identifier] = value
    if ids.SUBSCRIPTION_ID in found:
        what = "PUBLISH: a subscription identifier from a client [MQTT5-3.3.4-6]"
        raise MalformedError(what, Reason.PROTOCOL_ERROR)
    get = found.get
    message = get(ids.PAYLOAD_FORMAT), get(ids.MESSAGE_EXPIRY), get(ids.TOPIC_ALIAS), get(ids.RESPONSE_TOPIC)
    values = (*message, get(ids.CORRELATION_DATA), get(ids.CONTENT_TYPE), tuple(user), tuple(subscription_ids))
    return _new(Properties, values)


def check_user_properties(packet: str, count: int) -> None:
    """There may be MAX_USER_PROPERTIES of them in a packet."""
    if count > MAX_USER_PROPERTIES:
        what = f"{packet}: more than {MAX_USER_PROPERTIES} user properties in one packet"
        raise MalformedError(what, Reason.QUOTA_EXCEEDED)


def check_response_topic(packet: str, topic: str) -> None:
    """It is a topic name, so that the answer can be published to it."""
    if not is_valid_name(topic):
        what = f"{packet}: the response topic is empty or contains a wildcard [MQTT5-3.3.2-14]"
        raise MalformedError(what, Reason.PROTOCOL_ERROR)


def _payload_format(block: bytes, position: int) -> tuple[int, int]:
    value, position = _integer(block, position, 1)
    if value > 1:
        what = "PUBLISH: the payload format is neither 0 nor 1 (MQTT 5, 3.3.2.3.2)"
        raise MalformedError(what, Reason.PROTOCOL_ERROR)
    return value, position


def _message_expiry(block: bytes, position: int) -> tuple[int, int]:
    return _integer(block, position, 4)


def _topic_alias(block: bytes, position: int) -> tuple[int, int]:
    value, position = _integer(block, position, 2)
    if not value:
        raise MalformedError("PUBLISH: the topic alias is 0 [MQTT5-3.3.2-8]", Reason.TOPIC_ALIAS_INVALID)
    return value, position


def _response_topic(block: bytes, position: int) -> tuple[str, int]:
    topic, position = _text(block, position)
    check_response_topic("PUBLISH", topic)
    return topic, position


def _subscription_id(block: bytes, position: int) -> tuple[int, int]:
    value, position = variable_integer(block, position, "PUBLISH: subscription identifier")
    if not value:
        what = "PUBLISH: the subscription identifier is 0 (MQTT 5, 3.3.2.3.8)"
        raise MalformedError(what, Reason.PROTOCOL_ERROR)
    return value, position


def _user(block: bytes, position: int) -> tuple[tuple[str, str], int]:
    name, position = _text(block, position)
    value, position = _text(block, position)
    return (name, value), position


def _text(block: bytes, position: int) -> tuple[str, int]:
    data, position = _binary(block, position)
    return utf8(data, "PUBLISH: a property"), position


def _binary(block: bytes, position: int) -> tuple[bytes, int]:
    size, begin = _integer(block, position, 2)
    end = begin + size
    if end > len(block):
        raise MalformedError(_BEYOND)
    return block[begin:end], end


def _integer(block: bytes, position: int, size: int) -> tuple[int, int]:
    end = position + size
    if end > len(block):
        raise MalformedError(_BEYOND)
    return int.from_bytes(block[position:end], "big"), end


_BEYOND: Final = "PUBLISH: a property ends beyond the properties"

_READERS: Final[dict[int, Callable[[bytes, int], tuple[Any, int]]]] = {
    ids.PAYLOAD_FORMAT: _payload_format,
    ids.MESSAGE_EXPIRY: _message_expiry,
    ids.CONTENT_TYPE: _text,
    ids.RESPONSE_TOPIC: _response_topic,
    ids.CORRELATION_DATA: _binary,
    ids.SUBSCRIPTION_ID: _subscription_id,
    ids.TOPIC_ALIAS: _topic_alias,
    ids.USER: _user,
}
