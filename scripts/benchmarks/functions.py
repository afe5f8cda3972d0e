"""functions: calls of functions in both languages, and what a function that misbehaves costs the others."""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import cycle

import msgspec
import structlog
import trio

from actors.errors import FunctionBusyError, FunctionError
from actors.functions.library import Functions
from config.settings import JavaScriptSettings
from scripts.benchmarks.functions_alone import FunctionsAlone, resident
from scripts.benchmarks.report import Line, show

CALLERS = 8
BATCH = 100
LEAST_JAVASCRIPT = 2_000.0
MOST_PYTHON_MICROSECONDS = 100.0
MOST_TIMES_SLOWER = 2.0
MOST_GROWTH_MEGABYTES = 20.0
# How often the neighbour of the bombs is called, in seconds.
PACE = 0.01

DATA = {"lot": 7, "cars": [{"plate": f"AB-{number:06d}", "since": number * 1_000_000} for number in range(20)]}
ONE_KILOBYTE = {**DATA, "note": "x" * (1024 - len(msgspec.json.encode(DATA)) - 10)}

ECHO = "function execute(data) { var car = JSON.parse(data); car.lot += 1; return car }"
BOMBS = {
    "loop": "function execute() { while (true); }",
    "microtasks": "function execute() { (async () => { while (true) await null })(); return 1 }",
    "heap": "function execute() { var all = []; while (true) all.push({a: [1, 2, 3]}) }",
    "buffers": "function execute() { var all = []; while (true) all.push(new Uint8Array(1 << 24).fill(1)) }",
    "string": "function execute() { return 'x'.repeat(1 << 28) }",
    "expression": "function execute() { return /^(a+)+$/.test('a'.repeat(50) + 'b') }",
    "result": "function execute() { return 'x'.repeat(1 << 24) }",
    "recursion": "function execute(data) { return execute(data) }",
}


async def _rate(call: Callable[[], Awaitable[object]], seconds: float, callers: int) -> float:
    """How often a second something is done by so many at a time."""
    done = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    since = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(one)
    return done / (time.perf_counter() - since)


async def _speed(seconds: float, figures: Mapping[str, list[float]]) -> None:
    bench = FunctionsAlone(JavaScriptSettings(max_processes=1, max_processes_per_app=1))
    bench.put("javascript", language="javascript", source=ECHO)
    bench.put("other", language="javascript", source=ECHO)
    bench.put("python", language="python", module="echo")
    async with bench.running() as functions:

        async def call(name: str) -> None:
            await functions.call(name, ONE_KILOBYTE, "bench")

        async def batch() -> None:
            await functions.call_batch("javascript", [ONE_KILOBYTE] * BATCH, "bench")

        since = time.perf_counter()
        await call("javascript")
        figures["process"].append((time.perf_counter() - since) * 1e3)
        since = time.perf_counter()
        await call("other")
        figures["script"].append((time.perf_counter() - since) * 1e3)
        await _rate(lambda: call("javascript"), 0.5, 1)
        figures["one"].append(await _rate(lambda: call("javascript"), seconds, CALLERS))
        figures["batch"].append(BATCH * await _rate(batch, seconds, 1))
        figures["python"].append(1e6 / await _rate(lambda: call("python"), seconds, 1))


async def _beside_bombs(seconds: float, figures: Mapping[str, list[float]]) -> dict[str, int]:
    bench = FunctionsAlone(JavaScriptSettings())
    bench.put("neighbour", language="javascript", source=ECHO)
    for name, source in BOMBS.items():
        bench.put(name, app="bomber", language="javascript", source=source, timeout_ms=500)
    async with bench.running() as functions:
        await _paced(functions, 1.0)
        calm = await _paced(functions, seconds)
        before = resident()
        for figure, throwers in (("beside", [list(BOMBS)]), ("among", [[name] for name in BOMBS])):
            async with trio.open_nursery() as nursery:
                for names in throwers:
                    nursery.start_soon(_throw, functions, names)
                took = await _paced(functions, 2 * seconds)
                nursery.cancel_scope.cancel()
            figures[figure].append(_p99(took) / _p99(calm))
        gc.collect()
        figures["growth"].append((resident() - before) / 1e6)
        figures["calm"].append(_p99(calm) * 1e3)
        runtime = bench.javascript.now
        return dict(runtime.statistics().kills) if runtime is not None else {}


async def _throw(functions: Functions, names: Sequence[str]) -> None:
    """One bomb after the other."""
    for name in cycle(names):
        try:
            await functions.call(name, None, "bomber")
        except FunctionBusyError:
            await trio.sleep(0.1)
        except FunctionError:
            pass


async def _paced(functions: Functions, seconds: float) -> list[float]:
    """Call the neighbour every few milliseconds; how long each call took, in seconds."""
    took = []
    end = trio.current_time() + seconds
    while (since := trio.current_time()) < end:
        begun = time.perf_counter()
        await functions.call("neighbour", ONE_KILOBYTE, "bench")
        took.append(time.perf_counter() - begun)
        await trio.sleep_until(since + PACE)
    return took


def _p99(figures: Sequence[float]) -> float:
    return statistics.quantiles(figures, n=100)[98]


def functions(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure both languages, and a function beside others that misbehave."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    names = ("process", "script", "one", "batch", "python", "calm", "beside", "among", "growth")
    figures: dict[str, list[float]] = {name: [] for name in names}
    kills: dict[str, int] = {}
    for _ in range(runs):
        trio.run(_speed, seconds, figures)
        for reason, count in trio.run(_beside_bombs, seconds, figures).items():
            kills[reason] = kills.get(reason, 0) + count
    lines = [
        Line("JavaScript, one process", "calls/s", figures["one"], least=LEAST_JAVASCRIPT),
        Line(f"JavaScript, batches of {BATCH}", "items/s", figures["batch"]),
        Line("JavaScript, first call, process started", "ms", figures["process"]),
        Line("JavaScript, first call, process running", "ms", figures["script"]),
        Line("Python", "us/call", figures["python"], most=MOST_PYTHON_MICROSECONDS),
        Line("p99 of a function", "ms", figures["calm"]),
        Line("p99 of it beside one bomb after the other", "times", figures["beside"], most=MOST_TIMES_SLOWER),
        Line(f"p99 of it among {len(BOMBS)} bombs at a time", "times", figures["among"]),
        Line("growth of the daemon beside bombs", "MB", figures["growth"], most=MOST_GROWTH_MEGABYTES),
    ]
    facts = {"callers": CALLERS, "in and out": "1 KB each", "runs": runs, "processes ended by force": kills}
    return show("functions", facts, lines, as_json=as_json)
