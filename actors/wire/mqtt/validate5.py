"""What MQTT 5 adds to what the bytes of a packet must keep: property blocks, reason codes, subscription options.

Which properties there are, of which type and in which packets, and which reason codes, is what paho-mqtt's `Properties`
and `ReasonCode` say. The bytes are read here: paho's own reading goes beyond the end of a block, refuses U+FEFF in
strings, does not look for forbidden values, and takes ten times as long.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode

from actors.wire.mqtt import property_blocks as ids
from actors.wire.mqtt.cursor import Cursor, MalformedError
from actors.wire.mqtt.packets import Subscription
from actors.wire.mqtt.publish_properties import check_response_topic, check_user_properties
from actors.wire.mqtt.reasons import Reason
from actors.wire.mqtt.topics import SHARED_PREFIX, shared
from actors.wire.mqtt.validate import MAX_QOS

NO_LOCAL_FLAG: Final = 0x04
RETAIN_AS_PUBLISHED_FLAG: Final = 0x08
RETAIN_HANDLING_SHIFT: Final = 4
MAX_RETAIN_HANDLING: Final = 2
RESERVED_OPTIONS: Final = 0xC0

USER_PROPERTY: Final = "User Property"
_REQUEST_PROBLEM_INFORMATION: Final = 23
_REQUEST_RESPONSE_INFORMATION: Final = 25
_RECEIVE_MAXIMUM: Final = 33
_MAX_PACKET_BYTES: Final = 39
_FLAGS: Final = frozenset((ids.PAYLOAD_FORMAT, _REQUEST_PROBLEM_INFORMATION, _REQUEST_RESPONSE_INFORMATION))
_NEVER_ZERO: Final = frozenset((ids.SUBSCRIPTION_ID, _RECEIVE_MAXIMUM, _MAX_PACKET_BYTES, ids.TOPIC_ALIAS))
_INTEGER_BYTES: Final = {"Byte": 1, "Two Byte Integer": 2, "Four Byte Integer": 4}


PropertyValues = dict[str, Any]
"""Values of properties by the names that paho gives them; user properties as a tuple of pairs."""


class _Property(NamedTuple):
    name: str
    kind: str
    packets: frozenset[int]


def _table() -> dict[int, _Property]:
    """Each property by its identifier, as paho has them."""
    paho = PahoProperties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it without
    names = {identifier: name for name, identifier in paho.names.items()}
    return {
        identifier: _Property(names[identifier], paho.types[kind], frozenset(packets))
        for identifier, (kind, packets) in paho.properties.items()
    }


_TABLE: Final = _table()


def properties(packet: str, packet_type: int, cursor: Cursor) -> PropertyValues:
    """Read a property block.

    Raises:
        MalformedError: a property is none of this packet, comes twice, or has a value that it may not have.
    """
    block = cursor.part(cursor.variable_integer("property length"), "the properties")
    found: PropertyValues = {}
    user: list[tuple[str, str]] = []
    while not block.at_end:
        identifier = block.variable_integer("property identifier")
        name, kind = _find(packet, packet_type, identifier)
        value = _value(block, kind, name)
        if identifier == ids.USER:
            user.append(value)
            check_user_properties(packet, len(user))
            continue
        if name in found:
            raise MalformedError(f"{packet}: {name} comes twice (MQTT 5, 3.1.2.11)", Reason.PROTOCOL_ERROR)
        _check_value(packet, identifier, name, value)
        found[name] = value
    if user:
        found[USER_PROPERTY] = tuple(user)
    return found


def _find(packet: str, packet_type: int, identifier: int) -> tuple[str, str]:
    known = _TABLE.get(identifier)
    if known is None:
        raise MalformedError(f"{packet}: there is no property {identifier:#x} (MQTT 5, 2.2.2.2)")
    if packet_type not in known.packets:
        raise MalformedError(f"{packet}: {known.name} is no property of it (MQTT 5, 2.2.2.2)")
    return known.name, known.kind


def _value(block: Cursor, kind: str, name: str) -> Any:
    if kind in _INTEGER_BYTES:
        return block.integer(_INTEGER_BYTES[kind], name)
    match kind:
        case "Variable Byte Integer":
            return block.variable_integer(name)
        case "Binary Data":
            return block.binary(name)
        case "UTF-8 Encoded String":
            return block.text(name)
        case _:
            return block.text(name), block.text(name)


def _check_value(packet: str, identifier: int, name: str, value: Any) -> None:
    if identifier in _FLAGS and value > 1:
        raise MalformedError(f"{packet}: {name} is neither 0 nor 1 (MQTT 5, 3.1.2.11)", Reason.PROTOCOL_ERROR)
    if identifier in _NEVER_ZERO and value == 0:
        raise MalformedError(f"{packet}: {name} is 0 (MQTT 5, 3.1.2.11 and 3.8.2.1.2)", Reason.PROTOCOL_ERROR)
    if identifier == ids.RESPONSE_TOPIC:
        check_response_topic(packet, value)


def reason(packet: str, packet_type: int, value: int) -> int:
    """A reason code that this packet may have.

    Raises:
        MalformedError: it may not [MQTT5-3.4.2-1, MQTT5-3.14.2-1].
    """
    try:
        return ReasonCode(packet_type, identifier=value).value
    except (KeyError, ValueError) as error:
        what = f"{packet}: {value:#x} is no reason code of it (MQTT 5, 2.4)"
        raise MalformedError(what, Reason.PROTOCOL_ERROR) from error


def subscription(topic_filter: str, options: int) -> Subscription:
    """A subscription with its options (MQTT 5, 3.8.3.1).

    Raises:
        MalformedError: the options are none, or do not go together.
    """
    if options & RESERVED_OPTIONS:
        raise MalformedError("SUBSCRIBE: reserved bits of the subscription options are set [MQTT5-3.8.3-5]")
    qos, handling = options & 3, options >> RETAIN_HANDLING_SHIFT & 3
    if qos > MAX_QOS:
        raise MalformedError("SUBSCRIBE: the requested QoS is 3 (MQTT 5, 3.8.3.1)", Reason.PROTOCOL_ERROR)
    if handling > MAX_RETAIN_HANDLING:
        raise MalformedError("SUBSCRIBE: the retain handling is 3 (MQTT 5, 3.8.3.1)", Reason.PROTOCOL_ERROR)
    no_local = bool(options & NO_LOCAL_FLAG)
    if topic_filter.startswith(SHARED_PREFIX):
        _check_shared(topic_filter, no_local=no_local)
    return Subscription(topic_filter, qos, no_local, bool(options & RETAIN_AS_PUBLISHED_FLAG), handling)


def _check_shared(topic_filter: str, *, no_local: bool) -> None:
    if no_local:
        raise MalformedError("SUBSCRIBE: No Local on a shared subscription [MQTT5-3.8.3-4]", Reason.PROTOCOL_ERROR)
    if shared(topic_filter) is None:
        what = "SUBSCRIBE: a shared subscription without group or filter [MQTT5-4.8.2-1, MQTT5-4.8.2-2]"
        raise MalformedError(what, Reason.TOPIC_FILTER_INVALID)
