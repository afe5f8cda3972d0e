"""Ends at awkward moments: of processes, of calls, of what they have left behind."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import trio

from actors.errors import FunctionError, FunctionMemoryError
from actors.functions.javascript.messages import Limits
from actors.functions.javascript.runtime import JavaScriptRuntime
from tests.actors.functions.javascript.running import SETTINGS, RecordingHost, call, running, script, until
from tests.actors.functions.javascript.test_calls_ahead import ONE_PROCESS


async def test_what_is_seen_through_has_its_time_though_its_process_is_gone(nothing_leaks: None) -> None:
    """A call has its results and waits for what it had begun: no longer than its time, whatever the process does."""
    host = RecordingHost({"publish": "never"})
    version = script("function execute() { context.publish('t', 1); return 1 }", limits=Limits(seconds=1.0))
    results: list[Any] = []

    async def one() -> None:
        results.append(await call(runtime, version, None, host))

    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        await call(runtime, script("function execute() { return 1 }", "other"))
        nursery.start_soon(one)
        await until(lambda: any(child._settling for child in runtime._pool.children))
        os.kill(runtime._pool.children[0].process.pid, signal.SIGKILL)
        with trio.fail_after(5):
            await until(lambda: results == [1])


async def test_a_daemon_that_stood_still_ends_nobody(nothing_leaks: None) -> None:
    """What was over in time is not ended because the daemon looks late: its results are read first."""
    version = script("function execute() { return 1 }", limits=Limits(0.3))
    results: list[Any] = []

    async def one() -> None:
        results.append(await call(runtime, version))

    async with running(ONE_PROCESS) as runtime:
        await one()
        (child,) = runtime._pool.children
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            while child.running is None:
                await trio.lowlevel.checkpoint()
            time.sleep(1.0)  # noqa: ASYNC251 - that is what this is about
            child.watch(trio.current_time())
        assert results == [1, 1]
        assert await call(runtime, version) == 1
        assert runtime.statistics().kills == {}


async def test_timers_of_a_call_without_memory_die_with_it(nothing_leaks: None) -> None:
    """V8 stopped it and could not tidy up: nothing of it runs any more, neither at rest nor beside another call."""
    version = script(
        """
        function execute(d) {
          if (d !== '"bomb"') return new Promise(r => setTimeout(() => r(1), 100))
          for (var i = 0; i < 50; i++) setInterval(() => { context.log('undead'); context.publish('t', 1) }, 1)
          var a = []
          while (true) a.push({a: [1, 2, 3]})
        }""",
        limits=Limits(seconds=10.0, memory=16 * 1024 * 1024),
    )
    async with running(ONE_PROCESS) as runtime:
        for _ in range(3):
            host, hurt = RecordingHost(), RecordingHost()
            assert await call(runtime, version, None, host) == 1
            with pytest.raises(FunctionMemoryError):
                await call(runtime, version, "bomb", hurt)
            await trio.sleep(0.3)
            assert await call(runtime, version, None, host) == 1
            assert host.lines == host.asked == []
            assert runtime.statistics().kills.get("broken", 0) == 0


@pytest.mark.parametrize("busy", [True, False])
async def test_a_runtime_that_is_cancelled_leaves_nothing(nothing_leaks: None, busy: bool) -> None:  # noqa: FBT001 - pytest's
    """Its supervisor ends it in the middle of a call: who called is told, and processes and descriptors go."""
    told: list[FunctionError] = []
    version = script("function execute(d) { if (d === '1') return new Promise(r => setTimeout(r, 9000)); return 1 }")

    async def one() -> None:
        try:
            await call(runtime, version, 1)
        except FunctionError as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            runtime = JavaScriptRuntime(SETTINGS)
            async with trio.open_nursery() as life:
                await life.start(lambda task_status: runtime.run(task_status.started))  # noqa: B023 - it is called now
                await call(runtime, version)
                if busy:
                    nursery.start_soon(one)
                    await until(lambda: runtime.statistics().running == 1)  # noqa: B023 - likewise
                life.cancel_scope.cancel()
    assert len(told) == 3 * busy


async def test_a_process_that_runs_out_of_numbers_is_replaced(nothing_leaks: None) -> None:
    """After some billions of calls, without that anybody notices."""
    version = script("function execute() { return 1 }")
    async with running(ONE_PROCESS) as runtime:
        await call(runtime, version)
        runtime._pool.children[0]._numbers = (1 << 32) - 3
        for _ in range(6):
            assert await call(runtime, version) == 1
        assert runtime.statistics().retired == 1
