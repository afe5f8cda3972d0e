"""The library of functions: who may call what, how many at a time, and what is remembered."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from actors.errors import (
    ConfigurationError,
    FunctionBusyError,
    FunctionFailedError,
    FunctionMissingError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
    PenstockError,
)
from actors.functions.declaration import FunctionContext
from actors.functions.messages import FunctionFailure
from actors.functions.python_runtime import PythonProgram
from actors.functions.runs import Run
from tests.actors.functions.world import World, declared, function_of


@pytest.fixture
def world() -> World:
    return World()


async def double(data: Any, context: FunctionContext) -> Any:
    context.log("doubled", data=data)
    return {"twice": data * 2}


async def fail(data: Any, context: FunctionContext) -> Any:
    raise ValueError(f"no {data}")


async def wait(data: Any, context: FunctionContext) -> Any:
    await trio.sleep(data)
    return data


def runs_of(world: World, name: str) -> list[Run]:
    history = world.functions.history(name)
    assert history is not None
    return history.runs()


async def test_a_function_is_called_by_its_name(world: World) -> None:
    """JSON in, JSON out; what it answers is its caller's own, whatever becomes of what the function keeps."""
    kept: list[Any] = []

    async def keep(data: Any, context: FunctionContext) -> Any:
        kept.append(data)
        return kept

    world.module("keep", declared(keep))
    world.put("keep")
    answer = await world.functions.call("keep", 1, "a")
    assert answer == [1]
    answer.append(2)
    assert kept == [1]


@pytest.mark.parametrize(
    ("name", "app", "reason"),
    [
        ("nothing", "a", "function nothing: there is none of this name"),
        ("double", "b", "belongs to app a, which does not share it with app b"),
        ("draft", "a", "not deployed: penstock function deploy draft"),
        ("off", "a", "disabled"),
        ("lost", "a", "function lost version 1: there is no plugin module nowhere"),
    ],
)
async def test_what_cannot_be_called_says_why(world: World, name: str, app: str, reason: str) -> None:
    """A function that is not there, not deployed, disabled, without its code or another app's: each says which."""
    world.module("double", declared(double))
    world.put("double")
    world.put("draft", 0, module="double")
    world.put("off", module="double", enabled=False)
    world.put("lost", module="nowhere")
    with pytest.raises(FunctionMissingError) as caught:
        await world.functions.call(name, 1, app)
    assert reason in str(caught.value)
    assert world.functions.problem(name, app) == str(caught.value)


async def test_an_app_calls_what_is_shared_with_it_with_the_rights_of_its_owner(world: World) -> None:
    """As a view of a database does: whoever may call it reaches through it what its owner reaches."""

    async def ask(data: Any, context: FunctionContext) -> Any:
        return [context.app, context.caller, await context.query("db", "SELECT 1")]

    world.module("ask", declared(ask))
    world.put("ask", shared_with=("b",))
    assert await world.functions.call("ask", 1, "b") == ["a", "b", [{"id": 1, "id_2": 2}]]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ValueError("no"), "ValueError: no ("),
        (PenstockError("not to be had"), "not to be had"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt ("),
        (BaseExceptionGroup("one", [KeyboardInterrupt()]), "KeyboardInterrupt"),
        (ExceptionGroup("many", [KeyError("k")]), "KeyError: 'k'"),
        (trio.TooSlowError(), "TooSlowError ("),
    ],
)
async def test_what_a_function_raises_is_told(world: World, raised: BaseException, reason: str) -> None:
    """Function, version and why; where it was raised, unless it is this program's own word. It ends nothing else."""

    async def bad(data: Any, context: FunctionContext) -> Any:
        raise raised

    world.module("bad", declared(bad))
    world.put("bad", 7)
    with pytest.raises(FunctionFailedError) as caught:
        await world.functions.call("bad", 1, "a")
    assert str(caught.value).startswith("function bad version 7: ")
    assert reason in str(caught.value)
    assert ("test_library.py:" in str(caught.value)) == (not isinstance(raised, PenstockError))


