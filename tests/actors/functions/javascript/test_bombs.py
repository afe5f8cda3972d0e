"""Scripts that take what they can get: each ends as one call with a clear error, and nobody else notices."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.errors import (
    FunctionError,
    FunctionFailedError,
    FunctionMemoryError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.functions.javascript.messages import Limits
from tests.actors.functions.javascript.running import QUICK, RecordingHost, Scripts

ROOMY = Limits(seconds=20.0, memory=32 * 1024 * 1024)
MEBIBYTE = 1024 * 1024
_GROWTH = 20 * MEBIBYTE


def resident() -> int:
    return int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * 4096


def bomb(  # noqa: PLR0917 - they read as a sentence
    scripts: Scripts,
    source: str,
    error: type[FunctionError],
    told: str,
    limits: Limits,
    host: RecordingHost | None = None,
) -> None:
    """One call ends with the error, this process does not grow, and the next call of another function works."""
    before = resident()
    with pytest.raises(error, match=told):
        scripts.run(source, limits=limits, host=host)
    assert resident() - before < _GROWTH
    assert scripts.run("function execute() { return 'unhurt' }") == "unhurt"


def test_endless_loop(scripts: Scripts) -> None:
    """A loop without an end is over when its time is."""
    since = time.monotonic()
    bomb(scripts, "function execute() { while (true); }", FunctionTimeoutError, "longer than 400 ms", QUICK)
    assert time.monotonic() - since < 10


def test_endless_loop_in_microtasks(scripts: Scripts) -> None:
    """So is one that goes on behind a result that was returned already; V8 does not heed here, the process is ended."""
    source = "function execute() { (async () => { while (true) await null })(); return 1 }"
    bomb(scripts, source, FunctionTimeoutError, "longer than 400 ms", QUICK)


def test_endless_loop_while_loading(scripts: Scripts) -> None:
    """So is one outside of execute."""
    bomb(scripts, "while (true); function execute() {}", FunctionTimeoutError, "longer", QUICK)


def test_deep_recursion(scripts: Scripts) -> None:
    """A recursion without an end is an error of the script, which may catch it."""
    bomb(scripts, "function execute(d) { return execute(d) }", FunctionFailedError, "call stack size exceeded", ROOMY)
    source = (
        "function f() { return f() } function execute() { try { f() } catch (e) { return e instanceof RangeError } }"
    )
    assert scripts.run(source) is True


def test_recursion_into_the_context(scripts: Scripts) -> None:
    """A recursion that runs out of stack within what the prelude does for it harms no later call."""
    version = scripts.version(
        "function execute() { function f() { context.log('x'.repeat(70000)); f() } f() }", limits=ROOMY
    )
    for _ in range(2):
        with pytest.raises(FunctionFailedError, match="call stack size exceeded"):
            scripts.run(version)
    host = RecordingHost()
    assert scripts.run("function execute() { context.log('whole'); return 1 }", host=host) == 1
    assert host.lines == ["whole"]


def test_heap(scripts: Scripts) -> None:
    """Objects without an end are stopped at the memory of the function."""
    source = "function execute() { var a = []; while (true) a.push({a: [1, 2, 3]}) }"
    bomb(scripts, source, FunctionMemoryError, "more memory than 32 MiB", ROOMY)


def test_array_buffer(scripts: Scripts) -> None:
    """So are buffers, which lie outside of V8's heap; where the kernel refuses one first, the script is told."""
    source = "function execute() { var a = []; while (true) a.push(new Uint8Array(1 << 24).fill(1)) }"
    with pytest.raises((FunctionMemoryError, FunctionFailedError), match=r"more memory than|allocation failed"):
        scripts.run(source, limits=ROOMY)
    assert scripts.run("function execute() { return 'unhurt' }") == "unhurt"


