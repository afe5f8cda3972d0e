"""One script in its isolate, and the call of it that runs."""

from __future__ import annotations

import os
import threading
import traceback
from collections import deque
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from actors.functions.javascript.frames import (
    MAX_FRAME,
    MAX_NUMBER,
    Answer,
    Ask,
    Call,
    Kind,
    Result,
    Status,
    frame,
    write_ask,
    write_number,
    write_results,
)
from actors.functions.javascript.guest.confinement import CallBounds
from actors.functions.javascript.guest.isolate import Engine, Isolate, Outcome, Task, What

_TIMED_OUT = Result(Status.TIMED_OUT, b"")
_OUT_OF_MEMORY = Result(Status.OUT_OF_MEMORY, b"")
_MAX_RESULTS = MAX_FRAME - 1024 * 1024
# What all items of a call may log together, in UTF-16 units; a line costs something by itself.
_MAX_LOG_UNITS = 1024 * 1024
_LINE_UNITS = 64
# What all items of a call may have asked for and not heard of. The daemon takes a little more.
_MOST_ASKS = 100
_MOST_ASK_BYTES = 16 * 1024 * 1024


class Worker(Protocol):
    """Whose scripts these are. `turn` is held wherever it matters which call it is that runs."""

    engine: Engine
    bounds: CallBounds
    turn: AbstractContextManager[object]

    def write(self, data: bytes) -> None:
        """Send a frame to the daemon."""

    def done(self) -> None:
        """The call has its results, and they are written."""


class _Asked(NamedTuple):
    """An Ask without its Answer: which isolate has it under which number, and its size."""

    isolate: Isolate | None
    number: int
    size: int


