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
from config.resources.tasks import FieldType

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# What a JSON decoder may raise for bytes that are no JSON: msgspec's own errors and UnicodeDecodeError are ValueErrors,
# nesting without end is a RecursionError.
UNREADABLE = (ValueError, OverflowError, RecursionError)


class UnmappableError(PenstockError):
    """A record that cannot become a row; the text says which field and why, without any of the record's values."""


class Missing:
    """The type of MISSING: no value at this path."""


MISSING = Missing()


def compile_fields(fields: tuple[Field, ...]) -> Callable[[bytes | None], tuple[Any, ...]]:
    """A function from a record's value to the converted values of all fields, in their order.

    MISSING stands for an optional field that is not there. The function raises UnmappableError where the record is not
    JSON, a required field is missing or null, or a value does not fit its field's type.
    """
    readers = [_compile_field(field) for field in fields]

    def read(value: bytes | None) -> tuple[Any, ...]:
        if value is None:
            raise UnmappableError("the record has no value")
        try:
            document = msgspec.json.decode(value)
        except UNREADABLE as error:
            raise UnmappableError(f"the value is not JSON: {_why_unreadable(error)}") from None
        return tuple([reader(document) for reader in readers])

    return read


def _compile_field(field: Field) -> Callable[[Any], Any]:
    """A step into an object is a member's name; a step into an array is a number from 0."""
    steps = [
        (step, int(step) if step.isascii() and step.isdecimal() else None) for step in (field.path or "").split(".")
    ]
    where = f"field {field.name}: {field.path} is"

    def read(value: Any) -> Any:
        for step, index in steps:
            if isinstance(value, dict):
                value = value.get(step, MISSING)
            elif isinstance(value, list) and index is not None and index < len(value):
                value = value[index]
            else:
                value = MISSING
                break
        if value is MISSING or value is None:
            if field.required:
                raise UnmappableError(f"{where} {'null' if value is None else 'missing'}, but required")
            return value
        return converted(value, field.type, where)

    return read


def converted(value: Any, kind: FieldType, where: str) -> Any:
    """A value as its field's type has it.

    Raises:
        UnmappableError: it does not fit; `where` begins the sentence that says so.
    """
    try:
        return CONVERTERS[kind](value)
    except (ValueError, OverflowError):
        raise UnmappableError(f"{where} {_kind(value)} that cannot be read as {kind}") from None


def _why_unreadable(error: Exception) -> str:
    """Without the position: that differs from record to record, and the reason is what records are counted by."""
    if isinstance(error, msgspec.DecodeError):
        return str(error).partition(" (byte")[0]
    return type(error).__name__


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
