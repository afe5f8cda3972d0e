"""Fields that functions make of records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.errors import (
    ConfigurationError,
    FunctionBusyError,
    FunctionLostError,
    FunctionMissingError,
    FunctionTimeoutError,
)
from actors.records import StoredRecord, TopicPartition
from actors.task_runner.function_fields import FunctionFields
from actors.task_runner.mapping import Mapped, compile_mapping
from config.resources import Field, Task, TaskSource, TaskTarget
from tests.actors.task_runner.world import World
from tests.fakes.functions import FakeFunctions

SOURCE = TopicPartition("reports", 3)


def task(*fields: Field, columns: dict[str, str] | None = None) -> Task:
    return Task(
        name="to-table",
        app="city",
        source=TaskSource(topic="reports", start="earliest", fields=fields),
        target=TaskTarget(connection="db", table="T", columns=columns or {field.name: field.name for field in fields}),
    )


def stored(*values: Any) -> list[StoredRecord]:
    return [
        StoredRecord(b"k", one if isinstance(one, bytes) else msgspec.json.encode(one), 1000 + at, (), at)
        for at, one in enumerate(values)
    ]


async def filled(functions: FakeFunctions, made: Task, *values: Any) -> Mapped:
    mapped = compile_mapping(made).apply(SOURCE, stored(*values))
    told: list[str] = []
    return await FunctionFields(made, functions).fill(SOURCE, mapped, lambda: None, told.append)


async def test_a_function_makes_a_field_of_the_whole_record_or_of_a_part() -> None:
    """It stands beside fields that are read, in the order of the columns; one batch is one call, as the task's app."""
    functions = FakeFunctions(
        whole=lambda item: f"{item['topic']}-{item['partition']}@{item['offset']}:{item['key']}",
        part=lambda i: i["value"] * 2,
    )
    made = task(
        Field(name="n", type="integer", path="n"),
        Field(name="twice", type="integer", path="n", function="part"),
        Field(name="id", function="whole"),
        columns={"Id": "id", "N": "n", "Twice": "twice", "Also": "twice"},
    )
    mapped = await filled(functions, made, {"n": 1}, {"n": 2})
    assert mapped.rows == [("reports-3@0:k", 1, 2, 2), ("reports-3@1:k", 2, 4, 4)]
    assert functions.batches == [2, 2]
    assert {app for _, _, app in functions.calls} == {"city"}
    assert functions.callers == {"task to-table"}
    assert functions.calls[-1][1]["value"] == {"n": 2}


async def test_a_record_that_a_function_cannot_take_is_rejected_alone() -> None:
    """Whether it is no JSON, lacks the part, makes the function fail, or makes it answer what does not fit."""

    def number(item: Any) -> Any:
        if item["value"] == 2:
            raise ValueError("secret 2")
        return "x" if item["value"] == 3 else None if item["value"] == 4 else item["value"]

    made = task(Field(name="n", type="integer", path="n", function="number"))
    mapped = await filled(
        FakeFunctions(number=number), made, {"n": 1}, b"?", {"m": 1}, {"n": 2}, {"n": 3}, {"n": 4}, {"n": 5}
    )
    assert mapped.rows == [(1,), (5,)]
    assert [record.offset for record in mapped.records] == [0, 6]
    assert [(one.record.offset, one.reason.partition(";")[0]) for one in mapped.rejected] == [
        (1, "the value is not JSON: JSON is malformed: invalid character"),
        (2, "field n: n is missing, but required"),
        (3, "field n: function number failed"),
        (4, "field n: function number answers a text that cannot be read as integer"),
        (5, "field n: function number answers null, but the field is required"),
    ]
    assert "secret" not in str([one.reason for one in mapped.rejected])


