"""Runtimes for tests: one in a thread of its own, whose processes many tests share, and one beside a test."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

import trio

from actors.errors import PenstockError
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.javascript.runtime import JavaScriptRuntime
from actors.functions.messages import FunctionFailure
from config.settings import JavaScriptSettings

QUICK = Limits(seconds=0.4)
PATIENT = Limits(seconds=20.0)
SETTINGS = JavaScriptSettings(max_wait=30.0)


class RecordingHost:
    """A host that answers from a table by operation, and remembers; an exception in the table is raised."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, Any]] = []
        self.lines: list[str] = []
        self.waited = 0.0
        self.more_lines = 0

    def begun(self, waited: float) -> None:
        self.waited = waited

    def log(self, message: str) -> None:
        self.lines.append(message)

    def left_out(self, count: int) -> None:
        self.more_lines += count

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        self.asked.append((operation, arguments))
        answer = self.answers.get(operation)
        if answer == "never":
            await trio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Scripts:
    """Calls scripts from tests that are not async."""

    def __init__(self, settings: JavaScriptSettings | None = None) -> None:
        self.settings = settings or JavaScriptSettings(max_wait=30.0)
        self._names = count(1)
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        trio.from_thread.run_sync(self.runtime.stop, trio_token=self._token)
        self._thread.join()

    async def _main(self) -> None:
        self.runtime = JavaScriptRuntime(self.settings)
        self._token = trio.lowlevel.current_trio_token()
        await self.runtime.run(self._ready.set)

    def version(self, source: str, *, limits: Limits = PATIENT, app: str = "parking") -> FunctionVersion:
        """A script under a name of its own."""
        return FunctionVersion(app, f"f{next(self._names)}", 1, source, limits)

    def run(
        self, source: str | FunctionVersion, data: Any = None, *, limits: Limits = PATIENT, host: Any = None
    ) -> Any:
        """Call a script once; its result, decoded."""
        version = self.version(source, limits=limits) if isinstance(source, str) else source
        arguments = (version, json.dumps(data).encode(), host or RecordingHost())
        return json.loads(trio.from_thread.run(self.runtime.call, *arguments, trio_token=self._token))

    def batch(self, version: FunctionVersion, items: Sequence[Any], host: Any = None) -> list[Any]:
        """Call a script with several items; results decoded, failures as they are."""
        data = [json.dumps(item).encode() for item in items]
        results = trio.from_thread.run(
            self.runtime.call_batch, version, data, host or RecordingHost(), trio_token=self._token
        )
        return [one if isinstance(one, FunctionFailure) else json.loads(one) for one in results]

    def all(self, function: Any, *arguments: Any) -> Any:
        """Run an async function beside the runtime."""
        return trio.from_thread.run(function, *arguments, trio_token=self._token)


def refusal(text: str) -> PenstockError:
    """An error that a host raises on purpose."""
    return PenstockError(text)


def script(source: str, name: str = "f", app: str = "parking", limits: Limits = PATIENT) -> FunctionVersion:
    return FunctionVersion(app, name, 1, source, limits)


@asynccontextmanager
async def running(settings: JavaScriptSettings = SETTINGS) -> AsyncIterator[JavaScriptRuntime]:
    runtime = JavaScriptRuntime(settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: runtime.run(task_status.started))
        yield runtime
        runtime.stop()


async def call(runtime: JavaScriptRuntime, version: FunctionVersion, data: Any = None, host: Any = None) -> Any:
    return json.loads(await runtime.call(version, json.dumps(data).encode(), host or RecordingHost()))


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)


def children() -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(path.parent.name))
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
