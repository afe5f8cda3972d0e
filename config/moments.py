"""Points in time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

from config.resources.topics import duration_seconds

# Digits that are more than any year: milliseconds since the epoch.
_LEAST_MILLISECONDS = 10**8


def parse_moment(text: str, now: float) -> int:
    """A point in time, in milliseconds since the epoch; `now` is in seconds.

    Written as RFC 3339 (`2026-03-01T12:00:00Z`; a date alone is its midnight; UTC where no offset says otherwise), as
    a time ago (`10m`, `2h`, `1d`), or as milliseconds since the epoch.

    Raises:
        ValueError: it is none of these; says what is taken.
    """
    if text.isascii() and text.isdigit() and int(text) >= _LEAST_MILLISECONDS:
        return int(text)
    try:
        if text[-1:] in "smhd":
            return int((now - duration_seconds(text)) * 1000)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no point in time: write 2026-03-01T12:00:00Z, a time ago such as 10m or 2h, or milliseconds "
            "since the epoch"
        ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def format_moment(milliseconds: int) -> str:
    """RFC 3339 in UTC, to the millisecond; a number that is no date stays a number."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
