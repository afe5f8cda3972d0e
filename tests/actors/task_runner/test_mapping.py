"""Records to rows."""

from typing import Any

import msgspec
import pytest

from actors.errors import ConfigurationError
from actors.records import StoredRecord, TopicPartition
from actors.task_runner.mapping import Mapped, compile_mapping
from config.resources import Field, Task, TaskSource, TaskTarget

SOURCE = TopicPartition("reports", 3)


def task(fields: list[Field], columns: dict[str, str] | None = None, key: tuple[str, ...] = ()) -> Task:
    columns = columns if columns is not None else {field.name: field.name for field in fields}
    return Task(
        name="to-table",
        app="city",
        source=TaskSource(topic="reports", fields=tuple(fields)),
        target=TaskTarget(connection="db", table="T", columns=columns, key=key),
    )


def stored(*values: Any) -> list[StoredRecord]:
    """Records whose values are these: bytes as they are, None as no value, the rest as JSON."""
    return [
        StoredRecord(
            b"k", one if one is None or isinstance(one, bytes) else msgspec.json.encode(one), 1000 + at, (), at
        )
        for at, one in enumerate(values)
    ]


def mapped(fields: list[Field], *values: Any) -> Mapped:
    return compile_mapping(task(fields)).apply(SOURCE, stored(*values))


def only(kind: str, value: Any) -> Any:
    """The value that a field of this type gets, or the reason why there is none."""
    result = mapped([Field(name="x", type=kind, path="a.x")], {"a": {"x": value}})
    return result.rows[0][0] if result.rows else result.rejected[0].reason


def test_the_parking_lot() -> None:
    """Nested fields become columns, in the order of the columns."""
    fields = [Field(name="deviceId", path="data.deviceId"), Field(name="status", path="data.status")]
    mapping = compile_mapping(task(fields, {"Status": "status", "DeviceId": "deviceId"}, ("DeviceId",)))
    report = {"device": {"name": "lot-1"}, "data": {"deviceId": "lot-1", "status": "0", "more": [1]}}
    result = mapping.apply(SOURCE, stored(report, report))
    assert result.rows == [("0", "lot-1")] * 2
    assert mapping.table.columns == (("Status", "string"), ("DeviceId", "string"))
    assert mapping.table.key == ("DeviceId",)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "a", "a"),
        ("string", 5, "5"),
        ("string", 860000000000001, "860000000000001"),
        ("string", 1.5, "1.5"),
        ("string", True, "true"),
        ("integer", 5, 5),
        ("integer", 5.0, 5),
        ("integer", "5", 5),
        ("integer", -(2**63), -(2**63)),
        ("number", 5, 5.0),
        ("number", 5.5, 5.5),
        ("number", "5.5", 5.5),
        ("boolean", True, True),
        ("boolean", 0, False),
        ("boolean", "true", True),
        ("json", {"a": [1, None]}, {"a": [1, None]}),
        ("json", 7, 7),
    ],
)
def test_values_are_converted_where_nothing_is_lost(kind: str, value: Any, expected: Any) -> None:
    """A value of another JSON type becomes one of the field's type if that is the same value."""
    result = only(kind, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "what"),
    [
        ("string", {"a": 1}, "an object"),
        ("string", [1], "an array"),
        ("integer", 5.5, "a number"),
        ("integer", "five", "a text"),
        ("integer", True, "a boolean"),
        ("integer", 2**63, "a number"),
        ("number", "nan", "a text"),
        ("number", "much", "a text"),
        ("boolean", 2, "a number"),
        ("boolean", "yes", "a text"),
    ],
)
def test_values_that_do_not_fit_are_rejected(kind: str, value: Any, what: str) -> None:
    """The reason names field, path and what was found there, and not the value."""
    assert only(kind, value) == f"field x: a.x is {what} that cannot be read as {kind}"


def test_what_is_missing_or_null() -> None:
    """A required field must be there and not null; an optional one is then null, whatever of its path is missing."""
    required = [Field(name="x", path="a.x")]
    absent = [{}, {"a": {}}, {"a": None}, {"a": {"x": None}}, [], 7]
    reasons = [one.reason for one in mapped(required, *absent).rejected]
    missing = "field x: a.x is missing, but required"
    assert reasons == [missing, missing, missing, "field x: a.x is null, but required", missing, missing]
    optional = [Field(name="x", path="a.x", required=False)]
    assert mapped(optional, *absent).rows == [(None,)] * 6


