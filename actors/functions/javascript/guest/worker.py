"""Does what the daemon asks for: keeps scripts, and runs one call at a time."""

from __future__ import annotations

from collections.abc import Callable

from actors.functions.javascript.frames import (
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
    """Scripts by their keys. `take` is for the thread that reads frames.

    An answer or a cancellation that is for a call that has ended since means nothing any more.
    """

    def __init__(self, engine: Engine, write: Callable[[bytes], None], bounds: CallBounds) -> None:
        self._engine = engine
        self._write = write
        self._bounds = bounds
        self._scripts: dict[int, Script] = {}
        self._called: Script | None = None
        self._call = 0

    def take(self, kind: Kind, body: bytes) -> None:
        """A frame has come.

        Raises:
            FrameError: none that a daemon sends.
        """
        match kind:
            case Kind.LOAD:
                load = read_load(body)
                self._scripts[load.key] = Script(self._engine, load.source, self._write, self._bounds)
            case Kind.FORGET:
                self._scripts.pop(read_number(body)).close()
            case Kind.CALL:
                call = read_call(body)
                self._call = call.number
                self._called = self._scripts[call.key]
                self._called.begin(call)
            case Kind.CANCEL:
                if read_number(body) == self._call and self._called is not None:
                    self._called.cancel()
            case Kind.ANSWER:
                answer = read_answer(body)
                if answer.call == self._call and self._called is not None:
                    self._called.answer(answer)
            case _:
                raise FrameError(f"a frame of kind {kind!r} is not for this side")
