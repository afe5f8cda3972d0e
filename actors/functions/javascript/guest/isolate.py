"""One V8 isolate, as this side sees it: four functions of its prelude, and a piece of memory that both can read.

mini-racer's own classes make a Python object of each value, and need an event loop to hear of results. Here every text
goes through the shared memory, results come as strings, and a callback stops V8 until it returns, which is what makes
synchronous calls of the host possible; *measured*: 55 us for a call with 1 KB in and out, 60 to 90 by values.
"""

from __future__ import annotations

import ctypes
import os
import re
import traceback
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from py_mini_racer import init_mini_racer

TEXT_UNITS = 64 * 1024
"""How much text, in UTF-16 units, the shared memory holds at a time; what is longer goes in parts."""

_HEADER_BYTES = 64
_WHAT, _UNITS, _PARTS, _NUMBER, _DATA_UNITS, _DATA_LAST, _DATA_MOST = range(7)
_FIRST, _LAST = 1, 2

# Types of mini-racer's values (`_MiniRacerTypes`).
_STRING = 5
_ERRORS = 200
_OUT_OF_MEMORY = 202
_TERMINATED = 204

_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029]")  # ECMA-262 12.3

_NOTIFIED = 1
_SETUP = 2


class Engine(NamedTuple):
    """What all isolates of a process share, read while files can still be opened."""

    library: ctypes.CDLL
    prelude: str


class What(IntEnum):
    """Why the prelude notifies."""

    MORE = 1
    ASK_AND_WAIT = 2
    ASK = 3
    LOG = 4
    CHECK = 5
    TAKE = 6
    REST = 7


class Task(IntEnum):
    """What has been run in the isolate."""

    LOAD = 10
    RUN = 11
    RESUME = 12
    ABORT = 13
    FINISH = 14


class Outcome(NamedTuple):
    """What a task answered with; where it was stopped, `failure` says by what."""

    text: bytes = b""
    failure: str = ""
    out_of_memory: bool = False
    terminated: bool = False


class Listener(Protocol):
    """Hears of what happens in an isolate, in the isolate's own thread, which stands still meanwhile."""

    def ended(self, task: Task, outcome: Outcome) -> None:
        """A task has ended; what it has left to microtasks runs after this."""

    def notified(self, what: What, number: int, text: str) -> None:
        """The prelude tells or asks something; for `ASK_AND_WAIT` and `TAKE`, the answer is `put` before it returns."""


