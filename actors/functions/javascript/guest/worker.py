"""Does what the daemon asks for: keeps scripts, and runs one call at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from actors.functions.javascript.frames import (
    Call,
    FrameError,
    Kind,
    read_answer,
    read_call,
    read_load,
    read_number,
)
from actors.functions.javascript.guest.confinement import CallBounds
from actors.functions.javascript.guest.isolate import Engine
from actors.functions.javascript.guest.script import Script


class Worker:
    """Scripts by their keys, and the calls that wait behind the one that runs.

    `take` is for the thread that reads frames. A call that has ended is followed by the next one in the same step, in
    the thread of the isolate that ran it; one lock is held wherever it matters which call it is that runs. An answer or
    a cancellation that is for a call that has ended since means nothing any more.
    """

    def __init__(self, engine: Engine, write: Callable[[bytes], None], bounds: CallBounds) -> None:
        self.engine = engine
        self.write = write
        self.bounds = bounds
        self._scripts: dict[int, Script] = {}
        self.turn: AbstractContextManager[object] = threading.RLock()
        self._called: Script | None = None
        self._running = 0
        self._waiting: deque[Call] = deque()
        self._cancelled: set[int] = set()

    def take(self, kind: Kind, body: bytes) -> None:
        """A frame has come.

        Raises:
            FrameError: none that a daemon sends.
        """
        match kind:
            case Kind.LOAD:
                load = read_load(body)
                self._scripts[load.key] = Script(self, load.source)
            case Kind.FORGET:
                self._scripts.pop(read_number(body)).close()
            case Kind.CALL:
                with self.turn:
                    self._waiting.append(read_call(body))
                    self._next()
            case Kind.CANCEL:
                self._cancel(read_number(body))
            case Kind.ANSWER:
                answer = read_answer(body)
                with self.turn:
                    if answer.call == self._running and self._called is not None:
                        self._called.answer(answer)
            case _:
                raise FrameError(f"a frame of kind {kind!r} is not for this side")

    def _cancel(self, number: int) -> None:
        with self.turn:
            if number == self._running and self._called is not None:
                self._called.cancel()
            elif any(call.number == number for call in self._waiting):
                self._cancelled.add(number)

    def done(self) -> None:
        """A call has its results."""
        with self.turn:
            self._called = None
            self._next()

    def _next(self) -> None:
        if self._called is None and self._waiting:
            call = self._waiting.popleft()
            cancelled = call.number in self._cancelled
            self._cancelled.discard(call.number)
            self._called = self._scripts[call.key]
            self._running = call.number
            self._called.begin(call, cancelled=cancelled)
