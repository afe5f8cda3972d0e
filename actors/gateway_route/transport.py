"""What callers of a route may speak: http, https or both."""

from __future__ import annotations

from actors.gateway_route.call import Call, Step
from actors.http_calls.errors import PROTOCOL, CallRefusedError
from config.resources.routes import Protocol


def protocol_step(protocol: Protocol) -> Step | None:
    """Refuses what came by the other one; None where both are taken."""
    if protocol == "both":
        return None
    wants_tls = protocol == "https"

    def check(call: Call) -> None:
        if (call.request.tls is not None) is not wants_tls:
            raise CallRefusedError(PROTOCOL, protocol)

    return check
