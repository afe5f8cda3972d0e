"""What a client may send, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MQTT_3_1 = 3
MQTT_3_1_1 = 4
SUPPORTED_LEVELS = (MQTT_3_1, MQTT_3_1_1)


class Publish(NamedTuple):
    """An application message; a plain tuple, because one is made for each report.

    `packet_id` is 0 for QoS 0, otherwise 1 to 65535.
    """

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    retain: bool
    dup: bool


class Puback(NamedTuple):
    """The client has what was sent to it with QoS 1."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Connect:
    """A request for a session.

    A level that is not in SUPPORTED_LEVELS (5 is MQTT 5) carries nothing else that can be relied on: it is to be
    answered with CONNACK 1 [MQTT-3.1.2-2]. `keep_alive` is in seconds, 0 for none.
    """

    level: int
    client_id: str = ""
    clean_session: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: bool = False


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Topic filters, each with the QoS that the client asks for."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Topic filters that the client no longer wants."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pubrec:
    """QoS 2, first answer of the receiver."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubrel:
    """QoS 2, the sender lets go of the packet id."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubcomp:
    """QoS 2, last answer of the receiver."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingreq:
    """Sign of life."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client leaves in good order."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """What the client sent is not MQTT; the connection is to be closed [MQTT-4.8.0-1].

    `reason` says what is wrong and which rule it breaks.
    """

    reason: str


Packet = (
    Publish | Puback | Connect | Subscribe | Unsubscribe | Pubrec | Pubrel | Pubcomp | Pingreq | Disconnect | Malformed
)