def test_one_huge_array_buffer(scripts: Scripts) -> None:
    """A buffer of gigabytes is refused as what it is."""
    source = "function execute() { return new ArrayBuffer(2 ** 32).byteLength }"
    bomb(scripts, source, FunctionFailedError, "allocation failed", ROOMY)


def test_huge_string(scripts: Scripts) -> None:
    """A string that doubles until it is made flat ends for its memory."""
    source = (
        "function execute() { var s = 'x'; for (var i = 0; i < 28; i++) s += s; return s.charCodeAt(12345) + s.length }"
    )
    with pytest.raises((FunctionMemoryError, FunctionFailedError)):
        scripts.run(source, limits=ROOMY)
    assert scripts.run("function execute() { return 'unhurt' }") == "unhurt"


def test_web_assembly(scripts: Scripts) -> None:
    """There is none."""
    bomb(
        scripts,
        "function execute() { new WebAssembly.Memory({initial: 60000}) }",
        FunctionFailedError,
        "WebAssembly",
        ROOMY,
    )


def test_huge_result(scripts: Scripts) -> None:
    """A result that is too large is told with its size, and never comes to the daemon."""
    source = "function execute() { return 'x'.repeat(1 << 23) }"
    bomb(scripts, source, FunctionResultTooLargeError, "8388610 bytes, and may have 1 MiB", ROOMY)


def test_huge_log(scripts: Scripts) -> None:
    """Lines are cut, counted, and held to so many; the call itself is not hurt."""
    host = RecordingHost()
    source = "function execute() { for (var i = 0; i < 1e5; i++) context.log('x'.repeat(1e5)); return 'done' }"
    assert scripts.run(source, host=host) == "done"
    assert sum(map(len, host.lines)) < 512 * 1024
    assert len(host.lines) + host.more_lines == 100_000


def test_requests_of_many_values(scripts: Scripts) -> None:
    """A request whose values would take twenty times its text in the daemon is refused, and the script is told."""
    before = resident()
    source = "async function execute() { await context.publish('t', new Array(1e6).fill([])) }"
    with pytest.raises(FunctionFailedError, match="publish: the arguments have more than 200,000 values"):
        scripts.run(source)
    assert resident() - before < _GROWTH


def test_huge_error(scripts: Scripts) -> None:
    """The message of an error is cut."""
    with pytest.raises(FunctionFailedError) as caught:
        scripts.run("function execute() { throw new Error('x'.repeat(1e6)) }")
    assert len(str(caught.value)) < 10_000


def test_promise_that_never_resolves(scripts: Scripts) -> None:
    """It is told at once where nothing is under way that could settle it, and ends in time where something is."""
    never = "function execute() { return new Promise(() => {}) }"
    bomb(scripts, never, FunctionFailedError, "cannot be settled any more", ROOMY)
    slow = "function execute() { return new Promise(r => setTimeout(r, 50000)) }"
    bomb(scripts, slow, FunctionTimeoutError, "longer than 400 ms", QUICK)


def test_host_that_never_answers(scripts: Scripts) -> None:
    """A call that waits for its host ends in time, awaiting or blocking, also where it catches what it is told."""
    host = RecordingHost({"query": "never"})
    bomb(
        scripts,
        "async function execute() { await context.query('c', 's') }",
        FunctionTimeoutError,
        "longer",
        QUICK,
        host,
    )
    bomb(scripts, "function execute() { context.sync.query('c', 's') }", FunctionTimeoutError, "longer", QUICK, host)
    caught = "function execute() { while (true) try { context.sync.query('c', 's') } catch (e) {} }"
    bomb(scripts, caught, FunctionTimeoutError, "longer", QUICK, host)


def test_regular_expression(scripts: Scripts) -> None:
    """One that backtracks for ever ends in time."""
    source = "function execute() { return /^(a+)+$/.test('a'.repeat(50) + 'b') }"
    bomb(scripts, source, FunctionTimeoutError, "longer", QUICK)


