"""Processes as they come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from actors.errors import (
    FunctionBusyError,
    FunctionError,
    FunctionFailedError,
    FunctionLostError,
    FunctionMemoryError,
    FunctionTimeoutError,
)
from actors.functions.javascript import child as child_module
from actors.functions.javascript.call import Ending
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.javascript.process import Process
from actors.functions.javascript.runtime import JavaScriptRuntime
from config.settings import JavaScriptSettings
from tests.actors.functions.javascript.running import (
    PATIENT,
    QUICK,
    SETTINGS,
    RecordingHost,
    call,
    descriptors,
    running,
    script,
    until,
)

_HOUSE = str(Path(__file__).parents[4])


ECHO = script("function execute(d) { return JSON.parse(d) }", "echo")

# V8 gives up where it cannot have what this asks for.
KILLING = "function execute() { return 'x'.repeat(1 << 28) }"


async def test_a_thousand_calls_at_once(nothing_leaks: None) -> None:
    """They all come through, in a bounded number of processes."""
    results: list[int] = []

    async def one(number: int) -> None:
        results.append(await call(runtime, ECHO, number))

    async with running() as runtime, trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(one, number)
    assert sorted(results) == list(range(1000))
    assert runtime.statistics().calls == 1000
    assert runtime.statistics().children == 0
    assert runtime.statistics().starts <= SETTINGS.max_processes_per_app + 1


async def test_kills_leak_nothing(nothing_leaks: None) -> None:
    """Process after process that is ended by force is replaced; neither descriptors nor zombies remain."""
    async with running() as runtime:
        assert await call(runtime, ECHO, 1) == 1
        before = descriptors()
        for number in range(8):
            with pytest.raises(FunctionMemoryError):
                await call(runtime, script(KILLING, f"bomb{number}"))
        assert await call(runtime, ECHO, 2) == 2
        assert runtime.statistics().kills == {"memory": 8}
        assert descriptors() <= before + 8


async def test_a_process_that_is_killed_is_replaced(nothing_leaks: None) -> None:
    """The call in flight fails and says so, those in other processes do not notice, the next ones work."""
    host = RecordingHost({"query": "never"})
    outcomes: dict[str, object] = {}

    async def one(name: str, version: FunctionVersion) -> None:
        try:
            outcomes[name] = await call(runtime, version, name, host)
        except FunctionError as error:
            outcomes[name] = error

    async with running() as runtime:
        await call(runtime, ECHO, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "hit", script("async function execute() { await context.query('c', 's') }"))
            await until(lambda: bool(host.asked))
            slow = script("function execute(d) { return new Promise(r => setTimeout(() => r(d), 1500)) }", "slow")
            nursery.start_soon(one, "spared", slow)
            await trio.sleep(0.5)
            (hit,) = [child for child in runtime._pool.children if child.busy and child.function == "f"]
            os.kill(hit.process.pid, signal.SIGKILL)
        assert outcomes["spared"] == '"spared"'
        assert isinstance(outcomes["hit"], FunctionLostError)
        assert "its process ended under it, by signal SIGKILL; what it had done until then is done" in str(
            outcomes["hit"]
        )
        assert await call(runtime, ECHO, 2) == 2
        assert runtime.statistics().kills == {"lost": 1}


async def test_a_process_that_dies_at_rest_is_not_noticed(nothing_leaks: None) -> None:
    """The next call runs in another one."""
    async with running() as runtime:
        await call(runtime, ECHO, 1)
        for child in list(runtime._pool.children):
            os.kill(child.process.pid, signal.SIGKILL)
        assert await call(runtime, ECHO, 2) == 2


async def test_a_caller_that_leaves_ends_its_call(nothing_leaks: None) -> None:
    """A cancelled call ends soon, and its process takes other calls."""
    async with running() as runtime:
        await call(runtime, ECHO, 1)
        with trio.move_on_after(0.2) as scope:
            await call(runtime, script("function execute() { while (true); }"))
        assert scope.cancelled_caught
        await until(lambda: not runtime.statistics().running)
        assert await call(runtime, ECHO, 2) == 2


async def test_a_caller_that_leaves_after_the_results_leaves_a_process(nothing_leaks: None) -> None:
    """What a call had begun and nobody waits for any more is dropped, and its process takes other calls."""
    host = RecordingHost({"publish": "never"})
    async with running() as runtime:
        await call(runtime, ECHO, 1)
        with trio.move_on_after(0.3) as scope:
            await call(runtime, script("function execute() { context.publish('t', 1); return 1 }"), None, host)
        assert scope.cancelled_caught
        await until(lambda: not runtime.statistics().running)
        assert not any(child.busy for child in runtime._pool.children)
        assert await call(runtime, ECHO, 2) == 2


async def test_a_process_that_dies_as_its_call_ends_is_let_go(nothing_leaks: None) -> None:
    """Whether its results have come by then or not: nobody is given that process any more, and nothing remains."""

    class Killer(RecordingHost):
        def log(self, message: str) -> None:
            super().log(message)
            (child,) = [child for child in runtime._pool.children if child.busy]
            child.kill(Ending.TIME)

    async with running() as runtime:
        assert await call(runtime, ECHO, 1) == 1
        for number in range(3):
            with suppress(FunctionTimeoutError):
                await call(runtime, script("function execute() { console.log('now') }", f"f{number}"), None, Killer())
            assert await call(runtime, ECHO, 2) == 2
        await until(lambda: runtime.statistics().kills == {"time": 3})


async def test_a_draft_that_is_ended_is_nobody_elses_fault(nothing_leaks: None) -> None:
    """Somebody tries a script again and again: the version that is deployed goes on."""
    async with running() as runtime:
        for _ in range(4):
            with pytest.raises(FunctionMemoryError):
                await call(runtime, FunctionVersion("parking", "echo", 0, KILLING, PATIENT))
        assert await call(runtime, ECHO, 1) == 1


async def test_processes_that_break_the_rules_are_counted_against_the_function(
    nothing_leaks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gets its process ended that way does so at the cost of everybody, too."""
    monkeypatch.setattr(child_module, "_MAX_LOG_BYTES", 10)
    talkative = script("function execute() { console.log('twelve bytes') }")
    async with running() as runtime:
        for _ in range(4):
            with pytest.raises(FunctionLostError, match="more log lines than a script can write"):
                await call(runtime, talkative)
        with pytest.raises(FunctionBusyError, match="ended again and again"):
            await call(runtime, talkative)
        assert runtime.statistics().kills == {"broken": 4}


