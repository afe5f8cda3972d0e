"""How calls of the topic gateway are refused: the gateway's error shape, with what topics add to its table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from actors.errors import AppendRefusedError, CircuitOpenError, PenstockError
from actors.http_calls.errors import BAD_REQUEST, CallRefusedError, GatewayError, error_of_status, find

# 0101 is "what was asked for is not here", 0201 the family of what is wrong with a request as such.
UNKNOWN = GatewayError("APIC.0101", "The topic or group does not exist.", 404)
CONFLICT = GatewayError("APIC.0201", "The group is used otherwise.", 409)
OUT_OF_RANGE = GatewayError("APIC.0201", "The offset is not there.", 416)
DAMAGED = GatewayError("APIC.0201", "Records cannot be read.", 500)
NOT_TAKEN = GatewayError("APIC.0201", "The topic takes no records now.", 503)
UNAVAILABLE = GatewayError("APIC.0201", "The topic is not available now.", 503)
TOO_LARGE = error_of_status(413)
THROTTLED = find("APIC.0308", 429)

_RETRY_SECONDS = 1.0


class PartlyStoredError(CallRefusedError):
    """Some of a bulk was stored and some was not.

    Attributes:
        stored: what was, as the answer would have told it.
    """

    def __init__(self, reason: CallRefusedError, stored: Mapping[str, Any]) -> None:
        super().__init__(reason.error, reason.detail, reason.headers)
        self.stored = stored


def bad(detail: str) -> CallRefusedError:
    """A request that its sender must correct."""
    return CallRefusedError(BAD_REQUEST, detail)


def unknown(what: str) -> CallRefusedError:
    """A topic or group that is not there."""
    return CallRefusedError(UNKNOWN, what)


def throttled(retry_after: float) -> CallRefusedError:
    """A backlog policy held the producer for as long as it may."""
    detail = "a backlog is being worked off, and the call waited as long as it may"
    return CallRefusedError(THROTTLED, detail, retry_after_header(retry_after))


def of_append(error: PenstockError) -> CallRefusedError:
    """What a producer is told of an append that failed; nothing of it was kept."""
    if isinstance(error, CircuitOpenError):
        return CallRefusedError(NOT_TAKEN, error.reason, retry_after_header(error.retry_after))
    if isinstance(error, AppendRefusedError):
        # Its text names files of this machine, which are the operator's affair.
        return CallRefusedError(NOT_TAKEN, "its storage refuses appends", retry_after_header(_RETRY_SECONDS))
    return CallRefusedError(UNAVAILABLE, "", retry_after_header(_RETRY_SECONDS))


def retry_after_header(seconds: float) -> tuple[tuple[str, str], ...]:
    """`Retry-After` in whole seconds, at least one (RFC 9110 10.2.3)."""
    return (("Retry-After", str(max(1, math.ceil(seconds)))),)
