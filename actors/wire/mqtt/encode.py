"""The bytes of MQTT 3.1 and 3.1.1: what a server sends, and the clients of tests and load generators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack
from typing import Final

from actors.wire.mqtt import validate
from actors.wire.mqtt.packets import MQTT_3_1_1

# Return codes of CONNACK (MQTT 3.1.1, table 3.1).
ACCEPTED: Final = 0
UNACCEPTABLE_PROTOCOL_VERSION: Final = 1
IDENTIFIER_REJECTED: Final = 2
SERVER_UNAVAILABLE: Final = 3
BAD_USERNAME_OR_PASSWORD: Final = 4
NOT_AUTHORIZED: Final = 5
# Return code of SUBACK for a filter that was not granted (MQTT 3.1.1, 3.9.3).
SUBSCRIPTION_FAILED: Final = 0x80

PINGREQ: Final = b"\xc0\x00"
PINGRESP: Final = b"\xd0\x00"
DISCONNECT: Final = b"\xe0\x00"

MAX_REMAINING_LENGTH: Final = 268_435_455
PUBACK: Final = 0x4002_0000
PUBREC: Final = 0x5002_0000
PUBREL: Final = 0x6202_0000
PUBCOMP: Final = 0x7002_0000
_ONE_BYTE_LENGTHS: Final = 0x80


def connack(code: int, *, session_present: bool = False) -> bytes:
    """CONNACK; a refusal never has a session [MQTT-3.2.2-4]."""
    return bytes((0x20, 2, session_present and code == ACCEPTED, code))


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """One PUBACK for each packet id, in their order, as one piece."""
    return acknowledgements(PUBACK, packet_ids)


def acknowledgements(word: int, packet_ids: Iterable[int]) -> bytes:
    """One packet of success for each packet id, in their order; `word` is PUBACK, PUBREC, PUBREL or PUBCOMP.

    The same at every level: MQTT 5 lets reason 0 without properties be left out.
    """
    words = [word | packet_id for packet_id in packet_ids]
    return pack(f">{len(words)}I", *words)


def suback(packet_id: int, codes: Iterable[int]) -> bytes:
    """SUBACK: for each filter, in order, the granted QoS or SUBSCRIPTION_FAILED."""
    return packet(0x90, packet_id.to_bytes(2, "big") + bytes(codes))


def unsuback(packet_id: int) -> bytes:
    """UNSUBACK."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")


def publish(
    topic: str, payload: bytes, *, qos: int = 0, packet_id: int = 0, retain: bool = False, dup: bool = False
) -> bytes:
    """PUBLISH; `packet_id` is not sent with QoS 0.

    Raises:
        ValueError: the packet would be larger than MQTT can say, or its topic is.
    """
    first = 0x30 | dup << 3 | qos << 1 | retain
    identifier = packet_id.to_bytes(2, "big") if qos else b""
    return packet(first, b"".join((text(topic), identifier, payload)))


def connect(
    client_id: str,
    *,
    username: str | None = None,
    password: bytes | None = None,
    keep_alive: int = 60,
    clean_start: bool = True,
    level: int = MQTT_3_1_1,
) -> bytes:
    """CONNECT of MQTT 3.1 or 3.1.1, without a will."""
    flags = clean_start << 1
    fields = [text(client_id)]
    if username is not None:
        flags |= validate.USERNAME_FLAG
        fields.append(text(username))
    if password is not None:
        flags |= validate.PASSWORD_FLAG
        fields.append(binary(password))
    head = text(validate.PROTOCOL_NAMES[level]) + bytes((level, flags)) + keep_alive.to_bytes(2, "big")
    return packet(0x10, head + b"".join(fields))


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE with filters and the QoS asked for each."""
    return packet(0x82, packet_id.to_bytes(2, "big") + b"".join(text(name) + bytes((qos,)) for name, qos in filters))


def unsubscribe(packet_id: int, filters: Iterable[str]) -> bytes:
    """UNSUBSCRIBE."""
    return packet(0xA2, packet_id.to_bytes(2, "big") + b"".join(map(text, filters)))


def text(value: str) -> bytes:
    """A UTF-8 string with its length in front (MQTT 3.1.1, 1.5.3)."""
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Bytes with their length in front."""
    if len(value) > 0xFFFF:  # noqa: PLR2004 - what two bytes can say
        raise ValueError(f"a field of {len(value)} bytes; MQTT takes at most 65535")
    return len(value).to_bytes(2, "big") + value


def packet(first: int, body: bytes) -> bytes:
    """A whole packet: its first byte, the length of its body, its body.

    Raises:
        ValueError: it would be larger than MQTT can say.
    """
    length = len(body)
    if length < _ONE_BYTE_LENGTHS:
        return bytes((first, length)) + body
    if length > MAX_REMAINING_LENGTH:
        raise ValueError(f"a packet of {length} bytes; MQTT takes at most {MAX_REMAINING_LENGTH}")
    return bytes((first,)) + variable_integer(length) + body


def variable_integer(value: int) -> bytes:
    """Seven bits a byte, the lowest first, in as few bytes as it takes [MQTT5-1.5.5-1].

    Raises:
        ValueError: it is more than four bytes can say.
    """
    if value > MAX_REMAINING_LENGTH:
        raise ValueError(f"a length or identifier of {value}; MQTT takes at most {MAX_REMAINING_LENGTH}")
    data = bytearray()
    while value >= _ONE_BYTE_LENGTHS:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