async def test_one_function_cannot_fill_the_waiting_room(nothing_leaks: None) -> None:
    """Where no more may wait, the last of the longest line makes room for those of other functions."""
    settings = JavaScriptSettings(max_processes=1, max_processes_per_app=1, max_waiting=3, max_wait=30.0)
    told: list[str] = []
    results: list[int] = []
    sleepy = script("function execute() { return new Promise(r => setTimeout(() => r(0), 500)) }", "sleepy")

    async def one(version: FunctionVersion, data: int) -> None:
        try:
            results.append(await call(runtime, version, data))
        except FunctionBusyError as error:
            told.append(str(error))

    async with running(settings) as runtime:
        await call(runtime, ECHO, 1)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one, sleepy, 0)
            await trio.sleep(0.1)
            assert len(told) == 1
            nursery.start_soon(one, ECHO, 7)
    assert sorted(results) == [0, 0, 0, 7]
    assert told == ["function sleepy version 1: 3 calls wait for a process already; it did not run"] * 2


async def test_a_function_that_is_ended_again_and_again_is_refused(nothing_leaks: None) -> None:
    """From the fourth kill on, for a while, without a process; others are not."""
    bomb = script(KILLING, "bomb")
    async with running() as runtime:
        for _ in range(4):
            with pytest.raises(FunctionMemoryError):
                await call(runtime, bomb)
        with pytest.raises(FunctionBusyError, match="ended again and again; it is refused for another"):
            await call(runtime, bomb)
        assert await call(runtime, ECHO, 1) == 1
        runtime.forget("parking", "bomb")
        with pytest.raises(FunctionMemoryError):
            await call(runtime, bomb)


