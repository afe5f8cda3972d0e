"""kills: processes of scripts that are ended by force, one after the other; nothing of them may remain."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections import Counter
from pathlib import Path

import structlog
import trio

from actors.errors import FunctionLostError, FunctionMemoryError
from actors.functions.javascript.runtime import JavaScriptRuntime
from actors.functions.library import Functions
from config.settings import JavaScriptSettings
from scripts.benchmarks.functions_alone import FunctionsAlone, resident
from scripts.benchmarks.report import Line, show

KILLS = 1_000
MOST_GROWTH_MEGABYTES = 20.0
MOST_DESCRIPTORS = 2.0
# A function whose processes end more often than so is refused for a while.
_KILLS_A_FUNCTION = 3
_BEGUN_SECONDS = 0.1

# V8 gives up where it cannot have what this asks for.
_BOMB = "function execute() { return 'x'.repeat(1 << 28) }"
_WAITING = "function execute() { return new Promise(resolve => setTimeout(resolve, 4000)) }"
_OTHER = "function execute(data) { return JSON.parse(data) }"


async def _ended_by_itself(functions: Functions, name: str) -> str:
    try:
        await functions.call(name, None, "bomber")
    except FunctionMemoryError:
        return "told"
    return "not told"


async def _ended_from_outside(functions: Functions, name: str, runtime: JavaScriptRuntime) -> str:
    told = []

    async def call() -> None:
        try:
            await functions.call(name, None, "bomber")
        except FunctionLostError as error:
            told.append("ended under it, by signal SIGKILL" in str(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        while not (busy := [child for child in runtime._pool.children if child.running]):  # noqa: ASYNC110, SLF001 - nothing tells of it
            await trio.sleep(0.001)
        await trio.sleep(_BEGUN_SECONDS)  # a call that had not begun would run again, in another process
        os.kill(busy[0].process.pid, signal.SIGKILL)
    return "told" if told == [True] else "not told"


async def _kill(figures: dict[str, list[float]], told: Counter[str]) -> None:
    alone = FunctionsAlone(JavaScriptSettings(max_wait=30.0))
    alone.put("other", language="javascript", source=_OTHER)
    async with alone.running() as functions:
        runtime = alone.javascript.now
        if runtime is None:
            raise RuntimeError("there is no runtime")
        await functions.call("other", 1, "bench")
        await _ended_by_itself(functions, _bomb(alone, 0, _BOMB))
        gc.collect()
        size, descriptors, since = resident(), _descriptors(), time.perf_counter()
        for number in range(2 * _KILLS_A_FUNCTION, KILLS + 2 * _KILLS_A_FUNCTION):
            if number % 2:
                told[await _ended_by_itself(functions, _bomb(alone, number, _BOMB))] += 1
            else:
                name = _bomb(alone, number, _WAITING)
                told[await _ended_from_outside(functions, name, runtime)] += 1
        figures["rate"].append(KILLS / (time.perf_counter() - since))
        told["other works"] += await functions.call("other", 1, "bench") == 1
        gc.collect()
        figures["growth"].append((resident() - size) / 1e6)
        figures["descriptors"].append(_descriptors() - descriptors)
    figures["processes"].append(len(_processes()))


def _bomb(alone: FunctionsAlone, number: int, source: str) -> str:
    """The function that is next; one that was refused otherwise would run no more."""
    name = f"bomb{number % 2}"
    if number // 2 % _KILLS_A_FUNCTION == 0:
        alone.functions.remove(name)
        alone.put(name, app="bomber", language="javascript", source=source)
    return name


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _processes() -> list[str]:
    """Processes of ours, zombies among them."""
    return " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()


def kills(*, seconds: float, runs: int, as_json: bool) -> int:  # noqa: ARG001 - as benchmarks are called
    """End processes of scripts by force, from inside and from outside; nothing may remain of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    figures: dict[str, list[float]] = {name: [] for name in ("rate", "growth", "descriptors", "processes")}
    told: Counter[str] = Counter()
    for _ in range(runs):
        trio.run(_kill, figures, told)
    lines = [
        Line("processes ended and replaced", "/s", figures["rate"]),
        Line("growth of the daemon", "MB", figures["growth"], most=MOST_GROWTH_MEGABYTES),
        Line("descriptors more than before", "", figures["descriptors"], most=MOST_DESCRIPTORS),
        Line("processes that remain", "", figures["processes"], most=0.0),
        Line("calls that were not told that they were ended", "", [float(told["not told"])], most=0.0),
        Line("other functions that work afterwards", "", [float(told["other works"])], least=float(runs)),
    ]
    return show("kills", {"kills": KILLS, "runs": runs}, lines, as_json=as_json)
