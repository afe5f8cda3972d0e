"""Fields that functions make of records: asked for many records at once, after the fields that are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from actors.errors import (
    ConfigurationError,
    FunctionError,
    FunctionLostError,
    FunctionMemoryError,
    FunctionTimeoutError,
)
from actors.functions.batches import call_each
from actors.functions.messages import FunctionCalls, FunctionFailure
from actors.records import StoredRecord, TopicPartition
from actors.task_runner.fields import MISSING, UNREADABLE, UnmappableError, compile_fields, converted
from actors.task_runner.mapping import Mapped, Rejected
from config.resources import Field, Task

# What one call gets: a function has one time-out for all of them.
_ITEMS_A_CALL = 500
# What these say is the same for every record. What others say may have the record in it, or its size.
_TOLD = (FunctionTimeoutError, FunctionMemoryError, FunctionLostError)


class _FunctionField(NamedTuple):
    field: Field
    function: str
    columns: tuple[int, ...]
    """Where its values go in a row."""
    read: Callable[[bytes | None], Any]
    """What the function gets as `value`; MISSING where an optional field is not there."""


class FunctionFields:
    """Fills the columns of one task that functions make.

    A function is called as the task's app. A record for which it fails, or answers what does not fit the field, cannot
    be mapped; the reason tells nothing of what is in the record. Where an optional field has a path and nothing is
    there, the function is not asked.

    Raises:
        ConfigurationError: there are no functions here.
    """

    def __init__(self, task: Task, functions: FunctionCalls | None) -> None:
        if functions is None:
            raise ConfigurationError(f"task {task.name}: functions make fields of it, and none can be called here")
        sources = tuple(task.target.columns.values())
        self._functions = functions
        self._app = task.app
        self._task = f"task {task.name}"
        self._fields = tuple(_compiled(field, sources) for field in task.source.fields if field.function is not None)

    async def fill(
        self, source: TopicPartition, mapped: Mapped, beat: Callable[[], None], waits: Callable[[str], None]
    ) -> Mapped:
        """The rows with these columns; records that cannot be mapped for them are rejected.

        `beat` and `waits` as `between` and `waits` of `call_each`.

        Raises:
            FunctionError: a function cannot be called now.
        """
        rows = [list(row) for row in mapped.rows]
        reasons: dict[int, str] = {}
        for field in self._fields:
            for numbers, items in _parts(field, source, mapped.records, reasons):
                results = await call_each(
                    self._functions, field.function, items, self._app, self._task, between=beat, waits=waits
                )
                _put(field, numbers, results, rows, reasons)
        if not reasons:
            return Mapped([tuple(row) for row in rows], mapped.records, mapped.rejected)
        kept = [number for number in range(len(rows)) if number not in reasons]
        rejected = [Rejected(mapped.records[number], reason) for number, reason in sorted(reasons.items())]
        return Mapped(
            [tuple(rows[number]) for number in kept],
            [mapped.records[number] for number in kept],
            sorted([*mapped.rejected, *rejected], key=lambda one: one.record.offset),
        )


def _parts(
    field: _FunctionField, source: TopicPartition, records: Sequence[StoredRecord], reasons: dict[int, str]
) -> Iterator[tuple[list[int], list[Any]]]:
    """What the function is asked, a call at a time, and for which of the records; `reasons` for those without."""
    asked: list[tuple[int, Any]] = []
    for number, record in enumerate(records):
        if number in reasons:
            continue
        try:
            value = field.read(record.value)
        except UnmappableError as error:
            reasons[number] = str(error)
            continue
        if value is not MISSING:
            asked.append((number, _item(value, record, source)))
    for start in range(0, len(asked), _ITEMS_A_CALL):
        part = asked[start : start + _ITEMS_A_CALL]
        yield [number for number, _ in part], [item for _, item in part]


def _put(
    field: _FunctionField,
    numbers: Sequence[int],
    results: Sequence[Any],
    rows: Sequence[list[Any]],
    reasons: dict[int, str],
) -> None:
    """Each result in its row; `reasons` for those that are none."""
    for number, result in zip(numbers, results, strict=True):
        try:
            value = _value(field, result)
        except UnmappableError as error:
            reasons[number] = str(error)
            continue
        for column in field.columns:
            rows[number][column] = value


def _compiled(field: Field, sources: Sequence[str]) -> _FunctionField:
    columns = tuple(at for at, name in enumerate(sources) if name == field.name)
    return _FunctionField(field, field.function or "", columns, _reader(field))


def _reader(field: Field) -> Callable[[bytes | None], Any]:
    if field.path is None:
        return _whole
    plain = msgspec.structs.replace(field, function=None, type="json")
    read = compile_fields((plain,))

    def one(value: bytes | None) -> Any:
        found = read(value)[0]
        return MISSING if found is None else found

    return one


def _whole(value: bytes | None) -> Any:
    if value is None:
        raise UnmappableError("the record has no value")
    try:
        return msgspec.json.decode(value)
    except UNREADABLE as error:
        raise UnmappableError(f"the value is not JSON: {type(error).__name__}") from None


def _item(value: Any, record: StoredRecord, source: TopicPartition) -> dict[str, Any]:
    return {
        "value": value,
        "key": record.key.decode(errors="backslashreplace") if record.key is not None else None,
        "topic": source.topic,
        "partition": source.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
    }


def _value(field: _FunctionField, result: Any) -> Any:
    where = f"field {field.field.name}: function {field.function}"
    if isinstance(result, FunctionFailure):
        raise UnmappableError(f"{where} {_failed(result.error)}")
    if result is None and field.field.required:
        raise UnmappableError(f"{where} answers null, but the field is required")
    return None if result is None else converted(result, field.field.type, f"{where} answers")


def _failed(error: FunctionError) -> str:
    tells = f"penstock function runs {error.function} tells"
    return f"failed: {error.reason}; {tells} more" if isinstance(error, _TOLD) else f"failed; {tells} why"
