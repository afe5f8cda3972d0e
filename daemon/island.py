"""The one asyncio thread, for libraries that need an asyncio loop, and the bridge to it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import outcome
import structlog
import trio
import uvloop

from actors.errors import ConnectorError

T = TypeVar("T")

CALLS_IN_FLIGHT = 256
# How long a cancelled call, and the end of the island, wait for tasks that do not heed their cancellation, in seconds.
PATIENCE = 10.0

log = structlog.get_logger()


class Island:
    """One thread with an asyncio loop, alive inside `async with`; implements `actors.ports.Bridge`.

    `call` takes a function that returns an awaitable, runs it as one asyncio task, and hands back its result or its
    exception. Cancelling cancels that task once and waits until it has ended, so that transactions roll back and
    pooled connections return clean; after `patience` seconds it is left to itself, and that is logged. At most
    `limit` calls are in flight; further ones wait in trio.
    """

    def __init__(self, *, limit: int = CALLS_IN_FLIGHT, patience: float = PATIENCE) -> None:
        self._limiter = trio.CapacityLimiter(limit)
        self._patience = patience
        self._calls: set[_Call] = set()
        self._open = False
        self._started = trio.Event()
        self._ended = trio.Event()
        self._there: _Courier[_Call] = _Courier(self._started_or_cancelled, self._wake_loop)
        self._back: _Courier[_Call] = _Courier(_Call.end, self._wake_trio)

    async def __aenter__(self) -> Self:
        """Start the thread; returns once its loop runs.

        Raises:
            ConnectorError: it does not start.
        """
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._run, name="penstock asyncio", daemon=True)
        self._thread.start()
        with trio.CancelScope(shield=True):
            await self._started.wait()
        if self._ended.is_set():
            raise ConnectorError("the asyncio thread does not start; the log names the reason")
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more calls, cancel what is left, and end the thread."""
        self._open = False
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        with trio.move_on_after(2 * self._patience, shield=True):
            await self._ended.wait()
        if not self._ended.is_set():
            log.error("the asyncio thread does not end", calls=len(self._calls))
            self._fail_calls()
            return
        self._thread.join()

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await `function()` on the island.

        A call that comes to its end in spite of its cancellation has happened: its result is returned, and the
        cancellation waits for the next checkpoint.

        Raises:
            ConnectorError: the island does not run, or has stopped meanwhile.
        """
        async with self._limiter:
            if not self._open:
                raise ConnectorError("the asyncio thread does not run")
            call = _Call(function)
            self._calls.add(call)
            self._there.send(call)
            try:
                await call.ended.wait()
            except trio.Cancelled:
                await self._cancel(call)
                if not isinstance(call.result, outcome.Value):
                    raise
            finally:
                self._calls.discard(call)
        return cast("T", call.result.unwrap())

    async def _cancel(self, call: _Call) -> None:
        self._there.send(call)
        with trio.move_on_after(self._patience, shield=True):
            await call.ended.wait()
        if not call.ended.is_set():
            log.error("a cancelled asyncio task does not end", call=repr(call.function), seconds=self._patience)

    def _thread_ended(self) -> None:
        self._open = False
        self._ended.set()
        self._started.set()
        self._fail_calls()

    def _fail_calls(self) -> None:
        for call in self._calls:
            call.end()

    def _wake_trio(self) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._back.drain)

    def _wake_loop(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: _thread_ended answers for it
            self._loop.call_soon_threadsafe(self._there.drain)

    # What follows runs in the island's thread.

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except Exception:
            log.exception("the asyncio thread has crashed")
        finally:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._thread_ended)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._token.run_sync_soon(self._started.set)
        await self._stop.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=self._patience)

    def _started_or_cancelled(self, call: _Call) -> None:
        """A call arrives once to be started, and a second time only to be cancelled."""
        if call.task is None:
            call.task = self._loop.create_task(_awaited(call.function))
            call.task.add_done_callback(partial(self._finished, call))
        else:
            call.task.cancel()

    def _finished(self, call: _Call, task: asyncio.Task[Any]) -> None:
        call.keep(task)
        self._back.send(call)


async def _awaited(function: Callable[[], Awaitable[T]]) -> T:
    return await function()


class _Call:
    """One call: its task on the island, its result, and the event that its caller waits for."""

    __slots__ = ("ended", "function", "result", "task")

    def __init__(self, function: Callable[[], Awaitable[Any]]) -> None:
        self.function = function
        self.task: asyncio.Task[Any] | None = None
        self.result: outcome.Outcome[Any] = outcome.Error(ConnectorError("the asyncio thread has stopped"))
        self.ended = trio.Event()

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Take the result of the ended task; that of a cancelled one stays as it was."""
        if not task.cancelled():
            error = task.exception()
            self.result = outcome.Value(task.result()) if error is None else outcome.Error(error)

    def end(self) -> None:
        """Wake the caller."""
        self.ended.set()


class _Courier(Generic[T]):
    """Carries items to another thread's loop; one wake-up brings all that were sent before it is served."""

    def __init__(self, deliver: Callable[[T], None], wake: Callable[[], None]) -> None:
        self._deliver = deliver
        self._wake = wake
        self._items: deque[T] = deque()
        self._called = False

    def send(self, item: T) -> None:
        """From one thread."""
        self._items.append(item)
        if not self._called:
            self._called = True
            self._wake()

    def drain(self) -> None:
        """On the other; the mark falls first, so that whatever is sent from here on calls again."""
        self._called = False
        while self._items:
            self._deliver(self._items.popleft())