async def test_an_answer_is_json_of_a_bounded_size(world: World) -> None:
    """What JSON does not know, and what is larger than `max_result_bytes`, is that call's error."""
    answers: list[Any] = [object(), "x" * 50, {1: {2}}]

    async def next_one(data: Any, context: FunctionContext) -> Any:
        return answers.pop(0)

    world.module("next", declared(next_one))
    world.put("next", max_result_bytes=20)
    with pytest.raises(FunctionFailedError, match="cannot be written as JSON"):
        await world.functions.call("next", 1, "a")
    with pytest.raises(FunctionResultTooLargeError, match="52 bytes, and may have 20 bytes"):
        await world.functions.call("next", 1, "a")
    assert await world.functions.call("next", 1, "a") == {"1": [2]}


async def test_what_a_library_raises_is_told_with_the_place_of_the_function(world: World) -> None:
    """Its author looks there first: the library's own line says nothing of the call."""

    async def parse(data: Any, context: FunctionContext) -> Any:
        return json.loads("no json")

    world.module("parse", declared(parse))
    world.put("parse")
    with pytest.raises(FunctionFailedError, match=r"JSONDecodeError: .*test_library\.py:\d+\)"):
        await world.functions.call("parse", 1, "a")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b'"\\ud83d"', "no JSON: a text has half a character in it"), (b"{", "no JSON: Input data was truncated")],
)
async def test_an_answer_that_is_no_json_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    """Scripts write half of a surrogate pair into JSON, which says nothing of it and is not to be read everywhere."""

    class Answers(PythonProgram):
        async def call(self, data: Any, context: FunctionContext) -> bytes:  # noqa: ARG002 - as Program says
            return answer

    monkeypatch.setattr(world, "make", lambda function, version: Answers(function, version, world._find))
    world.module("double", declared(double))
    world.put("double")
    with pytest.raises(FunctionFailedError, match=reason):
        await world.functions.call("double", 1, "a")


async def test_what_a_function_raises_in_place_of_its_time_out_is_that_call_s(
    world: World, autojump_clock: trio.abc.Clock
) -> None:
    """A nursery of its own may bring both at once: the time-out is told, and nothing goes further."""

    async def angry() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    async def both(data: Any, context: FunctionContext) -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(angry)
            nursery.start_soon(trio.sleep_forever)

    world.module("both", declared(both))
    world.put("both", timeout_ms=1000)
    with pytest.raises(FunctionTimeoutError):
        await world.functions.call("both", 1, "a")
    [answer] = await world.functions.call_batch("both", [1], "a")
    assert isinstance(answer.error, FunctionTimeoutError)


async def test_a_function_has_so_much_time(world: World, autojump_clock: trio.abc.Clock) -> None:
    """Past `timeout_ms` it is ended, and its place is free again."""
    world.module("wait", declared(wait))
    world.put("wait", timeout_ms=2000, concurrency=1)
    with trio.fail_after(2.5):
        with pytest.raises(FunctionTimeoutError, match="`timeout_ms`, 2000"):
            await world.functions.call("wait", 60, "a")
        assert await world.functions.call("wait", 0, "a") == 0


async def test_so_many_calls_run_and_so_many_wait(world: World, autojump_clock: trio.abc.Clock) -> None:
    """One more than `concurrency` and `queue` together is refused at once; the others are all answered."""
    world.module("wait", declared(wait))
    world.put("wait", concurrency=2, queue=1)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await world.functions.call("wait", 1, "a"))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        statistics = world.functions.statistics("wait")
        assert statistics is not None
        assert (statistics.running, statistics.waiting) == (2, 1)
        with pytest.raises(FunctionBusyError, match="`concurrency` 2, `queue` 1"):
            await world.functions.call("wait", 1, "a")
    assert answers == [1, 1, 1]
    statistics = world.functions.statistics("wait")
    assert statistics is not None
    assert statistics.outcomes == {"busy": 1, "done": 3}
    assert statistics.errors == 1


