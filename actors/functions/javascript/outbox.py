"""What is on its way to one process."""

from __future__ import annotations

from collections import deque

import trio

from actors.functions.javascript.call import ScriptCall
from actors.functions.javascript.process import Process, ProcessLostError


class Outbox:
    """Sends frames in their order: at once what fits, the rest in a task as soon as it does.

    What waits here is bounded by those who send: two calls at a time, and the answers of as many requests as are at
    work. A process that has ended is no error here; whoever reads from it hears of that.
    """

    def __init__(self, process: Process, nursery: trio.Nursery) -> None:
        self._process = process
        self._nursery = nursery
        self._waiting: deque[tuple[memoryview, ScriptCall | None]] = deque()
        self._empty = trio.Event()
        self._last: ScriptCall | None = None
        self._is_refused = False

    def send(self, data: bytes, call: ScriptCall | None = None) -> None:
        """Send frames, which are a `call` or belong to one that runs."""
        self._last = call
        rest = memoryview(data)
        if not self._waiting:
            try:
                rest = self._process.send_some(rest)
            except ProcessLostError:
                self._is_refused = True
                return
            if not rest:
                return
            self._empty = trio.Event()
            self._nursery.start_soon(self._send_rest)
        self._waiting.append((rest, call))

    def send_nowait(self, data: bytes) -> bool:
        """Send a few bytes, if they go at once; whether they have gone."""
        self._last = None
        return not self._waiting and self._process.send_nowait(data)

    def holds(self, call: ScriptCall) -> bool:
        """Whether something of a call has not gone yet."""
        return any(one is call for _, one in self._waiting)

    def left_unread(self, call: ScriptCall | None, *, unread: bool) -> bool:
        """Of a process that has ended: whether it had not read this call to its end, as far as can be known.

        `unread` says that it had not read all that was sent. Where nothing was sent behind the call, that is the call.
        """
        return call is not None and (unread or self._is_refused) and self._last is call

    async def wait_empty(self) -> None:
        """Until all has gone, or nothing can go any more."""
        if self._waiting:
            await self._empty.wait()

    async def _send_rest(self) -> None:
        try:
            while self._waiting:
                await self._process.send(self._waiting[0][0])
                self._waiting.popleft()
        except ProcessLostError:
            self._is_refused = True
        finally:
            self._waiting.clear()
            self._empty.set()
