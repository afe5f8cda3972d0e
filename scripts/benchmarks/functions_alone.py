"""Functions as the daemon has them, with nothing around them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from actors.functions.declaration import FunctionContext, FunctionType
from actors.functions.javascript_program import JavaScript, JavaScriptProgram
from actors.functions.library import Functions
from actors.functions.program import Program
from actors.functions.python_runtime import PythonProgram
from actors.functions.reach import Reach
from actors.ports import ResultLimits
from config.resources import Function
from config.settings import JavaScriptSettings


async def _echo(data: Any, context: FunctionContext) -> Any:  # noqa: ARG001 - as functions are called
    return {**data, "lot": data["lot"] + 1}


class FunctionsAlone:
    """Functions by their names, called as the daemon calls them; there is nothing within their reach."""

    def __init__(self, settings: JavaScriptSettings) -> None:
        self.javascript = JavaScript(settings)
        reach = Reach(
            rights=self,
            connections=self,
            records=self,
            outgoing=self,
            scripts=self,
            positional=self,
            query_limits=ResultLimits(1, 1),
            max_log_bytes=1024,
            max_publish_bytes=1,
        )  # type: ignore[arg-type]  # no function here reaches for any of it
        self.functions = Functions(self, reach, 3)

    def make(self, function: Function, version: int) -> Program:
        """What runs a function (see `Programs`): a script, or the one Python function that there is."""
        if function.language == "javascript":
            return JavaScriptProgram(function, version, self.javascript)
        return PythonProgram(function, version, lambda _: FunctionType(_echo))

    def put(self, name: str, *, app: str = "bench", **more: Any) -> None:
        """Have a function."""
        self.functions.put(Function(name=name, app=app, **more), 1)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Functions]:
        """They can be called meanwhile."""
        async with trio.open_nursery() as nursery:
            runtime = self.javascript.runtime()
            await nursery.start(lambda task_status: runtime.run(task_status.started))
            yield self.functions
            runtime.stop()


def resident() -> int:
    """How much memory this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