def test_what_is_no_json_is_rejected() -> None:
    """Whatever the bytes are, the record is rejected with a reason that is the same for its like."""
    values = [b"", b"{", b"\xff", b'{"x": "\xff"}', b"[" * 100_000, None, b'{"x": 1e999}', b'"\\ud800"']
    result = mapped([Field(name="x", path="x")], *values)
    assert not result.rows
    assert len(result.rejected) == len(values)
    assert result.rejected[5].reason == "the record has no value"
    others = [one.reason for one in result.rejected if one.record.value is not None]
    assert all(reason.startswith("the value is not JSON: ") and "byte" not in reason for reason in others)


def test_bad_records_do_not_disturb_good_ones() -> None:
    """Rows keep their order and stand beside the records they came from."""
    result = mapped([Field(name="x", type="integer", path="x")], {"x": 1}, b"?", {"x": "2"}, {}, {"x": 3})
    assert result.rows == [(1,), (2,), (3,)]
    assert [record.offset for record in result.records] == [0, 2, 4]
    assert [one.record.offset for one in result.rejected] == [1, 3]


def test_steps_into_arrays() -> None:
    """A number is an array's element, from 0, or an object's member of that name."""
    fields = [Field(name="x", type="number", path="readings.0.value"), Field(name="y", path="readings.1", type="json")]
    result = mapped(fields, {"readings": [{"value": 1}, 2]}, {"readings": {"0": {"value": 3}, "1": "b"}})
    assert result.rows == [(1.0, 2), (3.0, "b")]
    assert "readings.1 is missing" in mapped(fields, {"readings": [{"value": 1}]}).rejected[0].reason
    assert mapped([Field(name="x", path="a.-1")], {"a": [1]}).rejected


def test_a_path_may_lead_through_another() -> None:
    """A whole object and a part of it can both be fields, and so can one path by two types."""
    fields = [
        Field(name="all", type="json", path="data"),
        Field(name="id", path="data.id"),
        Field(name="number", type="integer", path="data.id"),
    ]
    assert mapped(fields, {"data": {"id": "5"}}).rows == [({"id": "5"}, "5", 5)]


def test_names_that_are_no_identifiers() -> None:
    """A member's name may be anything that has no dot."""
    fields = [Field(name="x", path="class.my key"), Field(name="y", path="ß.$ref"), Field(name="z", path="class.a0")]
    assert mapped(fields, {"class": {"my key": "1", "a0": "3"}, "ß": {"$ref": "2"}}).rows == [("1", "2", "3")]


def test_metadata_columns() -> None:
    """Columns may take where a record stands, when it came, and its key."""
    columns = {"t": "$topic", "p": "$partition", "o": "$offset", "ts": "$timestamp", "k": "$key"}
    mapping = compile_mapping(task([], columns, ("p", "o")))
    records = stored({}, {}, {})
    records[1] = records[1]._replace(key=None)
    records[2] = records[2]._replace(key=b"\xffx")
    assert mapping.apply(SOURCE, records).rows == [
        ("reports", 3, 0, 1000, "k"),
        ("reports", 3, 1, 1001, None),
        ("reports", 3, 2, 1002, "\\xffx"),
    ]
    assert mapping.table.columns == (
        ("t", "string"),
        ("p", "integer"),
        ("o", "integer"),
        ("ts", "integer"),
        ("k", "string"),
    )


def test_an_empty_batch_has_no_rows() -> None:
    """Nothing in, nothing out, also where a column is the same for all."""
    assert compile_mapping(task([], {"t": "$topic"})).apply(SOURCE, []) == Mapped([], [], [])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (task([Field(name="x", path="x")], {"c": "y"}), "column c is to take y, which is no field"),
        (task([Field(name="x", path="x")], {"c": "$when"}), "no field"),
        (task([Field(name="x", path="x")], {"c": "x"}, ("d",)), "key column d is none of the columns"),
        (task([Field(name="x", path="x"), Field(name="x", path="y")]), "x more than once"),
        (task([Field(name="x", path="a..b")]), "empty step"),
    ],
)
def test_what_does_not_fit_together_is_told(bad: Task, words: str) -> None:
    """Fields, columns and keys are checked before anything runs, and the text says what to change."""
    with pytest.raises(ConfigurationError, match=words.replace("$", r"\$")):
        compile_mapping(bad)
