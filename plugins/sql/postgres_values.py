"""Values as PostgreSQL's types want them: everything from a URL is text, and a row has JSON's few types. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from plugins.api import ParameterError

Convert = Callable[[Any], Any]

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
_REFUSED = (ValueError, TypeError, InvalidOperation, OverflowError, RecursionError, msgspec.MsgspecError)


def convert_parameter(value: Any, name: str, type_name: str) -> Any:
    """A parameter as the statement's type wants it; None is NULL. Array types end in `[]`.

    Raises:
        ParameterError: it cannot be converted; names the parameter and the type, never the value.
    """
    if value is None:
        return None
    try:
        return _converter(type_name, json=_json_text)(value)
    except _REFUSED as error:
        raise ParameterError(f"parameter {name} cannot be converted to {type_name}") from error


def row_converter(field_type: str, type_name: str) -> Convert | None:
    """How values of a field are made fit for a column of that type; None where they are fit as they are.

    It raises one of REFUSED_VALUES for a value that does not fit.
    """
    if type_name in _NATIVE[field_type]:
        return None
    if field_type == "json" and type_name in _TEXTS:
        return _or_null(lambda value: msgspec.json.encode(value).decode())
    return _or_null(_converter(type_name, json=_as_it_is))


REFUSED_VALUES = _REFUSED


def _or_null(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _converter(type_name: str, *, json: Convert) -> Convert:
    if type_name.endswith("[]"):
        return partial(_array, item=_or_null(_converter(type_name[:-2], json=json)))
    if type_name in _INTEGER_BITS:
        return partial(_integer, bits=_INTEGER_BITS[type_name])
    if type_name in {"json", "jsonb"}:
        return json
    if type_name in _TEXTS:
        return _text
    return _CONVERTERS.get(type_name, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _json_text(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str) else value


def _integer(value: Any, *, bits: int) -> int:
    number: int = msgspec.convert(value, int, strict=False)
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
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("neither true nor false")
    return text in _TRUE


def _moment(value: Any) -> datetime:
    """ISO 8601, or milliseconds since the epoch; without an offset it is UTC."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _timestamp(value: Any) -> datetime:
    return _moment(value).astimezone(UTC).replace(tzinfo=None)


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


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
        text = value.strip()
        if text.startswith("{") and text.endswith("}") and not set(text[1:-1]) & set('{}"\\'):
            value = [None if part.strip().upper() == "NULL" else part.strip() for part in text[1:-1].split(",") if part]
        else:
            value = msgspec.json.decode(text)
    if not isinstance(value, (list, tuple)):
        raise TypeError("no array")
    return [item(one) for one in value]


_CONVERTERS: dict[str, Convert] = {
    "float4": _float,
    "float8": _float,
    "numeric": _numeric,
    "bool": _boolean,
    "date": _date,
    "time": _time,
    "timetz": _time,
    "timestamp": _timestamp,
    "timestamptz": _moment,
    "interval": _interval,
    "uuid": _uuid,
    "bytea": _bytes,
}
