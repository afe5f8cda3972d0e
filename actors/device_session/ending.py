"""How a session ends: why, what its client is told, and what becomes of what it leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from actors.device_session.will import PendingWill, publish_will
from actors.wire.mqtt.packets import Disconnect
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.core import Admission
    from actors.device_session.sessions import Member
    from actors.device_session.state import SessionState
    from actors.device_session.statuses import DeviceStatus, LivingSession
    from actors.wire.mqtt.dialect import Dialect

    class Leaver(LivingSession, Member, Protocol):
        """A session that ends."""


# What clients are told in words as well: what they did themselves. The rest is for the operator.
_EXPLAINED: Final = frozenset(
    {
        Reason.MALFORMED_PACKET,
        Reason.PROTOCOL_ERROR,
        Reason.KEEP_ALIVE_TIMEOUT,
        Reason.SESSION_TAKEN_OVER,
        Reason.RECEIVE_MAXIMUM_EXCEEDED,
        Reason.TOPIC_ALIAS_INVALID,
        Reason.PACKET_TOO_LARGE,
        Reason.QOS_NOT_SUPPORTED,
    }
)


class Ending:
    """Why a session ends; the first reason given is the one that is kept."""

    __slots__ = ("_code", "disconnect", "left", "reason")

    def __init__(self) -> None:
        self.reason = ""
        """For people; empty while it lives."""
        self._code: Reason | None = None
        self.disconnect: Disconnect | None = None
        """With what the client said that it leaves, if it did."""
        self.left = False
        """Whether it is off every list."""

    def note(self, reason: str, code: Reason | None = None) -> None:
        """It ends for this reason; `code` is what a client of MQTT 5 is told, None where nobody is there to be told."""
        if not self.reason:
            self.reason, self._code = reason, code

    def farewell(self, dialect: Dialect) -> bytes:
        """The last packet to the client; empty where there is none."""
        if self._code is None:
            return b""
        return dialect.disconnect(self._code, self.reason if self._code in _EXPLAINED else "")

    @property
    def is_graceful(self) -> bool:
        """Whether the client took its will with it [MQTT-3.1.2-10, MQTT5-3.14.4-3]."""
        return self.disconnect is not None and self.disconnect.reason == Reason.NORMAL_DISCONNECTION


def leave(
    broker: Broker,
    session: Leaver,
    login: Admission,
    ending: Ending,
    *,
    state: SessionState | None,
    status: DeviceStatus | None,
) -> None:
    """Take a session that has logged in off every list, keep what outlives it, and see to its will. Never waits."""
    reason = ending.reason or "shutdown"
    if state is not None:
        broker.presence.left(session, login.identity, status, reason)
        will = login.connect.will if not ending.is_graceful else None
        delayed = will is not None and will.delay > 0 and state.is_persistent
        if will is not None and delayed:
            state.will = PendingWill(will, time.time() + will.delay)
        # Of one that was deleted nothing is kept: another one may get its name.
        is_known = broker.directory.knows(login.identity)
        changes = broker.states.detach(state) if is_known else broker.states.end(state)
        if changes:
            broker.journal.write(changes, None)
        if will is not None and not delayed:
            publish_will(broker, state, will, reason)
    broker.sessions.leave(session, login.key)
