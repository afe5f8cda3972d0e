"""The next call of a function lies ready behind the one that runs: which nobody may notice."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import Any

import pytest
import trio

from actors.errors import FunctionError, FunctionLostError, FunctionMemoryError
from actors.functions.javascript.runtime import JavaScriptRuntime
from config.settings import JavaScriptSettings
from tests.actors.functions.javascript.running import RecordingHost, call, running, script, until

ONE_PROCESS = JavaScriptSettings(max_processes=1, max_processes_per_app=1, max_wait=30.0)

WORKER = script(
    """
    function execute(data) {
      var job = JSON.parse(data)
      context.log(job.name)
      if (job.kill) return 'x'.repeat(1 << 28)
      if (!job.wait) return job.name
      return new Promise(resolve => setTimeout(() => resolve(job.name), job.wait))
    }""",
    "worker",
)


class Crew:
    """Calls that run beside one another, each with a host of its own."""

    def __init__(self, runtime: JavaScriptRuntime, nursery: trio.Nursery) -> None:
        self.runtime = runtime
        self.nursery = nursery
        self.hosts: dict[str, RecordingHost] = {}
        self.results: dict[str, object] = {}

    async def warm(self) -> None:
        """Show that calls of this function take no time."""
        await self.one("warm")
        while not self.child._quick:
            await self.one("warm")

    async def one(self, name: str, scope: trio.CancelScope | None = None, **job: Any) -> None:
        host = self.hosts[name] = RecordingHost()
        with scope or trio.CancelScope():
            try:
                self.results[name] = await call(self.runtime, WORKER, {"name": name, **job}, host)
            except FunctionError as error:
                self.results[name] = error

    async def start(self, name: str, **job: Any) -> trio.CancelScope:
        """Begin a call; returns when it runs, or lies behind the one that does."""
        scope = trio.CancelScope()
        before = self.child.running
        self.nursery.start_soon(lambda: self.one(name, scope, **job))
        await until(lambda: (self.child.running if before is None else self.child.ahead) is not None)
        return scope

    @property
    def child(self) -> Any:
        return self.runtime._pool.children[0]


async def test_a_call_ahead_outlives_the_process(nothing_leaks: None) -> None:
    """The one before it has its process ended: that one fails, and what lay behind it runs in the next one, once."""
    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        crew = Crew(runtime, nursery)
        await crew.warm()
        await crew.start("bomb", wait=300)
        await crew.start("spared")
        os.kill(crew.child.process.pid, signal.SIGKILL)
        await until(lambda: len(crew.results) == 3)
        assert isinstance(crew.results["bomb"], FunctionLostError)
        assert crew.results["spared"] == "spared"
        assert crew.hosts["spared"].lines == ["spared"]


async def test_a_call_ahead_of_a_bomb_is_spared(nothing_leaks: None) -> None:
    """So it is where the script itself ends the process, again and again."""
    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        crew = Crew(runtime, nursery)
        for number in range(3):
            await crew.warm()
            async with trio.open_nursery() as pair:
                pair.start_soon(lambda: crew.one("bomb", kill=True))
                pair.start_soon(crew.one, f"spared{number}")
            assert crew.results[f"spared{number}"] == f"spared{number}"
            assert isinstance(crew.results["bomb"], FunctionMemoryError)


async def test_a_call_ahead_whose_caller_leaves_does_not_run(nothing_leaks: None) -> None:
    """Nothing of it is to be seen, and the calls behind it come through."""
    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        crew = Crew(runtime, nursery)
        await crew.warm()
        await crew.start("slow", wait=300)
        scope = await crew.start("left")
        scope.cancel()
        await crew.one("after")
        assert crew.results == {"warm": "warm", "slow": "slow", "after": "after"}
        assert crew.hosts["left"].lines == []
        assert runtime.statistics().kills == {}


async def test_slow_calls_are_not_waited_behind(nothing_leaks: None) -> None:
    """Where the last call took its time, the next one waits in line for whatever process is free first."""
    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        crew = Crew(runtime, nursery)
        await crew.one("slow", wait=50)
        for number in range(3):
            nursery.start_soon(lambda: crew.one(f"slow{number}", wait=50))  # noqa: B023 - each is begun at once
            await trio.sleep(0.01)
            assert crew.child.ahead is None
        assert runtime.statistics().waiting == 2


async def test_another_function_gets_its_turn(nothing_leaks: None) -> None:
    """However many calls of one function follow one another, a call of another one is served among them."""
    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        crew = Crew(runtime, nursery)

        async def stream() -> None:
            while True:
                await crew.one("stream")

        for _ in range(8):
            nursery.start_soon(stream)
        await until(lambda: crew.runtime.statistics().calls > 100)
        with trio.fail_after(10):
            for number in range(5):
                other = script("function execute(d) { return JSON.parse(d) }", "other")
                assert await call(runtime, other, number) == number
        nursery.cancel_scope.cancel()


async def test_apps_take_longer_turns(nothing_leaks: None) -> None:
    """Two apps that share one process do not have it started anew for each call; and each gets its turn."""
    served = {"parking": 0, "garage": 0}

    async def stream(app: str) -> None:
        while True:
            await call(runtime, script("function execute(d) { return 1 }", "f", app))
            served[app] += 1

    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        for app in served:
            for _ in range(2):
                nursery.start_soon(stream, app)
        await until(lambda: runtime.statistics().starts >= 4)
        nursery.cancel_scope.cancel()
    assert min(served.values()) > 1
    assert sum(served.values()) > 3 * runtime.statistics().starts


async def test_each_host_hears_of_its_own_call(nothing_leaks: None) -> None:
    """Many calls, one behind the other in one process: what one logs, no other host hears."""
    async with running(ONE_PROCESS) as runtime:
        async with trio.open_nursery() as nursery:
            crew = Crew(runtime, nursery)
            await crew.warm()
            names = [f"call{number}" for number in range(200)]
            for name in names:
                nursery.start_soon(crew.one, name)
        assert {name: crew.results[name] for name in names} == {name: name for name in names}
        assert {name: crew.hosts[name].lines for name in names} == {name: [name] for name in names}


async def test_what_is_seen_through_is_its_own_calls(nothing_leaks: None) -> None:
    """A call that has asked for something and not waited ends when that is done, whatever runs behind it by then."""
    asking = script("function execute(d) { context.publish('t', JSON.parse(d)); return JSON.parse(d) }", "asking")
    asked, gates = [], [trio.Event() for _ in range(4)]
    ended: list[int] = []

    class Gated(RecordingHost):
        async def call(self, operation: str, arguments: Any) -> Any:
            asked.append(arguments["data"])
            await gates[arguments["data"]].wait()
            return await super().call(operation, arguments)

    async def one(number: int) -> None:
        assert await call(runtime, asking, number, Gated()) == number
        ended.append(number)

    async with running(ONE_PROCESS) as runtime, trio.open_nursery() as nursery:
        gates[0].set()
        await one(0)
        for number in range(1, 4):
            nursery.start_soon(one, number)
        for place in range(1, 4):
            await until(lambda: len(asked) > place)  # noqa: B023 - it is waited for here
            assert ended == asked[:place]
            gates[asked[place]].set()
            await until(lambda: len(ended) > place)  # noqa: B023 - likewise
        assert ended == asked


async def test_large_calls_follow_one_another(nothing_leaks: None) -> None:
    """What does not fit into the socket at once arrives whole, in order."""
    large = script("function execute(d) { return JSON.parse(d).length }", "large")
    lengths: list[int] = []

    async def one(length: int) -> None:
        lengths.append(json.loads(await runtime.call(large, json.dumps("x" * length).encode(), RecordingHost())))

    async with running(ONE_PROCESS) as runtime:
        await one(1)
        await one(2)
        async with trio.open_nursery() as nursery:
            for factor in range(1, 7):
                nursery.start_soon(one, factor * 700_000)
    assert sorted(lengths) == [1, 2, *(factor * 700_000 for factor in range(1, 7))]


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.01])
async def test_callers_that_come_and_go(nothing_leaks: None, moment: float) -> None:
    """Calls that are given up at any moment take nothing from those that are not."""
    async with running(ONE_PROCESS) as runtime:
        whole: list[object] = []

        async def patient(number: int) -> None:
            whole.append(await call(runtime, WORKER, {"name": f"{number}"}))

        async def hasty(number: int) -> None:
            with trio.move_on_after(moment), suppress(FunctionError):
                await call(runtime, WORKER, {"name": f"hasty{number}", "wait": number % 3})

        await call(runtime, WORKER, {"name": "warm"})
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(patient, number)
                nursery.start_soon(hasty, number)
        assert sorted(whole, key=str) == sorted((f"{number}" for number in range(60)), key=str)
        await until(lambda: not runtime.statistics().running)


async def test_a_call_ahead_is_taken_back_from_a_slow_one(nothing_leaks: None) -> None:
    """Where the one before it takes its time after all, it runs in the process that is free first, once."""
    settings = JavaScriptSettings(max_processes=4, max_processes_per_app=3, max_wait=30.0)

    async with running(settings) as runtime, trio.open_nursery() as nursery:
        crew = Crew(runtime, nursery)

        async def both(**job: Any) -> None:
            async with trio.open_nursery() as pair:
                pair.start_soon(lambda: crew.one("one", **job))
                pair.start_soon(lambda: crew.one("other", **job))

        await both(wait=1500)
        while sum(bool(child._quick) for child in runtime._pool.children) < 2:
            await both()
        nursery.start_soon(lambda: crew.one("slow", wait=4000))
        nursery.start_soon(lambda: crew.one("less slow", wait=400))
        await until(lambda: runtime.statistics().running == 2)
        since = trio.current_time()
        async with trio.open_nursery() as pair:
            for number in range(3):
                pair.start_soon(crew.one, f"back{number}")
            await until(lambda: sum(child.ahead is not None for child in runtime._pool.children) == 2)
        assert trio.current_time() - since < 2.5
        assert [crew.hosts[f"back{number}"].lines for number in range(3)] == [[f"back{number}"] for number in range(3)]
        assert "slow" not in crew.results
        nursery.cancel_scope.cancel()
