"""What outlives a connection: the session of one client (MQTT 5, 4.1)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.device_session.profile import NEVER

if TYPE_CHECKING:
    from actors.device_session.delivery.receiving import Receiver
    from actors.device_session.intake.incoming import Incoming
    from actors.device_session.journal import KeptWill
    from actors.device_session.registry.sessions import ClientKey
    from actors.directory.identities import Identity
    from actors.wire.mqtt.dialect import Dialect
    from actors.wire.mqtt.reasons import Reason

_INCARNATION_BYTES: Final = 8


class Link(NamedTuple):
    """The living connection, as what the session delivers sees it; made when a session first receives.

    `wake` is called when something may be sent. `close` ends the connection with a reason (a DISCONNECT packet where
    the protocol has one) and never waits. `receive_maximum` is how many deliveries of QoS 1 and 2 may be under way,
    `max_packet_bytes` the largest packet that the client takes (None: any), `topic_alias_maximum` the highest alias.
    """

    dialect: Dialect
    wake: Callable[[], None]
    close: Callable[[Reason, str], None]
    receive_maximum: int = 65_535
    max_packet_bytes: int | None = None
    topic_alias_maximum: int = 0


class SessionState:
    """One session: attached to at most one connection at a time, and kept without one until it expires.

    It is persistent exactly while `expiry` is above 0; then what it promises is in the journal before it is promised.
    A session that ends with its connection lives in memory alone. All of its parts are made when first needed.
    """

    __slots__ = (
        "detached_at",
        "expiry",
        "identity",
        "incarnation",
        "incoming",
        "key",
        "level",
        "link",
        "receiver",
        "will",
    )

    def __init__(
        self, key: ClientKey, identity: Identity, level: int, expiry: int, incarnation: str | None = None
    ) -> None:
        self.key = key
        self.identity = identity
        self.level = level
        """The protocol level of its latest connection."""
        self.expiry = expiry
        """For how long it is kept without a connection, in seconds; 0xFFFFFFFF: for good."""
        self.incarnation = incarnation or secrets.token_hex(_INCARNATION_BYTES)
        """Names this session, and no other one that the same client ever had, in the journal and in records."""
        self.link: Link | None = None
        """The connection that receives; None while there is none, or while it has not asked for anything."""
        self.receiver: Receiver | None = None
        """Subscriptions, what waits to be delivered, and what is on its way to the client."""
        self.incoming: Incoming | None = None
        """The QoS 2 messages of the client that are taken and not released yet."""
        self.will: KeptWill | None = None
        """What is to be published once it has been without a connection for long enough, if it is persistent."""
        self.detached_at: float | None = None
        """Since when it has no connection, in seconds since the epoch; None while it has one."""

    @property
    def is_persistent(self) -> bool:
        """Whether it outlives its connection."""
        return self.expiry > 0

    def expires_at(self) -> float | None:
        """When it expires, in seconds since the epoch; None while it has a connection, or where it never does."""
        if self.detached_at is None or self.expiry == NEVER:
            return None
        return self.detached_at + self.expiry
