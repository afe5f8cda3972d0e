"""Batches with an item that its process does not survive, in real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psutil
import trio

from actors.errors import FunctionLostError
from actors.functions.batches import call_each
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.javascript.runtime import JavaScriptRuntime
from actors.functions.messages import FunctionFailure
from config.settings import JavaScriptSettings
from tests.actors.functions.javascript.running import RecordingHost

SOURCE = """
async function execute(data) {
  const number = JSON.parse(data)
  if (number === 13) await context.query("die", "now")
  return 2 * number
}
"""


class Killer(RecordingHost):
    """Ends the process that runs the script, at its own wish: nothing that a script may do itself does that."""

    def __init__(self) -> None:
        super().__init__()
        # Those of other runtimes, which other tests share.
        self._others = set(psutil.Process().children())

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        self.asked.append((operation, arguments))
        # Those after it are in reserve, or being started.
        ours = set(psutil.Process().children()) - self._others
        oldest = min(ours, key=lambda process: process.create_time())
        os.kill(oldest.pid, signal.SIGKILL)
        await trio.sleep_forever()


class Called:
    """The runtime as those know it who call functions in batches."""

    def __init__(self, runtime: JavaScriptRuntime, host: Killer) -> None:
        self._runtime = runtime
        self._host = host
        self._version = FunctionVersion("parking", "f", 1, SOURCE, Limits(seconds=20.0))

    async def call_batch(self, _name: str, items: Sequence[Any], _app: str, _called_by: str) -> list[Any]:
        encoded = [msgspec.json.encode(item) for item in items]
        answers = await self._runtime.call_batch(self._version, encoded, self._host)
        return [one if isinstance(one, FunctionFailure) else msgspec.json.decode(one) for one in answers]


async def test_the_item_that_ends_its_process_fails_alone() -> None:
    """The others have their results, and the runtime goes on."""
    runtime, host, waits = JavaScriptRuntime(JavaScriptSettings(max_wait=30.0)), Killer(), list[str]()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: runtime.run(task_status.started))
        functions: Any = Called(runtime, host)
        results = await call_each(functions, "f", [1, 13, 2, 3], "parking", waits=waits.append)
        assert await call_each(functions, "f", [4], "parking") == [8]
        runtime.stop()
    failure = results.pop(1)
    assert isinstance(failure, FunctionFailure)
    assert isinstance(failure.error, FunctionLostError)
    assert "by signal SIGKILL" in failure.error.reason
    assert results == [2, 4, 6]
    # Three times whole, once in its half, three times alone.
    assert len(host.asked) == 7
    assert waits[-1] == ""
