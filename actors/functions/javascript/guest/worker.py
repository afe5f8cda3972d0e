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
    write_number,
)
from actors.functions.javascript.guest.confinement import CallBounds
from actors.functions.javascript.guest.isolate import Engine
from actors.functions.javascript.guest.script import Script


class Worker:
    """Scripts by their keys, and the calls that wait behind the one that runs.

    `take` is for the thread that reads frames. A call that has ended is followed by the next one in the same step, in
    the thread of the isolate that ran it; one lock is held wherever it matters which call it is that runs. An answer or
    a cancellation that is for a call that has ended since means nothing any more, nor does a recall of one that has
    begun.
    """

    def __init__(self, engine: Engine, write: Callable[[bytes], None], bounds: CallBounds) -> None:
        self.engine = engine
        self._write = write
        self._writing = threading.Lock()
        self.bounds = bounds
        self._scripts: dict[int, Script] = {}
        self.turn: AbstractContextManager[object] = threading.RLock()
        self._called: Script | None = None
        self._running = 0
        self._waiting: deque[Call] = deque()

    def write(self, data: bytes) -> None:
        """Send a frame whole, from any thread."""
        with self._writing:
            self._write(data)

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
                with self.turn:
                    if read_number(body) == self._running and self._called is not None:
                        self._called.cancel()
            case Kind.RECALL:
                self._recall(read_number(body))
            case Kind.ANSWER:
                answer = read_answer(body)
                with self.turn:
                    if answer.call == self._running and self._called is not None:
                        self._called.answer(answer)
            case _:
                raise FrameError(f"a frame of kind {kind!r} is not for this side")

    def _recall(self, number: int) -> None:
        with self.turn:
            recalled = [call for call in self._waiting if call.number == number]
            for call in recalled:
                self._waiting.remove(call)
                self.write(write_number(Kind.RECALLED, number))

    def done(self) -> None:
        """A call has its results."""
        with self.turn:
            self._called = None
            self._next()

    def _next(self) -> None:
        if self._called is None and self._waiting:
            call = self._waiting.popleft()
            self._called = self._scripts[call.key]
            self._running = call.number
            self._called.begin(call)
