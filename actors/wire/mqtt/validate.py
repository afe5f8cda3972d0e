"""What the bytes of a packet must keep before anything decodes them: lengths, flags, ids, UTF-8, leftovers.

Each rejection names the rule it follows, as MQTT 3.1.1 numbers them (and MQTT 5, where that has it as well).
What MQTT 5 alone has is in `validate5`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from actors.wire.mqtt.cursor import Cursor, MalformedError, utf8
from actors.wire.mqtt.packets import MQTT_3_1, MQTT_3_1_1, MQTT_5, Will
from actors.wire.mqtt.reasons import Reason
from actors.wire.mqtt.topics import is_valid_filter, is_valid_name

P = TypeVar("P")

MAX_QOS = 2
PROTOCOL_NAMES = {MQTT_3_1: "MQIsdp", MQTT_3_1_1: "MQTT", MQTT_5: "MQTT"}

USERNAME_FLAG = 0x80
PASSWORD_FLAG = 0x40
WILL_RETAIN_FLAG = 0x20
WILL_QOS_SHIFT = 3
WILL_FLAG = 0x04
CLEAN_START_FLAG = 0x02
RESERVED_FLAG = 0x01
DUP_FLAG = 0x08
RETAIN_FLAG = 0x01

# MQTT sets no limit; a packet full of filters would keep every other client waiting while it is decoded.
MAX_FILTERS = 1024


class ConnectPayload(NamedTuple):
    """What stands in the bytes of a CONNECT; `keep_alive` in seconds."""

    level: int
    client_id: str
    clean_start: bool
    keep_alive: int
    username: str | None
    password: bytes | None
    will: Will | None


def topic_name(data: bytes) -> str:
    """The topic of a PUBLISH: not empty [MQTT-4.7.3-1], no wildcards [MQTT-3.3.2-2]."""
    name = utf8(data, "PUBLISH: topic")
    if not name:
        raise MalformedError("PUBLISH: the topic is empty [MQTT-4.7.3-1, MQTT5-4.7.3-1]", Reason.PROTOCOL_ERROR)
    if not is_valid_name(name):
        what = "PUBLISH: the topic contains a wildcard [MQTT-3.3.2-2, MQTT5-3.3.2-2]"
        raise MalformedError(what, Reason.TOPIC_NAME_INVALID)
    return name


def protocol_level(body: bytes) -> int:
    """The protocol level of a CONNECT; those beyond 5 are told apart by their level alone.

    Raises:
        MalformedError: it is not MQTT [MQTT-3.1.2-1, MQTT5-3.1.2-1].
    """
    cursor = Cursor("CONNECT", body)
    name = cursor.text("protocol name")
    level = cursor.integer(1, "protocol level")
    if name not in PROTOCOL_NAMES.values():
        raise MalformedError("CONNECT: the protocol name is neither MQTT nor MQIsdp [MQTT-3.1.2-1, MQTT5-3.1.2-1]")
    expected = PROTOCOL_NAMES.get(level, name)
    if name != expected:
        raise MalformedError(
            f"CONNECT: protocol level {level} goes with the name {expected} [MQTT-3.1.2-1, MQTT5-3.1.2-1]"
        )
    return level


def connect(body: bytes) -> ConnectPayload:
    """Check a CONNECT of MQTT 3.1 or 3.1.1, and read what its flags say is there [MQTT-3.1.3-1].

    Raises:
        MalformedError: a flag, length or string is wrong.
    """
    cursor = Cursor("CONNECT", body)
    cursor.text("protocol name")
    level = cursor.integer(1, "protocol level")
    flags = cursor.integer(1, "connect flags")
    connect_flags(flags, level)
    keep_alive = cursor.integer(2, "keep alive")
    client_id = cursor.text("client id")
    will = _will(flags, cursor) if flags & WILL_FLAG else None
    username = cursor.text("user name") if flags & USERNAME_FLAG else None
    password = cursor.binary("password") if flags & PASSWORD_FLAG else None
    cursor.finish()
    clean_start = bool(flags & CLEAN_START_FLAG)
    return ConnectPayload(level, client_id, clean_start, keep_alive, username, password, will)


def _will(flags: int, cursor: Cursor) -> Will:
    topic = cursor.text("will topic")
    if not is_valid_name(topic):
        raise MalformedError("CONNECT: the will topic is empty or contains a wildcard [MQTT-4.7.1-1]")
    return Will(topic, cursor.binary("will message"), flags >> WILL_QOS_SHIFT & 3, bool(flags & WILL_RETAIN_FLAG))


def connect_flags(flags: int, level: int) -> None:
    """Check the flags of a CONNECT against one another."""
    will_qos = flags >> WILL_QOS_SHIFT & 3
    if flags & RESERVED_FLAG and level != MQTT_3_1:
        raise MalformedError("CONNECT: the reserved flag is set [MQTT-3.1.2-3, MQTT5-3.1.2-3]")
    if will_qos > MAX_QOS:
        raise MalformedError("CONNECT: the will has QoS 3 [MQTT-3.1.2-14, MQTT5-3.1.2-12]")
    if not flags & WILL_FLAG and (will_qos or flags & WILL_RETAIN_FLAG):
        rules = "[MQTT-3.1.2-13, MQTT-3.1.2-15; MQTT5-3.1.2-11, MQTT5-3.1.2-13]"
        raise MalformedError(f"CONNECT: will QoS or will retain without a will {rules}")
    if flags & PASSWORD_FLAG and not flags & USERNAME_FLAG and level != MQTT_5:
        raise MalformedError("CONNECT: a password without a user name [MQTT-3.1.2-22]")


def subscribe(body: bytes) -> None:
    """Check the body of a SUBSCRIBE.

    Raises:
        MalformedError: the id is 0, a filter or its QoS is wrong, or there is none or far too many.
    """
    cursor = Cursor("SUBSCRIBE", body)
    check_packet_id("SUBSCRIBE", cursor.integer(2, "packet id"))
    if cursor.at_end:
        raise MalformedError("SUBSCRIBE: no topic filter [MQTT-3.8.3-3]")
    for _ in filters("SUBSCRIBE", cursor):
        if cursor.integer(1, "requested QoS") > MAX_QOS:
            raise MalformedError("SUBSCRIBE: the requested QoS is not 0, 1 or 2 [MQTT-3.8.3-4]")


def unsubscribe(body: bytes) -> None:
    """Check the body of an UNSUBSCRIBE.

    Raises:
        MalformedError: the id is 0, a filter is wrong, or there is none or far too many.
    """
    cursor = Cursor("UNSUBSCRIBE", body)
    check_packet_id("UNSUBSCRIBE", cursor.integer(2, "packet id"))
    if cursor.at_end:
        raise MalformedError("UNSUBSCRIBE: no topic filter [MQTT-3.10.3-2]")
    for _ in filters("UNSUBSCRIBE", cursor):
        pass


def filters(packet: str, cursor: Cursor) -> Iterator[str]:
    """The topic filters of a packet up to its end, MAX_FILTERS at most; what follows each is left to the caller."""
    for _ in range(MAX_FILTERS):
        if cursor.at_end:
            return
        topic_filter = cursor.text("topic filter")
        check_filter(packet, topic_filter)
        yield topic_filter
    if not cursor.at_end:
        raise MalformedError(f"{packet}: more than {MAX_FILTERS} topic filters in one packet", Reason.QUOTA_EXCEEDED)


def lone_packet_id(packet: str, body: bytes) -> int:
    """The packet id of a packet that consists of nothing else (PUBACK, PUBREC, PUBREL, PUBCOMP)."""
    if len(body) != 2:  # noqa: PLR2004 - a packet id is two bytes
        raise MalformedError(f"{packet}: a body of {len(body)} bytes instead of 2")
    packet_id = body[0] << 8 | body[1]
    check_packet_id(packet, packet_id)
    return packet_id


def without_body(name: str, body: bytes, packet: P) -> P:
    """Give back `packet`, which is nothing but its header (PINGREQ, DISCONNECT), once that is so."""
    if body:
        raise MalformedError(f"{name}: a body of {len(body)} bytes where there is none")
    return packet


def publish_flags(qos: int, *, dup: bool) -> None:
    """Check QoS and DUP of a PUBLISH."""
    if qos > MAX_QOS:
        raise MalformedError("PUBLISH: QoS 3 [MQTT-3.3.1-4, MQTT5-3.3.1-4]")
    if dup and not qos:
        raise MalformedError("PUBLISH: DUP with QoS 0 [MQTT-3.3.1-2, MQTT5-3.3.1-2]")


def header_flags(packet: str, flags: int, expected: int, level: int) -> None:
    """Check the lower half of a packet's first byte [MQTT-2.2.2-1]; MQTT 3.1 calls these flags not used."""
    if flags != expected and level != MQTT_3_1:
        rule = "[MQTT-2.2.2-1, MQTT5-2.1.3-1]"
        raise MalformedError(f"{packet}: the header's flags are {flags:#x} instead of {expected:#x} {rule}")


def check_packet_id(packet: str, packet_id: int) -> None:
    """0 is no packet id."""
    if packet_id == 0:
        raise MalformedError(f"{packet}: the packet id is 0 [MQTT-2.3.1-1, MQTT5-2.2.1-3]", Reason.PROTOCOL_ERROR)


def check_filter(packet: str, topic_filter: str) -> None:
    """Whether it can be subscribed to."""
    if not topic_filter:
        raise MalformedError(f"{packet}: a topic filter is empty [MQTT-4.7.3-1, MQTT5-4.7.3-1]")
    if not is_valid_filter(topic_filter):
        rules = "[MQTT-4.7.1-2, MQTT-4.7.1-3; MQTT5-4.7.1-1, MQTT5-4.7.1-2]"
        raise MalformedError(f"{packet}: a wildcard shares its level or # is not last {rules}")
