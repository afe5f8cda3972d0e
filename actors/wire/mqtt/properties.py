"""The properties of MQTT 5 (section 2.2.2) as typed values; at the levels before it they are empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

UserProperties = tuple[tuple[str, str], ...]
"""Names and values in the order in which they were sent; a name may come more than once [MQTT5-3.1.3-10]."""


class Properties(NamedTuple):
    """The properties of an application message; a plain tuple, because one may be made for each report.

    `message_expiry` is in seconds. `topic_alias` and `subscription_ids` belong to one connection: they are not
    forwarded as they came.
    """

    payload_format: int | None = None
    message_expiry: int | None = None
    topic_alias: int | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    content_type: str | None = None
    user: UserProperties = ()
    subscription_ids: tuple[int, ...] = ()


NO_PROPERTIES: Final = Properties()
"""What a message without properties carries: always this very object when it was read."""


@dataclass(frozen=True, slots=True)
class ConnackProperties:
    """What a server tells a client of MQTT 5 in CONNACK (3.2.2.3); None and the defaults are not sent.

    Intervals are in seconds. `max_packet_bytes` is the largest packet that the server takes.
    """

    session_expiry: int | None = None
    receive_maximum: int | None = None
    maximum_qos: int | None = None
    retain_available: bool = True
    max_packet_bytes: int | None = None
    assigned_client_id: str | None = None
    topic_alias_maximum: int | None = None
    reason_string: str | None = None
    user: UserProperties = ()
    wildcards_available: bool = True
    subscription_ids_available: bool = True
    shared_available: bool = True
    server_keep_alive: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None


NO_CONNACK_PROPERTIES: Final = ConnackProperties()
