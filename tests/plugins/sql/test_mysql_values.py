"""Values between Python and MySQL's types, where no server is needed to tell."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from asyncmy.constants import FIELD_TYPE

from plugins.api import ConnectorError, ParameterError
from plugins.sql.conversions import REFUSED_VALUES
from plugins.sql.mysql_session import session_settings
from plugins.sql.mysql_values import bindable, clock, column_converter, row_converter
from plugins.sql.mysql_zones import zone_of


class Field(NamedTuple):
    name: str
    type_code: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "00:00:00"),
        (timedelta(hours=838, minutes=59, seconds=59), "838:59:59"),
        (-timedelta(hours=25, minutes=6, seconds=7, microseconds=500_000), "-25:06:07.500000"),
        (timedelta(microseconds=1), "00:00:00.000001"),
    ],
)
def test_a_time_is_told_as_mysql_writes_it(value: timedelta, text: str) -> None:
    """Longer than a day, negative, and with a fraction where there is one."""
    assert clock(value) == text


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (FIELD_TYPE.JSON, '{"a":[1,null]}', {"a": [1, None]}),
        (FIELD_TYPE.JSON, None, None),
        (FIELD_TYPE.BIT, b"\x0a\x0b", 2571),
        (FIELD_TYPE.BIT, None, None),
        (FIELD_TYPE.TIME, timedelta(seconds=1), "00:00:01"),
        (FIELD_TYPE.TIMESTAMP, datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
    ],
)
def test_columns_come_as_json_can_have_them(kind: int, raw: Any, value: Any) -> None:
    """MySQL's JSON is a value; NULL stays NULL everywhere."""
    convert = column_converter(Field("c", kind), UTC)  # type: ignore[arg-type]
    assert convert is not None
    assert convert(raw) == value


PLUS_2 = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("field", "column", "value", "stored"),
    [
        ("integer", "datetime(3)", 1500, datetime(1970, 1, 1, 2, 0, 1, 500_000)),  # noqa: DTZ001
        ("string", "timestamp", "2024-01-01T00:00:00Z", datetime(2024, 1, 1, 2)),  # noqa: DTZ001
        ("string", "date", "2024-01-01T23:00:00Z", date(2024, 1, 2)),
        ("string", "date", "2024-01-01", date(2024, 1, 1)),
        ("string", "int(11)", "12", 12),
        ("number", "bigint unsigned", 3.0, 3),
        ("integer", "bigint", 2**70, Decimal(2**70)),
        ("integer", "decimal(30,0)", 2**70, Decimal(2**70)),
        ("boolean", "bit(1)", True, 1),
        ("boolean", "varchar(5)", False, "false"),
        ("json", "longtext", "a", '"a"'),
        ("json", "json", {"a": 1}, '{"a":1}'),
        ("json", "text", None, None),
        ("integer", "datetime", None, None),
    ],
)
def test_fields_are_made_fit_for_their_columns(field: str, column: str, value: Any, stored: Any) -> None:
    """Moments show the clock of the session's zone, integers have no fraction, and JSON is its text."""
    convert = row_converter(field, "c", column, PLUS_2)
    assert convert is not None
    assert convert(value) == stored


@pytest.mark.parametrize(
    ("field", "column", "value"),
    [
        ("number", "int", 1.5),
        ("string", "int", "1.5"),
        ("string", "bit(3)", "x"),
        ("string", "datetime", "yesterday"),
        ("boolean", "datetime", True),
        ("integer", "date", 10**30),
    ],
)
def test_what_would_be_rounded_or_guessed_is_refused(field: str, column: str, value: Any) -> None:
    """MySQL itself would take some of them, for something else."""
    convert = row_converter(field, "c", column, UTC)
    assert convert is not None
    with pytest.raises(REFUSED_VALUES):
        convert(value)


@pytest.mark.parametrize("field", ["string", "integer", "number"])
def test_fields_that_fit_cost_nothing(field: str) -> None:
    """Text columns take text and numbers as they are."""
    assert row_converter(field, "c", "varchar(9)", UTC) is None


def test_a_geometry_cannot_be_written() -> None:
    """No row would ever do: it is the table's fault, and told before any row is."""
    with pytest.raises(ConnectorError, match="column place is a geometry"):
        row_converter("string", "place", "point", UTC)


def test_parameters_are_bound_one_by_one() -> None:
    """In the statement's order, each as often as it stands there; JSON as text."""
    values = {"a": {"x": [1]}, "b": datetime(2024, 1, 1, tzinfo=UTC), "c": None, "unused": 1}
    assert bindable(("b", "a", "b", "c"), values, PLUS_2) == [
        datetime(2024, 1, 1, 2),  # noqa: DTZ001 - as a DATETIME is
        '{"x":[1]}',
        datetime(2024, 1, 1, 2),  # noqa: DTZ001
        None,
    ]
    with pytest.raises(ParameterError, match="parameter d is missing"):
        bindable(("d",), values, UTC)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (True, True),
        (2**63, 2**63),
        (2**64, Decimal(2**64)),
        (bytearray(b"x"), b"x"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2024, 1, 1), date(2024, 1, 1)),
        ([1, "é"], '[1,"é"]'),
    ],
)
def test_values_of_functions_are_bound(value: Any, bound: Any) -> None:
    """What Python has beyond JSON, as the database can have it."""
    (found,) = bindable(("p",), {"p": value}, UTC)
    assert (found, type(found)) == (bound, type(bound))


@pytest.mark.parametrize("value", [Decimal("1E+999999999"), Decimal("NaN"), {1}, object()])
def test_what_no_column_holds_is_refused(value: Any) -> None:
    """Before it is written out in all its digits."""
    with pytest.raises(ParameterError, match="parameter p"):
        bindable(("p",), {"p": value}, UTC)


def test_zones_are_offsets_or_names() -> None:
    """Both as the server writes them."""
    assert zone_of("-03:30").utcoffset(None) == -timedelta(hours=3, minutes=30)
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    with pytest.raises(ValueError, match="no time zone"):
        zone_of("Nowhere/Atall")


def test_each_server_is_told_the_end_of_a_statement_in_its_own_words() -> None:
    """MariaDB counts seconds, MySQL milliseconds."""
    assert "max_statement_time = 61.500" in session_settings("+00:00", 61.5, mariadb=True)
    assert "max_execution_time = 61500" in session_settings("+00:00", 61.5, mariadb=False)
