"""Ends at awkward moments: of processes, of calls, of what they have left behind."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import trio

from actors.errors import FunctionMemoryError
from actors.functions.javascript.messages import Limits
from tests.actors.functions.javascript.running import RecordingHost, call, running, script, until
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
