"""Values between Python and MySQL's types: parameters, columns of results, and columns that tasks write to. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from asyncmy.constants import FIELD_TYPE
from asyncmy.protocol import FieldDescriptorPacket

from plugins.api import ConnectorError, ParameterError, StatementError
from plugins.sql.conversions import Convert, day, json_text, moment, or_null, text, whole_number

_AS_THEY_ARE = (str, bool, float, bytes, Decimal, date, time, timedelta, type(None))
# DECIMAL has 65 of them.
_MOST_DIGITS = 100
_64_BITS = range(-(1 << 63), 1 << 64)
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year", "bit"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json"})
_GEOMETRIES = frozenset(
    {
        "geomcollection",
        "geometry",
        "geometrycollection",
        "linestring",
        "multilinestring",
        "multipoint",
        "multipolygon",
        "point",
        "polygon",
    }
)


def bindable(names: Sequence[str], parameters: Mapping[str, Any], zone: tzinfo) -> list[Any]:
    """The parameters of a statement, in its order; MySQL itself makes of them what the statement asks for.

    Raises:
        ParameterError: one is missing, or is nothing that a database knows.
    """
    values = []
    for name in names:
        if name not in parameters:
            raise ParameterError(f"parameter {name} is missing")
        values.append(_parameter(parameters[name], name, zone))
    return values


def _parameter(value: Any, name: str, zone: tzinfo) -> Any:
    fit = value
    match value:
        case datetime():
            fit = _moment(value, name, zone)
        case dict() | list() | tuple():
            fit = json_text(value)
        case int() if not isinstance(value, bool):
            fit = wide(value)
        case bytearray() | memoryview():
            fit = bytes(value)
        case UUID():
            fit = str(value)
        case Decimal() if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
            raise ParameterError(f"parameter {name}: a number beyond what DECIMAL holds")
        case _ if not isinstance(value, _AS_THEY_ARE):
            raise ParameterError(f"parameter {name}: {type(value).__name__} is nothing that MySQL knows")
    return fit


def _moment(value: datetime, name: str, zone: tzinfo) -> datetime:
    try:
        return in_zone(value, zone)
    except OverflowError:
        raise ParameterError(f"parameter {name}: a moment beyond what DATETIME holds") from None


def wide(value: int) -> int | Decimal:
    """Integers that 64 bits do not hold go as decimals, which have 65 digits."""
    return value if value in _64_BITS else Decimal(value)


def in_zone(value: datetime, zone: tzinfo) -> datetime:
    """A moment as the session's clocks show it; one without an offset stays as it is."""
    return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo is not None else value


# --- what results bring


def column_converter(field: FieldDescriptorPacket, zone: tzinfo) -> Convert | None:
    """What is made of a column's values; None where the driver's are right.

    BIT is a number, JSON (MySQL's; MariaDB has it as text) its value, TIME its text (it may be longer than a day, or
    negative), TIMESTAMP a moment. Zero dates are NULL.

    Raises:
        StatementError: a geometry, which nobody outside of a database can read.
    """
    match field.type_code:
        case FIELD_TYPE.GEOMETRY:
            raise StatementError(
                f"column {field.name} is a geometry; ask for ST_AsGeoJSON({field.name}) or ST_AsText({field.name})"
            )
        case FIELD_TYPE.BIT:
            return or_null(lambda value: int.from_bytes(value, "big"))
        case FIELD_TYPE.JSON:
            return or_null(msgspec.json.decode)
        case FIELD_TYPE.TIME:
            return or_null(clock)
        case FIELD_TYPE.TIMESTAMP:
            return or_null(lambda value: value.replace(tzinfo=zone))
        case _:
            return None


def clock(value: timedelta) -> str:
    """As MySQL writes a TIME: `-25:06:07.500000`."""
    sign = "-" if value < timedelta() else ""
    seconds, microseconds = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    fraction = f".{microseconds:06d}" if microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


# --- what tasks write


def row_converter(field_type: str, column: str, column_type: str, zone: tzinfo) -> Convert | None:
    """How values of a field are made fit for a column of that type; None where they are fit as they are.

    It raises one of REFUSED_VALUES for a value that does not fit.

    Raises:
        ConnectorError: no value would ever fit.
    """
    base = re.split(r"[^a-z]", column_type.lower(), maxsplit=1)[0]
    if base in _GEOMETRIES:
        raise ConnectorError(f"column {column} is a geometry, which tasks cannot write; leave it out")
    convert = _converter(field_type, base, zone)
    return None if convert is None else or_null(convert)


def _converter(field_type: str, base: str, zone: tzinfo) -> Convert | None:
    if field_type == "json":
        return json_text
    if base in _CLOCKS:
        return _CLOCKS[base](zone)
    if base in _INTEGERS:
        return (None if field_type == "boolean" else _integer) if base != "bit" else _integer
    if base in _TEXTS:
        return text if field_type == "boolean" else None
    return _number if field_type in {"integer", "number"} else None


def _integer(value: Any) -> int | Decimal:
    # MySQL rounds where others refuse.
    return wide(whole_number(value)) if not isinstance(value, bool) else int(value)


def _number(value: Any) -> Any:
    return wide(value) if isinstance(value, int) else value


def _moments(zone: tzinfo) -> Convert:
    return lambda value: in_zone(moment(value), zone)


def _days(zone: tzinfo) -> Convert:
    def convert(value: Any) -> date:
        if isinstance(value, str) and len(value) == len("2024-02-29"):
            return day(value)
        return in_zone(moment(value), zone).date()

    return convert


_CLOCKS: Mapping[str, Callable[[tzinfo], Convert]] = {"datetime": _moments, "timestamp": _moments, "date": _days}
