"""Values as typed columns want them: everything from a URL is text, and a row has the few types of JSON. Pure.

Each function takes what comes and returns what fits, or raises one of REFUSED_VALUES.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import InvalidOperation
from typing import Any

import msgspec

Convert = Callable[[Any], Any]

REFUSED_VALUES = (ValueError, TypeError, InvalidOperation, OverflowError, RecursionError, msgspec.MsgspecError)


def or_null(convert: Convert) -> Convert:
    """The same conversion, with NULL left alone."""
    return lambda value: None if value is None else convert(value)


def as_it_is(value: Any) -> Any:
    """The value itself."""
    return value


def json_text(value: Any) -> str:
    """Any value as JSON."""
    return msgspec.json.encode(value).decode()


def text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json_text(value)


def whole_number(value: Any) -> int:
    """An integer, from a number without a fraction or from text."""
    number: int = msgspec.convert(value, int, strict=False)
    return number


def moment(value: Any) -> datetime:
    """ISO 8601, or milliseconds since the epoch; without an offset it is UTC."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def day(value: Any) -> date:
    """A date, or ISO 8601."""
    return value if isinstance(value, date) else date.fromisoformat(value)
