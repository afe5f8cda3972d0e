"""What a task reads out of a record, field by field: the meaning of a mapping, written plainly.

`mapping.py` does the same at many times the speed for records whose values have the declared types already, and comes
here for all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from actors.errors import PenstockError
from config.resources import Field

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# What a JSON decoder may raise for bytes that are no JSON: msgspec's own errors and UnicodeDecodeError are ValueErrors,
# nesting without end is a RecursionError.
UNREADABLE = (ValueError, OverflowError, RecursionError)


class UnmappableError(PenstockError):
    """A record that cannot become a row; the text says which field and why, without any of the record's values."""


class Missing:
    """The type of MISSING: no value at this path."""


MISSING = Missing()


def read_fields(value: bytes | None, fields: tuple[Field, ...]) -> tuple[Any, ...]:
    """The converted values of all fields, in their order; MISSING for an optional one that is not there.

    Raises:
        UnmappableError: the record is not JSON, a required field is missing or null, or a value does not fit its type.
    """
    if value is None:
        raise UnmappableError("the record has no value")
    try:
        document = msgspec.json.decode(value)
    except UNREADABLE as error:
        # The position differs from record to record; the reason is what records are counted by.
        reason = str(error).partition(" (byte")[0] if isinstance(error, msgspec.DecodeError) else type(error).__name__
        raise UnmappableError(f"the value is not JSON: {reason}") from None
    return tuple(_read(document, field) for field in fields)


def look_up(document: Any, path: str) -> Any:
    """The value at a dotted path, or MISSING.

    A step into an object is a member's name; a step into an array is a number from 0.
    """
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step, MISSING)
        elif isinstance(document, list) and step.isdecimal() and step.isascii() and int(step) < len(document):
            document = document[int(step)]
        else:
            return MISSING
    return document


def _read(document: Any, field: Field) -> Any:
    value = look_up(document, field.path)
    if value is MISSING or value is None:
        if field.required:
            what = "missing" if value is MISSING else "null"
            raise UnmappableError(f"field {field.name}: {field.path} is {what}, but required")
        return value
    try:
        return CONVERTERS[field.type](value)
    except (ValueError, OverflowError):
        raise UnmappableError(
            f"field {field.name}: {field.path} is {_kind(value)} that cannot be read as {field.type}"
        ) from None


def _to_string(value: Any) -> str:
    """Text as it is; numbers and booleans as JSON writes them. Objects and arrays want a field of type json."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise ValueError


def _to_integer(value: Any) -> int:
    """Whole numbers of 64 bits, also written 5.0 or "5"."""
    return msgspec.convert(value, Int64, strict=False)


def _to_number(value: Any) -> float:
    """Finite numbers, also written as text."""
    number = msgspec.convert(value, float, strict=False)
    if not math.isfinite(number):
        raise ValueError
    return number


def _to_boolean(value: Any) -> bool:
    """True and false, also written "true", "false", "1", "0", 1 or 0."""
    return msgspec.convert(value, bool, strict=False)


def _as_it_is(value: Any) -> Any:
    return value


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "string": _to_string,
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "json": _as_it_is,
}

_KINDS = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a value")