async def test_who_waits_too_long_is_told(nothing_leaks: None) -> None:
    """No process in time, or too many who wait: busy, and that it did not run."""
    settings = JavaScriptSettings(max_processes=1, max_processes_per_app=1, max_waiting=1, max_wait=0.3)
    told: list[str] = []

    async def one() -> None:
        try:
            await call(runtime, ECHO, 1)
        except FunctionBusyError as error:
            told.append(str(error))

    async with running(SETTINGS) as runtime:
        await call(runtime, ECHO, 1)  # what is on disk is in memory now
    async with running(settings) as runtime:
        runtime.prepare()
        await until(lambda: runtime.statistics().children > 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self_ended, runtime, script("function execute() { while (true); }", limits=Limits(1.0)))
            await trio.sleep(0.1)
            nursery.start_soon(one)
            await trio.sleep(0.05)
            nursery.start_soon(one)
    assert len(told) == 2
    assert "1 calls wait for a process already; it did not run" in told[0]
    assert "no process was free for 0.3 s; it did not run" in told[1]


async def self_ended(runtime: JavaScriptRuntime, version: FunctionVersion) -> None:
    with pytest.raises(FunctionTimeoutError):
        await call(runtime, version)


async def test_what_a_call_waited_is_told_its_host(nothing_leaks: None) -> None:
    """The seconds until it had a process, which are no time of the script's own; none where one rests."""
    settings = JavaScriptSettings(max_processes=1, max_processes_per_app=1, max_wait=30.0)
    slow = script("function execute(d) { return new Promise(r => setTimeout(() => r(d), 300)) }", "slow")
    hosts = [RecordingHost(), RecordingHost()]
    async with running(settings) as runtime:
        await call(runtime, slow, 1)
        async with trio.open_nursery() as nursery:
            for host in hosts:
                nursery.start_soon(call, runtime, slow, 1, host)
    assert min(host.waited for host in hosts) < 0.1
    assert 0.3 <= max(host.waited for host in hosts) < 20


async def test_scripts_are_unloaded(nothing_leaks: None) -> None:
    """A process keeps so many scripts; one that makes room, or was forgotten, comes back when it is called."""
    settings = JavaScriptSettings(functions_per_process=2, max_wait=30.0)
    several = [script(f"function execute() {{ return {number} }}", f"f{number}") for number in range(4)]
    async with running(settings) as runtime:
        for _ in range(2):
            assert [await call(runtime, version) for version in several] == [0, 1, 2, 3]
        assert runtime.statistics().isolates <= 2 * runtime.statistics().children
        runtime.forget("parking", "f3")
        newer = FunctionVersion("parking", "f3", 2, "function execute() { return 'newer' }")
        assert await call(runtime, newer) == "newer"
        assert await call(runtime, several[3]) == 3


async def test_a_stop_lets_calls_end_and_takes_no_more(nothing_leaks: None) -> None:
    """Who is called when the end comes is waited for; who comes later is told."""
    results: list[object] = []
    slow = script("function execute(d) { return new Promise(r => setTimeout(() => r(d), 300)) }", "slow")

    async def one() -> None:
        results.append(await call(runtime, slow, "whole"))

    async with trio.open_nursery() as nursery, running() as runtime:
        await call(runtime, ECHO, 1)
        nursery.start_soon(one)
        await trio.sleep(0.1)
    assert results == ['"whole"']
    with pytest.raises(FunctionBusyError, match="about to end; it did not run"):
        await call(runtime, ECHO, 1)


DAEMON = """
import sys; sys.path.insert(0, sys.argv[1])
import trio
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.javascript.runtime import JavaScriptRuntime
from config.settings import JavaScriptSettings
class Host:
    def begun(self, waited): pass
    def log(self, message): print(message, flush=True)
async def main():
    runtime = JavaScriptRuntime(JavaScriptSettings())
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: runtime.run(task_status.started))
        loop = "function execute() { context.log('looping'); while (true); }"
        await runtime.call(FunctionVersion("a", "f", 1, loop, Limits(seconds=60)), b"1", Host())
trio.run(main)
"""


