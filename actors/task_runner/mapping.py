"""Records to rows: a task's fields and columns, compiled once, applied to whole batches."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from actors.errors import ConfigurationError
from actors.ports import TargetTable
from actors.records import StoredRecord, TopicPartition
from actors.task_runner.fields import MISSING, UNREADABLE, Int64, UnmappableError, compile_fields
from config.resources import Field, Task

Row = tuple[Any, ...]
Columns = Callable[[TopicPartition, Sequence[Any], Sequence[StoredRecord]], Iterable[Any]]
"""From the source, what was read of its records, and the records: the values of one column, in order."""


class Rejected(NamedTuple):
    """A record that cannot become a row, and why; the reason holds none of the record's values."""

    record: StoredRecord
    reason: str


class Mapped(NamedTuple):
    """A batch as rows; `records[i]` is where `rows[i]` came from."""

    rows: list[Row]
    records: Sequence[StoredRecord]
    rejected: list[Rejected]


class Mapping(NamedTuple):
    """A compiled mapping: the table with its columns, and the function that turns records into rows of it."""

    table: TargetTable
    apply: Callable[[TopicPartition, Sequence[StoredRecord]], Mapped]


def compile_mapping(task: Task) -> Mapping:
    """Check a task's fields and columns, and prepare what a batch needs.

    Types are those of the fields; `$topic` and `$key` are strings, `$partition`, `$offset` and `$timestamp` (in
    milliseconds since the epoch) integers. A value of another JSON type is converted where nothing is lost (see
    `fields.py`): a number into a string field becomes its digits, "5" and 5.0 are integers, "true" and 1 are booleans.
    A key that is not UTF-8 is written with backslash escapes. What a function makes is None until it is filled in (see
    `function_fields.py`).

    Raises:
        ConfigurationError: a column names no field, a key is no column, a field is there twice or its path is empty.
    """
    _check(task)
    reader = _compile_reader(tuple(field for field in task.source.fields if field.function is None))
    made = {field.name for field in task.source.fields if field.function is not None}
    columns = [_later if source in made else _column(source, reader) for source in task.target.columns.values()]
    types = {field.name: field.type for field in task.source.fields} | _METADATA_TYPES
    table = TargetTable(
        name=task.target.table,
        columns=tuple((column, types[source]) for column, source in task.target.columns.items()),
        key=task.target.key,
    )

    def apply(source: TopicPartition, records: Sequence[StoredRecord]) -> Mapped:
        values, kept, rejected = _read_all(reader, records)
        rows = list(zip(*(column(source, values, kept) for column in columns), strict=True))
        return Mapped(rows, kept, rejected)

    return Mapping(table, apply)


# --- records -> values -----------------------------------------------------------------------------------------------


class _Reader(NamedTuple):
    """Reads a record's value: `decode` is quick and takes what fits exactly, `convert` takes all that can be converted.

    `fields` tells how to get a field's value out of what either of them returns.
    """

    decode: Callable[[Any], Any]
    convert: Callable[[bytes | None], Any]
    fields: abc.Mapping[str, Callable[[Any], Any]]


def _read_all(
    reader: _Reader, records: Sequence[StoredRecord]
) -> tuple[list[Any], Sequence[StoredRecord], list[Rejected]]:
    decode, values = reader.decode, list[Any]()
    rejected: list[Rejected] = []
    for record in records:
        try:
            values.append(decode(record[1]))
        except _NOT_EXACT:
            try:
                values.append(reader.convert(record.value))
            except UnmappableError as error:
                rejected.append(Rejected(record, str(error)))
    if not rejected:
        return values, records, rejected
    without = {record.offset for record, _ in rejected}
    return values, [record for record in records if record.offset not in without], rejected


# A record without a value is a TypeError to the decoder.
_NOT_EXACT = (*UNREADABLE, TypeError)


def _compile_reader(fields: tuple[Field, ...]) -> _Reader:
    tree = _tree(fields)
    if tree is None:
        return _plain_reader(fields)
    document, paths = _struct(tree, "Document")
    read = compile_fields(fields)
    ways = [_path(field).split(".") for field in fields]

    def convert(value: bytes | None) -> Any:
        return msgspec.convert(_nested(ways, read(value)), document)

    getters = {field.name: attrgetter(paths[_path(field)]) for field in fields}
    return _Reader(msgspec.json.Decoder(document).decode, convert, getters)


def _plain_reader(fields: tuple[Field, ...]) -> _Reader:
    """For paths into arrays, and for paths one of which leads through another: no Struct can be made of these."""
    read = compile_fields(fields)

    def convert(value: bytes | None) -> Any:
        return [None if one is MISSING else one for one in read(value)]

    def decode(value: Any) -> Any:
        try:
            return convert(value)
        except UnmappableError as error:
            raise ValueError from error

    return _Reader(decode, convert, {field.name: itemgetter(index) for index, field in enumerate(fields)})