class Isolate:
    """An isolate with the prelude in it. What is `post`ed runs in its own thread, one after the other."""

    def __init__(self, engine: Engine, listener: Listener, memory: int) -> None:
        library = engine.library
        self._library: Any = library
        self._listener = listener
        self._received: list[str] = []
        self._sending = b""
        self._sent = 0
        self._rest = b""
        self._setup: SimpleQueue[Any] = SimpleQueue()
        self._callback = library.mr_init_context.argtypes[0](self._called)
        self._context = self._library.mr_init_context(self._callback)
        self._functions = self._install(engine)
        self._library.mr_set_hard_memory_limit(self._context, memory)

    def load(self, source: str) -> str:
        """Compile the script; returns why that cannot be done, or nothing."""
        self.put(source)
        self.post(Task.LOAD)
        problem = self._told(self._setup.get())
        if not problem.startswith("SyntaxError"):
            return problem
        # Compiled as a function it says nothing about the place. Whatever it is, nothing of it runs behind a throw.
        told = self._told(self._run_code(f"throw 0; function script() {{\n{source}\n}}"))
        found = re.match(r"<anonymous>:(\d+): (SyntaxError: [^\n]*)", told)
        if not found:
            return problem
        # What is still open at the end is told of a line that is not the script's.
        line, last = int(found[1]) - 1, len(_LINE_END.split(source.rstrip()))
        return f"{found[2]} (line {min(line, last)})"

    def put(self, text: str, number: int = 0, what: int = 0) -> None:
        """Write a text for the prelude to read; the rest of it when it asks for more."""
        self._put_first(text.encode("utf-16-le", "surrogatepass"))
        self._header[_NUMBER] = number
        self._header[_WHAT] = what

    def put_data(self, text: str, most: int) -> None:
        """Write the data of the next call, whose result may have `most` bytes.

        This may be done while the isolate's thread still sees to what came too late for the last call.
        """
        data = text.encode("utf-16-le", "surrogatepass")
        part = data[: 2 * TEXT_UNITS]
        self._rest = data[2 * TEXT_UNITS :]
        self._data[: len(part)] = part
        self._header[_DATA_UNITS] = len(part) // 2
        self._header[_DATA_LAST] = not self._rest
        self._header[_DATA_MOST] = most

    def post(self, task: Task) -> int:
        """Run a function of the prelude; returns a number to `cancel` it by."""
        function = self._functions[task]
        return int(self._library.mr_call_function(self._context, function, self._nobody, self._nothing, task))

    def cancel(self, number: int) -> None:
        """Stop a task, unless it has ended."""
        self._library.mr_cancel_task(self._context, number)

    def close(self) -> None:
        """End it; returns when its thread has ended."""
        self._library.mr_free_context(self._context)

    # --- set-up ------------------------------------------------------------------------------------------------------

    def _install(self, engine: Engine) -> dict[Task, Any]:
        memory = self._evaluate(f"new SharedArrayBuffer({_HEADER_BYTES + 4 * TEXT_UNITS})")
        address = memory.contents.value.value_ptr
        self._memory = memory  # holds the buffer
        self._header = memoryview((ctypes.c_int32 * 16).from_address(address)).cast("B").cast("i")
        text = memoryview((ctypes.c_uint8 * (4 * TEXT_UNITS)).from_address(address + _HEADER_BYTES)).cast("B")
        self._text, self._data = text[: 2 * TEXT_UNITS], text[2 * TEXT_UNITS :]
        prelude = self._evaluate(engine.prelude)
        arguments = self._evaluate("[]")
        library, context = self._library, self._context
        for value in (memory, library.mr_make_js_callback(context, _NOTIFIED), self._integer(TEXT_UNITS)):
            library.mr_free_value(context, library.mr_array_push(context, arguments, value))
        self._nobody = self._evaluate("undefined")
        self._nothing = self._evaluate("[]")
        library.mr_call_function(context, prelude, self._nobody, arguments, _SETUP)
        functions = self._checked(self._setup.get())
        return {
            task: self._checked(library.mr_get_object_item(context, functions, self._integer(index)))
            for index, task in enumerate(Task)
        }

    def _integer(self, number: int) -> Any:
        return self._library.mr_alloc_int_val(self._context, number, 3)

    def _evaluate(self, code: str) -> Any:
        return self._checked(self._run_code(code))

    def _run_code(self, code: str) -> Any:
        data = code.encode("utf-8", "replace")
        value = self._library.mr_alloc_string_val(self._context, data, len(data), _STRING)
        self._library.mr_eval(self._context, value, _SETUP)
        result = self._setup.get()
        self._library.mr_free_value(self._context, value)
        return result

    def _told(self, value: Any) -> str:
        """A text, or that of an error; of anything else nothing."""
        kind = value.contents.type
        text = _bytes(value).decode("utf-8", "replace") if kind == _STRING or kind >= _ERRORS else ""
        self._library.mr_free_value(self._context, value)
        return text

    def _checked(self, value: Any) -> Any:
        if value.contents.type >= _ERRORS:
            raise RuntimeError(self._told(value))
        return value

    # --- in the isolate's thread -------------------------------------------------------------------------------------

    def _called(self, number: int, value: Any) -> None:
        try:
            if number == _NOTIFIED:
                self._library.mr_free_value(self._context, value)
                self._notified()
            elif number in (_SETUP, Task.LOAD):
                self._setup.put(value)
            elif number != Task.FINISH and value.contents.type < _ERRORS:
                self._library.mr_free_value(self._context, value)  # it has said what it had to say
            else:
                outcome = self._outcome(value)
                self._library.mr_free_value(self._context, value)
                self._listener.ended(Task(number), outcome)
        except BaseException:  # noqa: BLE001 - there is nobody above to raise it to, and the call would never end
            traceback.print_exc()
            os._exit(70)

    def _outcome(self, value: Any) -> Outcome:
        kind = value.contents.type
        if kind == _STRING:
            return Outcome(_bytes(value))
        if kind < _ERRORS:
            return Outcome()
        out_of_memory = kind == _OUT_OF_MEMORY or self._library.mr_hard_memory_limit_reached(self._context)
        return Outcome(b"", _bytes(value).decode("utf-8", "replace"), out_of_memory, kind == _TERMINATED)

    def _notified(self) -> None:
        what = What(self._header[_WHAT])
        if what is What.MORE:
            self._put_part()
            return
        if what is What.REST:
            self._put_first(self._rest)
            self._rest = b""
            return
        text = ""
        if what not in (What.CHECK, What.TAKE):
            parts = self._header[_PARTS]
            if parts & _FIRST:
                self._received.clear()
            units = self._header[_UNITS]
            self._received.append(str(self._text[: 2 * units], "utf-16-le", "surrogatepass"))
            if not parts & _LAST:
                return
            text = "".join(self._received)
            self._received.clear()
        self._listener.notified(what, self._header[_NUMBER], text)

    def _put_first(self, data: bytes) -> None:
        self._sending = data
        self._sent = 0
        self._put_part()

    def _put_part(self) -> None:
        part = self._sending[self._sent : self._sent + 2 * TEXT_UNITS]
        self._sent += len(part)
        self._text[: len(part)] = part
        self._header[_UNITS] = len(part) // 2
        if self._sent == len(self._sending):
            self._header[_PARTS] = _LAST
            self._sending = b""
        else:
            self._header[_PARTS] = 0


def _bytes(value: Any) -> bytes:
    contents = value.contents
    return bytes(contents.value.bytes_val[: contents.len])


class _Deaf:
    def ended(self, task: Task, outcome: Outcome) -> None:
        """Nobody runs anything."""

    def notified(self, what: What, number: int, text: str) -> None:
        """Likewise."""


def start_engine(flags: Iterable[str]) -> Engine:
    """Start V8, and let it read what it needs of the file system, the time zone among it."""
    prelude = Path(__file__).with_name("prelude.js").read_text("utf-8")
    engine = Engine(init_mini_racer(flags=flags), prelude)
    isolate = Isolate(engine, _Deaf(), 0)
    isolate.load("return new Date().toString() + new Intl.DateTimeFormat().format()")
    isolate.close()
    return engine
