"""Values as PostgreSQL's types want them: everything from a URL is text, and a row has JSON's few types. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from plugins.api import ParameterError
from plugins.sql.conversions import (
    REFUSED_VALUES,
    Convert,
    as_it_is,
    day,
    json_text,
    moment,
    or_null,
    text,
    whole_number,
)

_TRUE = frozenset({"t", "true", "y", "yes", "on", "1"})
_FALSE = frozenset({"f", "false", "n", "no", "off", "0"})
_INTEGER_BITS = {"int2": 16, "int4": 32, "int8": 64}
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext", "unknown"})
# Field types whose values asyncpg takes as they are for these types.
_NATIVE = {
    "string": _TEXTS | {"json", "jsonb"},
    "integer": frozenset({"int2", "int4", "int8", "float4", "float8", "json", "jsonb"}),
    "number": frozenset({"float4", "float8", "json", "jsonb"}),
    "boolean": frozenset({"bool", "json", "jsonb"}),
    "json": frozenset({"json", "jsonb"}),
}


def convert_parameter(value: Any, name: str, type_name: str) -> Any:
    """A parameter as the statement's type wants it; None is NULL. Array types end in `[]`.

    Raises:
        ParameterError: it cannot be converted; names the parameter and the type, never the value.
    """
    if value is None:
        return None
    try:
        return _converter(type_name, json=_decoded)(value)
    except REFUSED_VALUES as error:
        raise ParameterError(f"parameter {name} cannot be converted to {type_name}") from error


def row_converter(field_type: str, type_name: str) -> Convert | None:
    """How values of a field are made fit for a column of that type; None where they are fit as they are.

    It raises one of REFUSED_VALUES for a value that does not fit.
    """
    if type_name in _NATIVE[field_type]:
        return None
    if field_type == "json" and type_name in _TEXTS:
        return or_null(json_text)
    return or_null(_converter(type_name, json=as_it_is))


def _converter(type_name: str, *, json: Convert) -> Convert:
    if type_name.endswith("[]"):
        return partial(_array, item=or_null(_converter(type_name[:-2], json=json)))
    if type_name in _INTEGER_BITS:
        return partial(_integer, bits=_INTEGER_BITS[type_name])
    if type_name in {"json", "jsonb"}:
        return json
    if type_name in _TEXTS:
        return text
    return _CONVERTERS.get(type_name, as_it_is)


def _decoded(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str) else value


def _integer(value: Any, *, bits: int) -> int:
    number = whole_number(value)
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise OverflowError(f"out of the range of {bits} bits")
    return number


def _float(value: Any) -> float:
    return float(_number(value))


def _numeric(value: Any) -> Decimal:
    # By way of its text: 0.1 is 0.1 there, and not the 55 digits of the nearest binary fraction.
    return value if isinstance(value, Decimal) else Decimal(str(_number(value)))


def _number(value: Any) -> Any:
    """Python takes `True` and `1_000` for numbers; nobody else does."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise ValueError("no number")
    return value


def _boolean(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("neither true nor false")
    return word in _TRUE


def _timestamp(value: Any) -> datetime:
    return moment(value).astimezone(UTC).replace(tzinfo=None)


def _time(value: Any) -> time:
    return value if isinstance(value, time) else time.fromisoformat(value)


def _interval(value: Any) -> timedelta:
    """ISO 8601 (`P1DT2H`), or seconds."""
    duration: timedelta = msgspec.convert(value, timedelta, strict=False)
    return duration


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))


def _bytes(value: Any) -> bytes:
    r"""As PostgreSQL writes it (`\x0aff`), else the text's UTF-8."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError("neither text nor bytes")
    return bytes.fromhex(value[2:]) if value.startswith("\\x") else value.encode()


def _array(value: Any, *, item: Convert) -> list[Any]:
    """A list, or one as JSON text (`[1, 2]`), or as PostgreSQL writes plain ones (`{1,2}`)."""
    if isinstance(value, str):
        listed = value.strip()
        if listed.startswith("{") and listed.endswith("}") and not set(listed[1:-1]) & set('{}"\\'):
            value = [
                None if part.strip().upper() == "NULL" else part.strip() for part in listed[1:-1].split(",") if part
            ]
        else:
            value = msgspec.json.decode(listed)
    if not isinstance(value, (list, tuple)):
        raise TypeError("no array")
    return [item(one) for one in value]


_CONVERTERS: dict[str, Convert] = {
    "float4": _float,
    "float8": _float,
    "numeric": _numeric,
    "bool": _boolean,
    "date": day,
    "time": _time,
    "timetz": _time,
    "timestamp": _timestamp,
    "timestamptz": moment,
    "interval": _interval,
    "uuid": _uuid,
    "bytea": _bytes,
}