_Tree = dict[str, Any]
"""Steps of paths: each leads to a Field or to a tree of further steps."""


def _tree(fields: tuple[Field, ...]) -> _Tree | None:
    """The fields by the steps of their paths; None where they do not make a tree of objects."""
    root: _Tree = {}
    for field in fields:
        *way, last = _path(field).split(".")
        node: Any = root
        for step in way:
            node = node.setdefault(step, {})
            if isinstance(node, Field):
                return None
        if any(step.isdecimal() for step in (*way, last)):
            return None
        known = node.setdefault(last, field)
        if not isinstance(known, Field) or (known.type, known.required) != (field.type, field.required):
            return None
    return root


def _path(field: Field) -> str:
    """The path of a field that is read where it stands; what a function makes is not among those."""
    return field.path or ""


_EXACT: dict[str, Any] = {
    "string": str,
    "integer": Int64,
    "number": float,
    "boolean": bool,
    # Everything but null, which counts as no value.
    "json": dict | list | str | int | float | bool,
}


def _struct(tree: _Tree, name: str) -> tuple[type[msgspec.Struct], dict[str, str]]:
    """A Struct that decodes just these fields, and for each field's path the attribute path in the Struct.

    Attributes are numbered, because a member's name in JSON need not be an identifier.
    """
    attributes: list[Any] = []
    paths: dict[str, str] = {}
    rename: dict[str, str] = {}
    for index, (step, node) in enumerate(tree.items()):
        attribute = f"a{index}"
        rename[attribute] = step
        if isinstance(node, Field):
            paths[step] = attribute
            exact = _EXACT[node.type]
            attributes.append((attribute, exact) if node.required else (attribute, exact | None, None))
            continue
        inner, below = _struct(node, f"{name}_{attribute}")
        paths |= {f"{step}.{path}": f"{attribute}.{rest}" for path, rest in below.items()}
        attributes.append((attribute, inner) if _has_required(node) else _optional(attribute, inner))
    # Decoded values are trees that nothing else points into: no work for the cycle collector.
    made = msgspec.defstruct(name, attributes, rename=rename, gc=False, kw_only=True)
    return made, paths


def _has_required(tree: _Tree) -> bool:
    return any(node.required if isinstance(node, Field) else _has_required(node) for node in tree.values())


def _optional(attribute: str, inner: type[msgspec.Struct]) -> tuple[str, Any, Any]:
    """An object whose fields are all optional: where it is missing they all are."""
    return attribute, inner, msgspec.field(default_factory=inner)


def _nested(ways: Sequence[Sequence[str]], values: Sequence[Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for (*way, last), value in zip(ways, values, strict=True):
        if value is not MISSING:
            node = document
            for step in way:
                node = node.setdefault(step, {})
            node[last] = value
    return document


# --- values -> columns -----------------------------------------------------------------------------------------------

_METADATA_TYPES = {
    "$topic": "string",
    "$partition": "integer",
    "$offset": "integer",
    "$timestamp": "integer",
    "$key": "string",
}
_METADATA: dict[str, Columns] = {
    "$topic": lambda source, _, records: repeat(source.topic, len(records)),
    "$partition": lambda source, _, records: repeat(source.partition, len(records)),
    "$offset": lambda _, __, records: [record.offset for record in records],
    "$timestamp": lambda _, __, records: [record.timestamp for record in records],
    "$key": lambda _, __, records: [
        record.key.decode(errors="backslashreplace") if record.key is not None else None for record in records
    ],
}


def _later(_source: TopicPartition, _values: Sequence[Any], records: Sequence[StoredRecord]) -> Iterable[Any]:
    return repeat(None, len(records))


def _column(source: str, reader: _Reader) -> Columns:
    if source in _METADATA:
        return _METADATA[source]
    get = reader.fields[source]
    return lambda _, values, __: map(get, values)


# --- what a person may have written wrongly --------------------------------------------------------------------------


def _check(task: Task) -> None:
    names = [field.name for field in task.source.fields]
    for field in task.source.fields:
        if names.count(field.name) > 1:
            raise ConfigurationError(f"task {task.name}: source.fields has {field.name} more than once; name each once")
        if field.path is not None and "" in field.path.split("."):
            raise ConfigurationError(
                f"task {task.name}: field {field.name} has the path {field.path!r} with an empty step; "
                "write names separated by single dots"
            )
    for column, source in task.target.columns.items():
        if source not in names and source not in _METADATA:
            raise ConfigurationError(
                f"task {task.name}: column {column} is to take {source}, which is no field of the source; "
                f"fields are {', '.join(names) or 'none'}, and {', '.join(_METADATA)}"
            )
    for column in task.target.key:
        if column not in task.target.columns:
            raise ConfigurationError(f"task {task.name}: key column {column} is none of the columns; add it there")
