"""The bytes of what is sent: by a server, and by the clients of load tests."""

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
_PUBACK: Final = 0x4002_0000
_ONE_BYTE_LENGTHS: Final = 0x80


def connack(code: int, *, session_present: bool = False) -> bytes:
    """CONNACK; a refusal never has a session [MQTT-3.2.2-4]."""
    return bytes((0x20, 2, session_present and code == ACCEPTED, code))


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """One PUBACK for each packet id, in their order, as one piece."""
    words = [_PUBACK | packet_id for packet_id in packet_ids]
    return pack(f">{len(words)}I", *words)


def suback(packet_id: int, codes: Iterable[int]) -> bytes:
    """SUBACK: for each filter, in order, the granted QoS or SUBSCRIPTION_FAILED."""
    return _packet(0x90, packet_id.to_bytes(2, "big") + bytes(codes))


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
    return _packet(first, b"".join((text(topic), identifier, payload)))


def connect(
    client_id: str,
    *,
    username: str | None = None,
    password: bytes | None = None,
    keep_alive: int = 60,
    clean_session: bool = True,
    level: int = MQTT_3_1_1,
) -> bytes:
    """CONNECT of MQTT 3.1 or 3.1.1, without a will."""
    flags = clean_session << 1
    fields = [text(client_id)]
    if username is not None:
        flags |= validate.USERNAME_FLAG
        fields.append(text(username))
    if password is not None:
        flags |= validate.PASSWORD_FLAG
        fields.append(binary(password))
    head = text(validate.PROTOCOL_NAMES[level]) + bytes((level, flags)) + keep_alive.to_bytes(2, "big")
    return _packet(0x10, head + b"".join(fields))


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE with filters and the QoS asked for each."""
    return _packet(0x82, packet_id.to_bytes(2, "big") + b"".join(text(name) + bytes((qos,)) for name, qos in filters))


def unsubscribe(packet_id: int, filters: Iterable[str]) -> bytes:
    """UNSUBSCRIBE."""
    return _packet(0xA2, packet_id.to_bytes(2, "big") + b"".join(map(text, filters)))


def text(value: str) -> bytes:
    """A UTF-8 string with its length in front (MQTT 3.1.1, 1.5.3)."""
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Bytes with their length in front."""
    if len(value) > 0xFFFF:  # noqa: PLR2004 - what two bytes can say
        raise ValueError(f"a field of {len(value)} bytes; MQTT takes at most 65535")
    return len(value).to_bytes(2, "big") + value


def _packet(first: int, body: bytes) -> bytes:
    length = len(body)
    if length < _ONE_BYTE_LENGTHS:
        return bytes((first, length)) + body
    if length > MAX_REMAINING_LENGTH:
        raise ValueError(f"a packet of {length} bytes; MQTT takes at most {MAX_REMAINING_LENGTH}")
    header = bytearray((first,))
    while length >= _ONE_BYTE_LENGTHS:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + body
