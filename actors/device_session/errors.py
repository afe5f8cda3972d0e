"""How a client's connection comes to its end from within."""

from __future__ import annotations

from actors.errors import PenstockError
from actors.wire.mqtt.packets import Disconnect
from actors.wire.mqtt.reasons import Reason


class ProtocolViolationError(PenstockError):
    """The client sent what the protocol or this server does not allow; its connection is closed.

    Attributes:
        code: what DISCONNECT says of it, where the client's level has such a packet.
    """

    def __init__(self, message: str, code: Reason = Reason.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


class ClientLeftError(PenstockError):
    """The client ended the connection; says how.

    Attributes:
        disconnect: the packet with which it said so; None where the connection just broke.
    """

    def __init__(self, message: str, disconnect: Disconnect | None = None) -> None:
        super().__init__(message)
        self.disconnect = disconnect