def test_async_generator_storm(scripts: Scripts) -> None:
    """Generators that feed one another for ever end in time."""
    source = """
    async function* storm(n) { for (;;) yield* n > 3 ? [n] : storm(n + 1) }
    async function execute() { var n = 0; for await (var x of storm(0)) n += x; return n }"""
    with pytest.raises((FunctionTimeoutError, FunctionMemoryError)):
        scripts.run(source, limits=QUICK)


@pytest.mark.parametrize(
    "thrown",
    [
        "{ get name() { throw 1 }, get message() { while (false); throw 2 } }",
        "new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 }, has() { throw 3 } })",
        "new Proxy(new Error('x'), { get() { throw 1 } })",
        "Symbol('s')",
        "Object.create(null)",
        "null",
        "undefined",
        "{ toString() { throw 1 }, toJSON() { throw 2 } }",
        "{ [Symbol.toPrimitive]() { return {} }, toJSON() { return undefined } }",
        "Object.assign(new Error(), { message: Symbol(), stack: { toString() { throw 3 } } })",
        "function () {}",
        "12n",
    ],
)
def test_exotic_values_thrown(scripts: Scripts, thrown: str) -> None:
    """Whatever is thrown, at once or later, the call fails with a text."""
    for source in (f"function execute() {{ throw ({thrown}) }}", f"async function execute() {{ throw ({thrown}) }}"):
        with pytest.raises(FunctionFailedError, match=r"version 1: \S"):
            scripts.run(source)


@pytest.mark.parametrize(
    ("result", "limits", "error"),
    [
        ("{ toJSON() { while (true); } }", QUICK, FunctionTimeoutError),
        ("{ toJSON() { throw new Error('no') } }", ROOMY, FunctionFailedError),
        ("{ toJSON() { return { toJSON: this.toJSON } } }", ROOMY, None),
        ("{ get a() { return { get a() { throw 1 } } } }", ROOMY, FunctionFailedError),
        ("new Proxy([], { get(t, k) { return k == 'length' ? 2 ** 31 : 0 } })", QUICK, FunctionError),
        ("(() => { var a = []; for (var i = 0; i < 1e5; i++) a = [a]; return a })()", ROOMY, FunctionFailedError),
    ],
)
def test_json_bombs(scripts: Scripts, result: str, limits: Limits, error: type[FunctionError] | None) -> None:
    """What only does harm while it is written as JSON is still within the call."""
    source = f"function execute() {{ return {result} }}"
    if error is None:
        assert scripts.run(source, limits=limits) == {}
        return
    with pytest.raises(error):
        scripts.run(source, limits=limits)


def test_requests_without_end(scripts: Scripts) -> None:
    """So many requests may be under way at a time; one more is an error of the script."""
    host = RecordingHost({"query": "never"})
    source = "async function execute() { for (;;) await Promise.race([context.query('c', 's'), null]) }"
    bomb(scripts, source, FunctionFailedError, "at most 64 requests", ROOMY, host)


def test_requests_within_requests(scripts: Scripts) -> None:
    """What writes its arguments may ask for more: it counts like everything else."""
    host = RecordingHost({"publish": "never"})
    source = """
    async function execute() {
      let n = 0
      const all = []
      const more = { toJSON() { if (++n < 100) all.push(context.publish('t', more)); return 1 } }
      all.push(context.publish('t', more))
      await Promise.all(all)
    }"""
    bomb(scripts, source, FunctionFailedError, "at most 64 requests", ROOMY, host)


def test_large_requests(scripts: Scripts) -> None:
    """What is under way lies in the daemon's memory, so it is bounded together."""
    host = RecordingHost({"http": "never"})
    source = """
    async function execute() {
      const body = 'x'.repeat(1 << 20)
      const all = []
      for (let i = 0; i < 60; i++) all.push(context.http('POST', 'http://a/', { body }))
      await Promise.all(all)
    }"""
    bomb(scripts, source, FunctionFailedError, "the requests under way are too large together", ROOMY, host)


