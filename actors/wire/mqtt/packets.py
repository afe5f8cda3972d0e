"""What a client may send, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from actors.wire.mqtt.properties import NO_PROPERTIES, Properties, UserProperties
from actors.wire.mqtt.reasons import Reason

MQTT_3_1: Final = 3
MQTT_3_1_1: Final = 4
MQTT_5: Final = 5
SUPPORTED_LEVELS: Final = (MQTT_3_1, MQTT_3_1_1, MQTT_5)

NEVER_EXPIRES: Final = 0xFFFF_FFFF
"""The session expiry of a session that outlives its connection for good (MQTT 5, 3.1.2.11.2)."""
MAX_RECEIVE_MAXIMUM: Final = 65_535


class Publish(NamedTuple):
    """An application message; a plain tuple, because one is made for each report.

    `packet_id` is 0 for QoS 0, otherwise 1 to 65535. `topic` is empty where `properties.topic_alias` stands for it;
    `properties` is NO_PROPERTIES itself where there are none.
    """

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    retain: bool
    dup: bool
    properties: Properties = NO_PROPERTIES


class Puback(NamedTuple):
    """The client has what was sent to it with QoS 1, or (`reason` from 0x80 on) refuses it."""

    packet_id: int
    reason: int = 0


class Pubrec(NamedTuple):
    """QoS 2, first answer of the receiver; with a `reason` from 0x80 on also the last one."""

    packet_id: int
    reason: int = 0


class Pubrel(NamedTuple):
    """QoS 2, the sender lets go of the packet id."""

    packet_id: int
    reason: int = 0


class Pubcomp(NamedTuple):
    """QoS 2, last answer of the receiver."""

    packet_id: int
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes for a client that is gone, `delay` seconds later."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    delay: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """A request for a session.

    A level that is not in SUPPORTED_LEVELS carries nothing else that can be relied on: it is to be answered with
    UNSUPPORTED_PROTOCOL_VERSION [MQTT-3.1.2-2]. `keep_alive` is in seconds, 0 for none. `clean_start` is what MQTT 3
    calls clean session; `session_expiry` (seconds) is there 0 with it and NEVER_EXPIRES without it.
    `max_packet_bytes` is the largest packet that the client takes, None for any.
    """

    level: int
    client_id: str = ""
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    session_expiry: int = 0
    receive_maximum: int = MAX_RECEIVE_MAXIMUM
    max_packet_bytes: int | None = None
    topic_alias_maximum: int = 0
    request_response_information: bool = False
    request_problem_information: bool = True
    user: UserProperties = ()
    authentication_method: str | None = None
    authentication_data: bytes | None = None


class Subscription(NamedTuple):
    """A topic filter with the QoS that the client asks for, and the options of MQTT 5 (3.8.3.1).

    `retain_handling`: 0 sends retained messages, 1 only for a new subscription, 2 never.
    """

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscriptions that the client asks for; `identifier` goes with every delivery for them (1 to 268,435,455)."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    identifier: int | None = None
    user: UserProperties = ()


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Topic filters that the client no longer wants."""

    packet_id: int
    filters: tuple[str, ...]
    user: UserProperties = ()


@dataclass(frozen=True, slots=True)
class Pingreq:
    """Sign of life."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client leaves; its will is published if `reason` is DISCONNECT_WITH_WILL_MESSAGE or a failure.

    `session_expiry` replaces that of CONNECT, in seconds; None leaves it.
    """

    reason: int = 0
    session_expiry: int | None = None
    reason_string: str | None = None
    user: UserProperties = ()


@dataclass(frozen=True, slots=True)
class Auth:
    """A step of an enhanced authentication (MQTT 5, 3.15)."""

    reason: int = 0
    method: str | None = None
    data: bytes | None = None
    reason_string: str | None = None
    user: UserProperties = ()


@dataclass(frozen=True, slots=True)
class Malformed:
    """What the client sent is not MQTT; the connection is to be closed [MQTT-4.8.0-1, MQTT5-4.13.1-1].

    `reason` says what is wrong and which rule it breaks; `code` is what DISCONNECT says of it at level 5.
    """

    reason: str
    code: Reason = Reason.MALFORMED_PACKET


Packet = (
    Publish
    | Puback
    | Connect
    | Subscribe
    | Unsubscribe
    | Pubrec
    | Pubrel
    | Pubcomp
    | Pingreq
    | Disconnect
    | Auth
    | Malformed
)