async def test_why_a_function_was_ended_stands_with_the_record(autojump_clock: Any) -> None:
    """Those are our words, and tell nothing of the record."""

    def number(item: Any) -> Any:
        if item["value"] == 1:
            raise FunctionTimeoutError("number", 1, "it took longer than 5000 ms (`timeout_ms`), and was ended")
        return item["value"]

    made = task(Field(name="n", type="integer", path="n", function="number"))
    (rejected,) = (await filled(FakeFunctions(number=number), made, {"n": 1}, {"n": 2})).rejected
    assert rejected.reason == (
        "field n: function number failed: it took longer than 5000 ms (`timeout_ms`), and was ended; "
        "penstock function runs number tells more"
    )


async def test_an_optional_field_may_be_nothing() -> None:
    """Without its part the function is not asked, and what it answers may be null."""
    functions = FakeFunctions(nothing=lambda _item: None)
    made = task(Field(name="n", path="n", function="nothing", required=False))
    assert (await filled(functions, made, {"n": 1}, {"m": 1})).rows == [(None,), (None,)]
    assert functions.batches == [1]


async def test_large_batches_are_several_calls() -> None:
    """A function has one time-out for all of a call."""
    functions = FakeFunctions(number=lambda item: item["value"])
    made = task(Field(name="n", type="integer", path="n", function="number"))
    mapped = await filled(functions, made, *({"n": n} for n in range(1100)))
    assert mapped.rows == [(n,) for n in range(1100)]
    assert functions.batches == [500, 500, 100]


def test_a_task_without_functions_to_call_cannot_run() -> None:
    """It is told so, in place of writing NULL."""
    with pytest.raises(ConfigurationError, match="none can be called"):
        FunctionFields(task(Field(name="n", function="number")), None)


async def test_a_task_holds_while_its_function_cannot_be_called(autojump_clock: Any) -> None:
    """Nothing is skipped or put aside; once it can be called the task goes on."""
    functions = FakeFunctions(number=lambda item: item["value"]["value"])
    functions.shut["number"] = FunctionMissingError("number", 0, "it is not deployed")
    world = World()
    world.reports[0].report(1, 2)
    made = task(Field(name="n", type="integer", function="number"))
    async with world.running(made, functions=functions) as running:
        await world.until(lambda: "not deployed" in running.status().holding)
        functions.shut.clear()
        await world.until(lambda: running.status().rows == 2)
        assert running.status().dead == 0


async def test_a_task_says_so_while_a_part_of_a_batch_waits_for_its_function(autojump_clock: Any) -> None:
    """Also where only what is called again waits, after a call that was lost."""
    functions = FakeFunctions(number=lambda item: item["value"]["value"])
    functions.shut["number"] = FunctionLostError("number", 1, "its process ended under it")
    world = World()
    world.reports[0].report(1, 2)
    async with world.running(task(Field(name="n", type="integer", function="number")), functions=functions) as running:
        await world.until(lambda: "its process ended" in running.status().holding)
        functions.shut["number"] = FunctionBusyError("number", 1, "it is refused for another 2 s")
        await world.until(
            lambda: running.status().holding == "function number version 1: it is refused for another 2 s"
        )
        functions.shut.clear()
        await world.until(lambda: running.status().rows == 2)
        await world.until(lambda: not running.status().holding)


async def test_a_record_that_crashes_the_function_is_put_aside(autojump_clock: Any) -> None:
    """It does not hold its partition for ever: the others are written, and it is found with its reason."""

    def number(item: Any) -> Any:
        if item["value"]["value"] == 13:
            raise FunctionLostError("number", 1, "its process ended under it, by signal SIGSEGV")
        return item["value"]["value"]

    world = World()
    world.reports[0].report(1, 2, 13, 4, 5)
    made = task(Field(name="n", type="integer", function="number"))
    async with world.running(made, functions=FakeFunctions(number=number)) as running:
        await world.until(lambda: running.status().rows == 4)
        assert running.status().dead == 1
    (letter,) = world.dead.stored
    assert b"by signal SIGSEGV; so it was 3 times in a row, called with nothing else" in dict(letter.headers)["reason"]
