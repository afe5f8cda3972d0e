"""The law of mapping: the quick way through generated Structs means the same as reading field by field."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.records import StoredRecord, TopicPartition
from actors.task_runner.fields import MISSING, UnmappableError, compile_fields
from actors.task_runner.mapping import compile_mapping
from config.resources import Field, Task, TaskSource, TaskTarget

STEPS = st.sampled_from(["a", "b", "0", "a0"])
PATHS = st.lists(STEPS, min_size=1, max_size=3).map(".".join)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "json"])
FIELDS = st.lists(st.tuples(TYPES, PATHS, st.booleans()), min_size=1, max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "5", "-1", "1.5", "true", "null", "x"]),
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.dictionaries(STEPS, inner, max_size=4) | st.lists(inner, max_size=3), max_leaves=12
)


@given(FIELDS, st.lists(DOCUMENTS, max_size=5))
def test_the_quick_way_is_the_plain_way(kinds: list[tuple[str, str, bool]], documents: list[object]) -> None:
    """For any fields and any JSON, a batch has the rows and the reasons that reading each field by itself gives."""
    fields = tuple(
        Field(name=f"f{at}", type=kind, path=path, required=required)  # type: ignore[arg-type]
        for at, (kind, path, required) in enumerate(kinds)
    )
    task = Task(
        name="t",
        app="a",
        source=TaskSource(topic="t", fields=fields),
        target=TaskTarget(connection="c", table="T", columns={field.name: field.name for field in fields}),
    )
    records = [StoredRecord(None, msgspec.json.encode(one), 0, (), at) for at, one in enumerate(documents)]
    read = compile_fields(fields)
    rows, reasons = [], []
    for record in records:
        try:
            rows.append(tuple(None if one is MISSING else one for one in read(record.value)))
        except UnmappableError as error:
            reasons.append((record.offset, str(error)))
    result = compile_mapping(task).apply(TopicPartition("t", 0), records)
    assert repr(result.rows) == repr(rows)
    assert [(one.record.offset, one.reason) for one in result.rejected] == reasons
