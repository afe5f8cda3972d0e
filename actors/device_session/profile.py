"""What a listener asks of the connections that come through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NEVER: Final = 0xFFFF_FFFF
"""A session expiry interval that never runs out (MQTT 5, 3.1.2.11.2)."""
MAX_RECEIVE: Final = 65_535
"""As many QoS 1 and 2 messages as there are packet ids: no limit (MQTT 5, 3.1.2.11.3)."""


@dataclass(frozen=True, slots=True)
class ListenerProfile:
    """The limits of one listener; the same for each of its connections.

    Sizes in bytes, times in seconds.
    """

    max_packet_bytes: int = 1024 * 1024
    """The largest packet that is taken."""
    max_keep_alive: int = 65_535
    """The longest keep alive that is granted; a client that asks for none may be silent for so long."""
    server_keep_alive: int | None = None
    """The keep alive that clients of MQTT 5 are to use in place of their own; None: as they ask."""
    receive_maximum: int = MAX_RECEIVE
    """How many unacknowledged QoS 1 and 2 messages a client may have on the way here."""
    topic_alias_maximum: int = 0
    """The highest topic alias that a client may use; 0: none."""
    maximum_qos: int = 2
    """The highest QoS that clients may publish with, and are granted."""
    session_expiry_max: int = NEVER
    """Sessions end so long after their connection at the latest, whatever their clients ask for."""
    anonymous: str | None = None
    """The product whose passing devices clients without a user name are; None: they are refused."""
    name: str = "mqtt"
    """For people and logs."""


def certificate_names(stream: object) -> tuple[str, ...]:
    """The names in the certificate of whoever is at the other end; to be asked once the hand-shake is over.

    A stream whose listener knows clients by certificates has them as `certificate_names`: the common name, then the
    subject alternative names; none where the client showed no certificate.
    """
    # Without a Protocol that is checked at run time: that takes longer than all else that a log-in asks.
    names: tuple[str, ...] = getattr(stream, "certificate_names", ())
    return names
