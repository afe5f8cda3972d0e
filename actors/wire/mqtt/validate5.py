"""What MQTT 5 adds to what the bytes of a packet must keep: property blocks, reason codes, subscription options.

The table of properties (which there are, of which type, in which packets), reason codes and value ranges are those of
paho-mqtt, which by itself would take almost anything: lengths, repetitions, UTF-8 and forbidden values are checked here
before it sees them.
"""

from __future__ import annotations

from typing import Any, Final

from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode

from actors.wire.mqtt import property_blocks as ids
from actors.wire.mqtt.cursor import Cursor, MalformedError
from actors.wire.mqtt.encode import MAX_REMAINING_LENGTH
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

_REQUEST_PROBLEM_INFORMATION: Final = 23
_REQUEST_RESPONSE_INFORMATION: Final = 25
_RECEIVE_MAXIMUM: Final = 33
_MAX_PACKET_BYTES: Final = 39
_FLAGS: Final = frozenset((ids.PAYLOAD_FORMAT, _REQUEST_PROBLEM_INFORMATION, _REQUEST_RESPONSE_INFORMATION))
_NEVER_ZERO: Final = frozenset((ids.SUBSCRIPTION_ID, _RECEIVE_MAXIMUM, _MAX_PACKET_BYTES, ids.TOPIC_ALIAS))
_INTEGER_BYTES: Final = {"Byte": 1, "Two Byte Integer": 2, "Four Byte Integer": 4}


def _table() -> dict[int, tuple[str, str, frozenset[int]]]:
    """Name, type and packets of each property, by its identifier."""
    paho = PahoProperties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it without
    names = {identifier: name for name, identifier in paho.names.items()}
    return {
        identifier: (names[identifier], paho.types[kind], frozenset(packets))
        for identifier, (kind, packets) in paho.properties.items()
    }


_TABLE: Final = _table()
_NO_PROPERTY: Final[tuple[str, str, frozenset[int]]] = ("", "", frozenset())


def _find(packet: str, packet_type: int, identifier: int) -> tuple[str, str]:
    name, kind, packets = _TABLE.get(identifier, _NO_PROPERTY)
    if packet_type not in packets:
        what = f"{name} is no property of it" if name else f"there is no property {identifier:#x}"
        raise MalformedError(f"{packet}: {what} (MQTT 5, 2.2.2.2)")
    return name, kind


def properties(packet: str, packet_type: int, cursor: Cursor) -> Any:
    """Read a property block into paho's `Properties` for this packet type.

    Raises:
        MalformedError: a property is none of this packet, comes twice, or has a value that it may not have.
    """
    block = cursor.part(cursor.variable_integer("property length"), "the properties")
    found: dict[int, Any] = {}
    result = PahoProperties(packet_type)  # type: ignore[no-untyped-call]  # likewise
    user: list[tuple[str, str]] = []
    while not block.at_end:
        identifier = block.variable_integer("property identifier")
        name, kind = _find(packet, packet_type, identifier)
        value = _value(block, kind, name)
        if identifier == ids.USER:
            user.append(value)
            check_user_properties(packet, len(user))
            continue
        if identifier in found:
            raise MalformedError(f"{packet}: {name} comes twice (MQTT 5, 3.1.2.11)", Reason.PROTOCOL_ERROR)
        found[identifier] = value
        _check_value(packet, identifier, name, value)
        _set(packet, result, name, value)
    if user:
        _set(packet, result, "UserProperty", user)
    return result


def _set(packet: str, result: Any, name: str, value: Any) -> None:
    if isinstance(value, int):
        # paho takes the largest packet for a limit also where the standard lets a client say more.
        value = min(value, MAX_REMAINING_LENGTH) if name == "Maximum Packet Size" else value
    try:
        setattr(result, name, value)
    except (MQTTException, ValueError, TypeError) as error:
        raise MalformedError(f"{packet}: {error}", Reason.PROTOCOL_ERROR) from error


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