def test_large_requests_of_a_batch(scripts: Scripts) -> None:
    """Items that leave theirs behind wait until those before them are through."""
    source = "function execute() { context.publish('t', 'x'.repeat(3 << 20)); return 1 }"
    most = [0, 0]

    class Slow(RecordingHost):
        async def call(self, *_: Any) -> Any:
            most[1] += 1
            most[0] = max(most)
            await trio.sleep(0.01)
            most[1] -= 1

    before = resident()
    assert scripts.batch(scripts.version(source, limits=ROOMY), [1] * 30, Slow()) == [1] * 30
    assert most[0] <= 8
    assert resident() - before < 100 * MEBIBYTE


def test_log_lines_within_log_lines(scripts: Scripts) -> None:
    """What shows a value may log more: it counts like everything else."""
    host = RecordingHost()
    source = """
    function execute() {
      let n = 0
      const more = { toJSON() { if (++n < 500) console.log(more, 'x'.repeat(8000)); return 1 } }
      console.log(more, 'x'.repeat(8000))
      return n
    }"""
    scripts.run(source, limits=ROOMY, host=host)
    assert sum(map(len, host.lines)) < 300_000


@pytest.mark.parametrize("line", ["'x'.repeat(4000)", "''"])
def test_log_of_a_batch(scripts: Scripts, line: str) -> None:
    """Many items that log much end well; what is too much is left out, and that is told."""
    host = RecordingHost()
    source = f"function execute(d) {{ for (let i = 0; i < 200; i++) console.log({line}); return 1 }}"
    assert scripts.batch(scripts.version(source), [1] * 200, host) == [1] * 200
    assert sum(len(one) + 64 for one in host.lines) < 1_100_000
    assert len(host.lines) + host.more_lines == 200 * 200


def test_a_script_that_is_no_function_body(scripts: Scripts) -> None:
    """Nothing of it runs, whatever it closes that it has not opened."""
    host = RecordingHost()
    bomb(
        scripts, "}); for (;;) console.log('loading'); (function () {", FunctionFailedError, "SyntaxError", QUICK, host
    )
    assert host.lines == []


def test_timers_that_are_stopped(scripts: Scripts) -> None:
    """They are gone with their call, not with their time."""
    source = "function execute() { for (let i = 0; i < 2000; i++) clearTimeout(setTimeout(() => 0, 60000)); return 1 }"
    version = scripts.version(source, app="timers")
    before = scripts.runtime.statistics().retired
    for _ in range(10):
        scripts.run(version)
    (child,) = [child for child in scripts.runtime._pool.children if child.app == "timers"]
    size = child.process.resident()
    for _ in range(40):
        scripts.run(version)
    assert child.process.resident() - size < 20 * MEBIBYTE
    assert scripts.runtime.statistics().retired == before


def test_timers_without_end(scripts: Scripts) -> None:
    """Likewise timers."""
    bomb(
        scripts,
        "function execute() { for (;;) setTimeout(() => 0, 1e9) }",
        FunctionFailedError,
        "at most 1000 timers",
        ROOMY,
    )


def test_a_batch_with_a_bomb(scripts: Scripts) -> None:
    """An item that takes too much memory fails alone; one that takes too much time takes the rest with it."""
    source = """
    function execute(d) {
      if (d == 2) { var a = []; while (true) a.push({a: [1, 2, 3]}) }
      while (d == 5);
      return d
    }"""
    version = scripts.version(source, limits=Limits(seconds=20.0, memory=32 << 20))
    first, second, third = scripts.batch(version, [1, 2, 3])
    assert (first, third) == ("1", "3")
    assert isinstance(second.error, FunctionMemoryError)
    fourth, fifth, sixth = scripts.batch(scripts.version(source, limits=QUICK), [4, 5, 6])
    assert fourth == "4"
    assert isinstance(fifth.error, FunctionTimeoutError)
    assert isinstance(sixth.error, FunctionTimeoutError)
