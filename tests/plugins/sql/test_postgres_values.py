"""Text from a URL, and JSON's values, as PostgreSQL's types want them."""

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from plugins.api import ParameterError
from plugins.sql.postgres_values import REFUSED_VALUES, convert_parameter, row_converter

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("value", "type_name", "expected"),
    [
        (None, "int4", None),
        ("5", "int4", 5),
        (5, "int8", 5),
        ("-32768", "int2", -32768),
        ("1.5", "float8", 1.5),
        ("0.1", "numeric", Decimal("0.1")),
        (0.1, "numeric", Decimal("0.1")),
        ("true", "bool", True),
        ("f", "bool", False),
        (True, "bool", True),
        ("2024-02-29", "date", date(2024, 2, 29)),
        ("2024-02-29T12:00:00", "timestamp", datetime(2024, 2, 29, 12)),  # noqa: DTZ001 - a timestamp has no zone
        ("2024-02-29T12:00:00+02:00", "timestamp", datetime(2024, 2, 29, 10)),  # noqa: DTZ001
        ("2024-02-29T12:00:00Z", "timestamptz", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        (1000, "timestamptz", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("12:30", "time", time(12, 30)),
        ("PT90S", "interval", timedelta(seconds=90)),
        (str(UUID), "uuid", UUID),
        ('{"a": [1]}', "jsonb", {"a": [1]}),
        ({"a": 1}, "json", {"a": 1}),
        ("\\x00ff", "bytea", b"\x00\xff"),
        ("text", "bytea", b"text"),
        (5, "text", "5"),
        (True, "varchar", "true"),
        ("[1, 2]", "int4[]", [1, 2]),
        ("{1,NULL,3}", "int4[]", [1, None, 3]),
        ("{}", "text[]", []),
        (["a", None], "text[]", ["a", None]),
        ("sunny", "weather", "sunny"),
    ],
)
def test_parameters_become_what_the_statement_asks_for(value: object, type_name: str, expected: object) -> None:
    """Each type takes its text, and the values that JSON has for it."""
    assert convert_parameter(value, "p", type_name) == expected


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        ("five", "int4"),
        ("5.5", "int8"),
        ("", "int4"),
        ("1_000", "int4"),
        ("99999999999", "int4"),
        (True, "int4"),
        ("much", "float8"),
        ("much", "numeric"),
        ("1_0", "numeric"),
        (True, "float8"),
        ("perhaps", "bool"),
        ("2024-02-30", "date"),
        ("yesterday", "timestamptz"),
        (float("nan"), "timestamptz"),
        ("xyz", "uuid"),
        ("{a", "jsonb"),
        ("\\xzz", "bytea"),
        ("5", "int4[]"),
        ("[1, null, {}]", "int4[]"),
        ("[" * 100_000, "int4[]"),
        ("[" * 100_000, "jsonb"),
        ({"a": 1}, "int4"),
        (5, "uuid"),
        (5, "date"),
    ],
)
def test_what_does_not_fit_names_parameter_and_type_and_never_the_value(value: object, type_name: str) -> None:
    """The caller learns what to change; what was sent is not repeated."""
    with pytest.raises(ParameterError) as caught:
        convert_parameter(value, "lot", type_name)
    assert str(caught.value) == f"parameter lot cannot be converted to {type_name}"


@pytest.mark.parametrize(
    ("field_type", "type_name"),
    [("string", "text"), ("integer", "int8"), ("number", "float8"), ("boolean", "bool"), ("json", "jsonb")],
)
def test_values_that_fit_cost_nothing(field_type: str, type_name: str) -> None:
    """The columns that the project makes take the rows as they are."""
    assert row_converter(field_type, type_name) is None


@pytest.mark.parametrize(
    ("field_type", "type_name", "value", "expected"),
    [
        ("integer", "timestamptz", 1000, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("number", "numeric", 0.1, Decimal("0.1")),
        ("string", "int4", "7", 7),
        ("integer", "text", 7, "7"),
        ("json", "text", "abc", '"abc"'),
        ("string", "uuid", str(UUID), UUID),
        ("string", "uuid", None, None),
    ],
)
def test_rows_fit_tables_of_other_people(field_type: str, type_name: str, value: object, expected: object) -> None:
    """A column of another type takes what can be converted without doubt."""
    convert = row_converter(field_type, type_name)
    assert convert is not None
    assert convert(value) == expected


def test_a_row_value_that_does_not_fit_is_refused() -> None:
    """A text that is no number does not become one."""
    convert = row_converter("string", "int4")
    assert convert is not None
    with pytest.raises(REFUSED_VALUES):
        convert("seven")