class Script:
    """Runs calls of one script, one at a time.

    `begin`, `answer` and `cancel` are for whoever holds the worker's `turn`; `ended` and `notified` come from the
    isolate's own thread. Each item is run by two tasks, RUN (or RESUME) and FINISH behind it: what the script has left
    to microtasks runs between the two, so that whatever it does there still counts as this call. Where V8 was stopped,
    timers and more may be left: such an isolate is `spent`, and the item has not ended before the isolate has.
    """

    def __init__(self, worker: Worker, source: str) -> None:
        self._worker = worker
        self._source = source
        self._isolate: Isolate | None = None
        self._problem = ""
        self._spent = False
        # One for each isolate, and not for each call: what comes late is taken out all the same, and means nothing.
        self._inbox: deque[Answer] = deque()
        self._room = threading.Condition()
        self._call = Call(0, 0, 0, 0, 0, ())
        self._begin_call()

    def begin(self, call: Call) -> None:
        """Run a call; its results are written when each item has its own."""
        self._call = call
        self._begin_call()
        self._prepare()
        self._next_item()

    def answer(self, answer: Answer) -> None:
        """The host has answered the call that runs."""
        with self._room:
            asked = self._under_way.pop(answer.number)
            self._asked_bytes -= asked.size
            self._room.notify()
        if answer.number == self._waits_for:
            self._answers.put(answer)
        elif self._isolate is not None and self._isolate is asked.isolate:
            self._inbox.append(answer._replace(number=asked.number))
            self._isolate.post(Task.RESUME)
            self._isolate.post(Task.FINISH)

    def cancel(self) -> None:
        """The call has run out of time: end it, as far as V8 heeds that."""
        self._cancelled = True
        self._answers.put(None)
        with self._room:
            self._room.notify()
        if self._isolate is not None:
            self._isolate.cancel(self._running)
            self._isolate.post(Task.ABORT)
            self._isolate.post(Task.FINISH)

    def close(self) -> None:
        """End the isolate. Not for whoever holds the `turn`: its thread may wait for that."""
        isolate, self._isolate = self._isolate, None
        if isolate is not None:
            isolate.close()

    # --- items -------------------------------------------------------------------------------------------------------

    def _begin_call(self) -> None:
        self._results: list[Result] = []
        self._result_bytes = 0
        self._stopped: Result | None = None
        self._open = False
        self._running = 0
        self._cancelled = False
        self._waits_for = 0
        self._log_left = _MAX_LOG_UNITS
        self._lines_left_out = 0
        self._asks = 0
        self._asked_bytes = 0
        self._under_way: dict[int, _Asked] = {}
        self._answers: SimpleQueue[Answer | None] = SimpleQueue()

    def _prepare(self) -> None:
        """Have an isolate for what follows, and what the kernel holds the call to."""
        if self._isolate is None and not self._cancelled:
            self._make_isolate()
        self._worker.bounds.set(self._call.seconds, self._call.memory)

    def _make_isolate(self) -> None:
        self._inbox = deque()
        isolate = Isolate(self._worker.engine, self, self._call.memory)
        self._problem = isolate.load(self._source)
        self._isolate = isolate
        self._worker.bounds.look_again()

    def _go_on_without_the_spent(self) -> None:
        """End the isolate, and go on with the call; in another thread, as an isolate cannot be ended by its own."""
        try:
            with self._worker.turn:
                spent, self._isolate = self._isolate, None
            if spent is not None:
                spent.close()
            with self._worker.turn:
                self._spent = False
                if len(self._results) < len(self._call.items):
                    self._prepare()
                self._next_item()
        except BaseException:  # noqa: BLE001 - there is nobody above to raise it to, and the call would never end
            traceback.print_exc()
            os._exit(70)

    def _next_item(self) -> None:
        results, items = self._results, self._call.items
        if self._spent:
            threading.Thread(target=self._go_on_without_the_spent, daemon=True).start()
            return
        if self._cancelled or self._problem:
            same = _TIMED_OUT if self._cancelled else Result(Status.FAILED, self._problem.encode())
            results += [same] * (len(items) - len(results))
        if len(results) == len(items):
            if self._lines_left_out:
                self._worker.write(write_number(Kind.LEFT_OUT, min(self._lines_left_out, MAX_NUMBER)))
            self._worker.write(write_results(self._call.number, results))
            self._worker.done()
        else:
            self._run_item(items[len(results)])

    def _run_item(self, item: bytes) -> None:
        isolate = self._isolate
        if isolate is None:
            raise RuntimeError("a script without its isolate")
        self._stopped = None
        self._open = True
        isolate.put_data(item.decode("utf-8", "replace"), self._call.result)
        self._running = isolate.post(Task.RUN)
        isolate.post(Task.FINISH)

    def _settle(self, result: Result) -> None:
        self._open = False
        self._result_bytes += len(result.body)
        if len(result.body) > self._call.result or self._result_bytes > _MAX_RESULTS:
            result = Result(Status.TOO_LARGE, str(len(result.body)).encode())
        with self._worker.turn:  # a cancellation comes before the next item, or finds it
            self._results.append(result)
            self._next_item()

    # --- in the isolate's thread -------------------------------------------------------------------------------------

    def ended(self, task: Task, outcome: Outcome) -> None:
        """FINISH has ended, or another task was stopped; one that nobody waits for any more says nothing."""
        if outcome.failure:
            self._spent = True
            self._stopped = self._stopped or _stopped(outcome)
        if task is not Task.FINISH or not self._open:
            return
        if self._stopped is not None:
            self._settle(self._stopped)
            return
        told = outcome.text
        if told[:1] == b"T":
            self._spent = True
            told = told[1:]
        match told[:1]:
            case b"R":
                self._settle(Result(Status.DONE, told[1:]))
            case b"F":
                self._settle(Result(Status.FAILED, told[1:]))
            case b"G":
                self._settle(Result(Status.TOO_LARGE, told[1:]))
            case b"X":
                self._settle(_TIMED_OUT)
            case _:
                return

    def notified(self, what: What, number: int, text: str) -> None:
        """The prelude tells or asks something."""
        match what:
            case What.LOG if number:
                self._lines_left_out += number
            case What.LOG:
                self._log(text)
            case What.ASK:
                ask = self._begin_ask(number, text)
                if not self._cancelled:
                    self._worker.write(write_ask(ask))
            case What.ASK_AND_WAIT:
                self._ask_and_wait(self._begin_ask(number, text))
            case What.CHECK:
                if self._isolate is not None:
                    self._isolate.post(Task.FINISH)
            case What.TAKE:
                self._hand_over(self._inbox.popleft())
            case _:
                raise RuntimeError(f"the prelude told {what!r}")

    def _log(self, text: str) -> None:
        if self._log_left <= 0:
            self._lines_left_out += 1
            return
        self._log_left -= len(text) + _LINE_UNITS
        self._worker.write(frame(Kind.LOG, text.encode("utf-8", "replace")))

    def _begin_ask(self, number: int, text: str) -> Ask:
        """A number of the call's own, as those of isolates begin anew; waits where too much is under way already.

        What earlier items have asked for and not waited for counts, too.
        """
        body = text.encode("utf-8", "replace")
        with self._room:
            while not self._cancelled and self._is_too_much(len(body)):
                self._room.wait()
            self._asks += 1
            self._under_way[self._asks] = _Asked(self._isolate, number, len(body))
            self._asked_bytes += len(body)
            return Ask(self._asks, body)

    def _is_too_much(self, size: int) -> bool:
        return len(self._under_way) >= _MOST_ASKS or (
            self._asked_bytes > 0 and self._asked_bytes + size > _MOST_ASK_BYTES
        )

    def _ask_and_wait(self, ask: Ask) -> None:
        self._waits_for = ask.number
        if not self._cancelled:
            self._worker.write(write_ask(ask))
        answer = self._answers.get()
        self._waits_for = 0
        if answer is None:
            self._answers.put(None)
            answer = Answer(0, ask.number, ok=False, body=b"the call has run out of time")
        self._hand_over(answer)

    def _hand_over(self, answer: Answer) -> None:
        if self._isolate is not None:
            self._isolate.put(answer.body.decode("utf-8", "replace"), answer.number, int(answer.ok))


def _stopped(outcome: Outcome) -> Result:
    if outcome.out_of_memory:
        return _OUT_OF_MEMORY
    if outcome.terminated:
        return _TIMED_OUT
    return Result(Status.FAILED, outcome.failure.encode())
