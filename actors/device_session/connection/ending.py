"""How a connection ends: why, and what its client is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.wire.mqtt.packets import Disconnect
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.wire.mqtt.dialect import Dialect

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
