"""Functions on the metrics page: a bounded number of series."""

from __future__ import annotations

from actors.errors import FunctionFailedError
from actors.functions.declaration import FunctionContext
from actors.functions.javascript_program import JavaScript
from config.settings import JavaScriptSettings
from daemon.function_measures import FunctionMeasures
from tests.actors.functions.world import World, declared


async def test_functions_beyond_the_bound_are_summed_up() -> None:
    """Those applied first have series of their own, by what became of their calls."""
    world = World()

    async def call(data: int, context: FunctionContext) -> int:
        if data < 0:
            raise ValueError("less than nothing")
        return data

    world.module("m", declared(call))
    for name in ("one", "two", "three"):
        world.put(name, module="m")
        for data in (1, 2, -1):
            try:
                await world.functions.call(name, data, "a")
            except FunctionFailedError:
                continue
    found = {
        one.name: one.samples
        for one in FunctionMeasures(world.functions, JavaScript(JavaScriptSettings()), 1).metrics()
    }
    calls = {
        (one.labels["function"], one.labels["outcome"]): one.value for one in found["penstock_function_calls_total"]
    }
    assert calls == {("one", "done"): 2, ("one", "failed"): 1, ("(others)", "done"): 4, ("(others)", "failed"): 2}
    assert [one.labels["function"] for one in found["penstock_function_running"]] == ["one", "(others)"]
    assert all(one.value > 0 for one in found["penstock_function_seconds_total"])
    for number in range(8):
        await world.functions.call("one", number, "a")
    found = {
        one.name: one.samples
        for one in FunctionMeasures(world.functions, JavaScript(JavaScriptSettings()), 1).metrics()
    }
    # Three are remembered, and as many that failed.
    assert [one.value for one in found["penstock_function_runs_unstored_total"]] == [11 - 4, 0]
