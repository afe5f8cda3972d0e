"""Property blocks as they are written (MQTT 5, 2.2.2): a length, then identifiers with their values.

Those of PUBLISH are written by hand, because one may be written for each delivery; all others by paho-mqtt.
"""

from __future__ import annotations

from typing import Any, Final

from paho.mqtt.properties import Properties as PahoProperties

from actors.wire.mqtt.encode import binary, text, variable_integer
from actors.wire.mqtt.properties import NO_PROPERTIES, Properties

PAYLOAD_FORMAT: Final = 1
MESSAGE_EXPIRY: Final = 2
CONTENT_TYPE: Final = 3
RESPONSE_TOPIC: Final = 8
CORRELATION_DATA: Final = 9
SUBSCRIPTION_ID: Final = 11
TOPIC_ALIAS: Final = 35
USER: Final = 38


def pack(packet_type: int, **values: Any) -> bytes:
    """A whole block: properties by the names that paho gives them; those that are None are left out.

    Raises:
        ValueError: a value is larger than MQTT can say.
    """
    properties = PahoProperties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves it without
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return bytes(properties.pack())  # type: ignore[no-untyped-call]  # likewise


def publish_block(properties: Properties) -> bytes:
    """The block of a PUBLISH.

    Raises:
        ValueError: a value is larger than MQTT can say.
    """
    if properties == NO_PROPERTIES:
        return b"\0"
    parts = [*_message_parts(properties)]
    if properties.topic_alias is not None:
        parts.append(bytes((TOPIC_ALIAS,)) + properties.topic_alias.to_bytes(2, "big"))
    parts += [bytes((SUBSCRIPTION_ID,)) + variable_integer(identifier) for identifier in properties.subscription_ids]
    block = b"".join(parts)
    return variable_integer(len(block)) + block


def _message_parts(properties: Properties) -> list[bytes]:
    parts = []
    if properties.payload_format is not None:
        parts.append(bytes((PAYLOAD_FORMAT, properties.payload_format)))
    if properties.message_expiry is not None:
        parts.append(bytes((MESSAGE_EXPIRY,)) + properties.message_expiry.to_bytes(4, "big"))
    if properties.content_type is not None:
        parts.append(bytes((CONTENT_TYPE,)) + text(properties.content_type))
    if properties.response_topic is not None:
        parts.append(bytes((RESPONSE_TOPIC,)) + text(properties.response_topic))
    if properties.correlation_data is not None:
        parts.append(bytes((CORRELATION_DATA,)) + binary(properties.correlation_data))
    parts += [bytes((USER,)) + text(name) + text(value) for name, value in properties.user]
    return parts