async def test_calls_in_flight_finish_with_what_they_began_with(world: World, autojump_clock: trio.abc.Clock) -> None:
    """A new version is for those who call from then on."""

    async def first(data: Any, context: FunctionContext) -> Any:
        await trio.sleep(1)
        return ["first", context.version]

    async def second(data: Any, context: FunctionContext) -> Any:
        return ["second", context.version]

    world.module("first", declared(first))
    world.module("second", declared(second))
    world.put("f", 1, module="first")
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await world.functions.call("f", 1, "a"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        world.put("f", 2, module="second")
        await ask()
    assert answers == [["second", 2], ["first", 1]]


async def test_a_version_that_runs_goes_on_whoever_may_call_it_now(world: World) -> None:
    """Other rights and other words make nothing anew; other code, another version or a changed module does."""
    world.module("double", declared(double))
    world.put("f", 1, module="double")
    edition = world.functions.edition("f")
    world.put("f", 1, module="double", shared_with=("b",))
    assert world.functions.edition("f") is edition
    assert await world.functions.call("f", 1, "b") == {"twice": 2}
    world.put("f", 1, module="double")
    with pytest.raises(FunctionMissingError, match="does not share it with app b"):
        await world.functions.call("f", 1, "b")
    world.functions.put(function_of("f", module="double"), 1, anew=True)
    assert world.functions.edition("f") is not edition
    edition = world.functions.edition("f")
    world.put("f", 2, module="double")
    assert world.functions.edition("f") is not edition


async def some(items: Sequence[Any], context: FunctionContext) -> list[Any]:
    return [ValueError("odd") if one % 2 else one * 10 for one in items]


async def test_a_batch_is_answered_in_order_and_each_item_fails_alone(world: World) -> None:
    """With a batch function and without one: as many results as items, failures in their places."""

    async def one(data: Any, context: FunctionContext) -> Any:
        if data % 2:
            raise ValueError("odd")
        return data * 10

    world.module("one", declared(one))
    world.module("many", declared(one, some))
    for name in ("one", "many"):
        world.put(name)
        first, second, third = await world.functions.call_batch(name, [2, 3, 4], "a")
        assert (first, third) == (20, 40)
        assert isinstance(second, FunctionFailure)
        assert f"function {name} version 1: ValueError: odd" in str(second.error)
        history = world.functions.history(name)
        assert history is not None
        (run,) = history.runs()
        assert (run.items, run.failed, run.outcome, run.result_bytes) == (3, 1, "done", 4)
        assert history.runs(failed=True) == [run]
    assert await world.functions.call_batch("one", [], "a") == []


async def test_an_item_without_a_batch_function_has_the_time_of_a_call(
    world: World, autojump_clock: trio.abc.Clock
) -> None:
    """One that takes too long is ended alone; together they may take longer than one call."""
    world.module("wait", declared(wait))
    world.put("wait", timeout_ms=1000)
    results = await world.functions.call_batch("wait", [0.9, 5, 0.8, 0.7], "a")
    assert [one for one in results if not isinstance(one, FunctionFailure)] == [0.9, 0.8, 0.7]
    assert isinstance(results[1].error, FunctionTimeoutError)


@pytest.mark.parametrize("answer", [[1], None, "ab"])
async def test_a_batch_function_answers_each_item(world: World, answer: Any) -> None:
    """As many results as items, or none of them can be trusted."""

    async def wrong(items: Sequence[Any], context: FunctionContext) -> Any:
        return answer

    world.module("wrong", declared(double, wrong))
    world.put("wrong")
    with pytest.raises(FunctionFailedError, match="must answer with a list of 2 results"):
        await world.functions.call_batch("wrong", [1, 2], "a")


async def test_runs_are_remembered_and_bounded(world: World) -> None:
    """The last few of all and the last few that failed, with what they logged; long logs are cut, and counted."""

    async def chatty(data: Any, context: FunctionContext) -> Any:
        for number in range(data):
            context.log("a line of some length", number=number)
        if data > 5:
            raise ValueError("too much")
        return None

    world.module("chatty", declared(chatty))
    world.put("chatty")
    with pytest.raises(FunctionFailedError):
        await world.functions.call("chatty", 9, "a")
    for _ in range(5):
        await world.functions.call("chatty", 1, "a")
    history = world.functions.history("chatty")
    assert history is not None
    assert [run.number for run in history.runs()] == [6, 5, 4]
    (failed,) = history.runs(failed=True)
    assert (failed.number, failed.outcome, failed.at, failed.caller) == (1, "failed", 1_000_000, "a")
    assert "too much" in failed.reason
    assert [line.text for line in failed.lines] == ["a line of some length number=0", "a line of..."]
    assert failed.left_out == 7
    assert history.run(1) == failed
    assert history.run(2) is None
    assert (history.calls, history.outcomes) == (6, {"failed": 1, "done": 5})


async def test_what_brought_no_result_has_failed(world: World) -> None:
    """A call that failed is one value that failed, a batch that failed as a whole all of its values."""

    async def fail_all(items: Sequence[Any], context: FunctionContext) -> list[Any]:
        raise ValueError("none of them")

    world.module("double", declared(double))
    world.module("fail", declared(fail, fail_all))
    world.put("double")
    world.put("fail")
    await world.functions.call("double", 1, "a")
    with pytest.raises(FunctionFailedError):
        await world.functions.call("fail", 1, "a")
    with pytest.raises(FunctionFailedError):
        await world.functions.call_batch("fail", [1, 2, 3], "a")
    (run,) = runs_of(world, "double")
    assert (run.items, run.failed) == (1, 0)
    assert [(run.items, run.failed) for run in runs_of(world, "fail")] == [(3, 3), (1, 1)]


async def test_a_run_tells_what_called_it(world: World) -> None:
    """Beside the app, what of it did; nothing where nobody said, and a test is one."""
    world.module("double", declared(double))
    world.put("double", shared_with=("b",))
    await world.functions.call("double", 1, "b", "route lots")
    await world.functions.call_batch("double", [1, 2], "a", "rule r")
    await world.functions.trial(function_of("double"), 1)
    told = [(run.caller, run.called_by) for run in runs_of(world, "double")]
    assert told == [("a", "test"), ("a", "rule r"), ("b", "route lots")]
    await world.functions.call("double", 1, "a")
    assert runs_of(world, "double")[0].called_by == ""


async def test_waiting_is_no_time_of_a_run(world: World) -> None:
    """What a call waited for its turn is told apart from what it took, of single calls and of batches."""
    world.module("wait", declared(wait))
    world.put("wait", concurrency=1, queue=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.functions.call, "wait", 0.2, "a")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(world.functions.call, "wait", 0.01, "a")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(world.functions.call_batch, "wait", [0.01], "a")
    batch, one, first = runs_of(world, "wait")
    assert first.waited == 0
    for run in (one, batch):
        assert run.waited > 0.1
        assert 0.005 < run.seconds < 0.15


async def test_a_reason_is_bounded(world: World) -> None:
    """Whatever a function says of its failure, alone or of one of a batch: so much of it is remembered."""

    async def long(data: Any, context: FunctionContext) -> Any:
        raise ValueError("x" * 1_000_000)

    world.module("long", declared(long))
    world.put("long")
    with pytest.raises(FunctionFailedError):
        await world.functions.call("long", 1, "a")
    await world.functions.call_batch("long", [1], "a")
    assert [len(run.reason) for run in runs_of(world, "long")] == [4096, 4096]


async def test_a_call_that_its_language_refuses_was_busy(world: World) -> None:
    """No process for a script: it did not run, and so did not fail."""

    async def refused(data: Any, context: FunctionContext) -> Any:
        raise FunctionBusyError("f", 1, "10000 calls wait for a process already")

    class Refusing:
        call = call_batch = staticmethod(refused)

        def close(self) -> None: ...

    world.make = lambda *_: Refusing()  # type: ignore[method-assign,assignment,return-value]
    world.put("f")
    with pytest.raises(FunctionBusyError):
        await world.functions.call("f", 1, "a")
    (run,) = runs_of(world, "f")
    assert (run.outcome, run.failed) == ("busy", 1)


async def test_a_test_runs_the_copy_that_it_is_given(world: World) -> None:
    """Whatever is deployed: its result or error, its log and its time; it is remembered as version 0."""
    world.module("double", declared(double))
    world.module("fail", declared(fail))
    world.put("f", 3, module="fail")
    tried = await world.functions.trial(function_of("f", module="double"), 4)
    assert (tried.result, tried.error, tried.outcome) == ({"twice": 8}, "", "done")
    assert [line.text for line in tried.lines] == ["doubled data=4"]
    tried = await world.functions.trial(function_of("f", module="fail"), 4)
    assert (tried.result, tried.outcome) == (None, "failed")
    assert "ValueError: no 4" in tried.error
    history = world.functions.history("f")
    assert history is not None
    assert [run.version for run in history.runs()] == [0, 0]
    with pytest.raises(ConfigurationError, match="no plugin module nowhere"):
        await world.functions.trial(function_of("f", module="nowhere"), 4)


async def test_who_does_not_wait_for_the_end_leaves_nothing_behind(world: World) -> None:
    """A caller that is cut off gives its place back, and the run says so."""
    world.module("wait", declared(wait))
    world.put("wait", concurrency=1)
    with trio.move_on_after(0.01):
        await world.functions.call("wait", 60, "a")
    history = world.functions.history("wait")
    assert history is not None
    assert history.runs()[0].outcome == "abandoned"
    assert await world.functions.call("wait", 0, "a") == 0


async def test_an_item_that_blocks_is_not_charged_to_the_next(world: World) -> None:
    """A function that goes on too long without waiting has its result; there are as many results as items."""

    async def blocking(data: Any, context: FunctionContext) -> Any:
        if data == 63:
            time.sleep(0.05)  # noqa: ASYNC251 - that is what it is about
        return data

    world.module("blocking", declared(blocking))
    world.put("blocking", timeout_ms=20)
    assert await world.functions.call_batch("blocking", list(range(64)), "a") == list(range(64))
    assert await world.functions.call_batch("blocking", list(range(65)), "a") == list(range(65))


async def test_empty_log_lines_cost_something(world: World) -> None:
    """However short lines are, a run remembers a bounded number of them."""

    async def empty(data: Any, context: FunctionContext) -> Any:
        for _ in range(1000):
            context.log("")

    world.module("empty", declared(empty))
    world.put("empty")
    await world.functions.call("empty", None, "a")
    history = world.functions.history("empty")
    assert history is not None
    assert len(history.runs()[0].lines) < 10


@pytest.mark.parametrize("answer", [b'"\xff"', b'{"\xed\xa0\x80":1}', b"{", b"[" * 100_000, b""])
async def test_an_answer_that_cannot_be_read_is_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """Whatever a program answers, its caller gets a result or an error of the function; in a batch likewise."""

    class Broken(PythonProgram):
        async def call(self, *_: object) -> bytes:
            return answer

        async def call_batch(self, items: Sequence[Any], *_: object) -> list[bytes | FunctionFailure]:
            return [answer] * len(items)

    monkeypatch.setattr("tests.actors.functions.world.PythonProgram", Broken)
    world.module("broken", declared(double))
    world.put("broken")
    with pytest.raises(FunctionFailedError, match="its answer is no JSON"):
        await world.functions.call("broken", 1, "a")
    assert all(isinstance(one, FunctionFailure) for one in await world.functions.call_batch("broken", [1, 2], "a"))