def test_no_process_outlives_the_daemon() -> None:
    """SIGKILL of the daemon, in the middle of an endless loop, leaves no process behind."""
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, _HOUSE], stdout=subprocess.PIPE)
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == b"looping\n"
    mine = [int(one) for one in _children_of(daemon.pid)]
    assert mine
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in mine):
        assert time.monotonic() < deadline, "a process of scripts has outlived its daemon"
        time.sleep(0.02)


def _children_of(pid: int) -> list[str]:
    return " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()


async def test_the_process_gets_no_environment(nothing_leaks: None) -> None:
    """Neither variables nor descriptors of ours are in it, but its end of the socket, and its own size."""
    async with running() as runtime:
        await call(runtime, ECHO, 1)
        seen = _seen(runtime._pool.children[0].process.pid)
    assert seen == (b"", "/", ["/dev/null", "/dev/null", "/proc/statm", "pipe", "socket"])


def _seen(pid: int) -> tuple[bytes, str, list[str]]:
    home = Path(f"/proc/{pid}")
    descriptors = [str(path.readlink()).partition(":")[0].replace(f"/{pid}/", "/") for path in (home / "fd").iterdir()]
    return (home / "environ").read_bytes(), str((home / "cwd").readlink()), sorted(descriptors)


async def test_the_daemon_comes_first(nothing_leaks: None) -> None:
    """Processes of scripts stand behind it in the line for a processor, from their start on."""
    async with running() as runtime:
        await call(runtime, ECHO, 1)
        behind = {os.getpriority(os.PRIO_PROCESS, child.process.pid) for child in runtime._pool.children}
    assert behind == {min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)}


async def test_limits_hold_one_call_and_not_the_next(nothing_leaks: None) -> None:
    """A short limit of one function does not reach into the call of another in the same process."""
    async with running() as runtime:
        with pytest.raises(FunctionTimeoutError):
            await call(runtime, script("function execute() { while (true); }", limits=QUICK))
        busy = "function execute() { var end = Date.now() + 800; while (Date.now() < end); return 'whole' }"
        assert await call(runtime, script(busy, "busy")) == "whole"


async def test_a_process_that_is_ended_while_it_starts_is_started_again(
    nothing_leaks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, or twice, is an accident: who waits does not hear of it."""
    async with running() as runtime:
        start = runtime._pool._spawner.start
        failures = 2

        async def start_and_end() -> Process:
            nonlocal failures
            process = await start()
            if failures:
                failures -= 1
                process.kill()
            return process

        monkeypatch.setattr(runtime._pool._spawner, "start", start_and_end)
        assert await call(runtime, ECHO, 1) == 1
        assert not failures


async def test_processes_that_cannot_start_are_told(nothing_leaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls then is told at once, with the reason; the daemon goes on, and tries again a second later."""
    async with running() as runtime:
        monkeypatch.setattr(runtime._pool._spawner, "_paths", ["/nowhere"])
        with pytest.raises(FunctionBusyError, match="it did not run"):
            await call(runtime, ECHO, 1)
        with pytest.raises(FunctionBusyError, match="do not start; the log names the reason; it did not run"):
            await call(runtime, ECHO, 1)
        monkeypatch.undo()
        await trio.sleep(1.1)
        assert await call(runtime, ECHO, 2) == 2


async def test_data_that_no_frame_holds_is_refused(nothing_leaks: None) -> None:
    """Before any process has it: with its size, and how much may go."""
    async with running() as runtime:
        with pytest.raises(FunctionFailedError, match=r"its data has 68157440 bytes, and at most 65\.0 MiB go"):
            await runtime.call(ECHO, bytes(65 * 1024 * 1024), RecordingHost())
        assert runtime.statistics().calls == 0
