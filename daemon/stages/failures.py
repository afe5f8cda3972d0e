"""How a status tells of the last time that something went wrong with a function."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from actors.functions.failures import LastFailure


def last_failure(failure: LastFailure | None) -> dict[str, Any]:
    """`last_failure: {at, function, where, reason, count}`; nothing where nothing failed."""
    if failure is None:
        return {}
    where = {"where": failure.where} if failure.where else {}
    told = {"at": shown_time(failure.at), "function": failure.function, **where, "reason": failure.reason}
    return {"last_failure": told | {"count": failure.times}}


def shown_time(milliseconds: int) -> str:
    """A time since the epoch as RFC 3339 has it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
