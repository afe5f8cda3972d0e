"""The functions that run: by name, the deployed version of each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import msgspec

from actors.errors import (
    ConfigurationError,
    FunctionBusyError,
    FunctionError,
    FunctionFailedError,
    FunctionLostError,
    FunctionMemoryError,
    FunctionMissingError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.functions.context import RunContext
from actors.functions.messages import FunctionFailure
from actors.functions.program import SAVED, Program, Programs
from actors.functions.reach import Reach
from actors.functions.runs import FunctionStatistics, LogLine, Outcome, Run, RunHistory
from actors.runtime.admission import Admission, AdmissionFullError
from config.resources import Function

_OUTCOMES: Mapping[type[FunctionError], Outcome] = {
    FunctionFailedError: "failed",
    FunctionTimeoutError: "timed out",
    FunctionMemoryError: "out of memory",
    FunctionResultTooLargeError: "too large",
    FunctionLostError: "lost",
    FunctionBusyError: "busy",
}
# What a function says of its failure may be of any length.
_REASON_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Tried:
    """A test of a function: its result (decoded JSON) or the error, what it logged, how long it took in seconds."""

    result: Any
    error: str
    outcome: Outcome
    lines: Sequence[LogLine]
    left_out: int
    seconds: float


@dataclass(slots=True)
class _Running:
    """One version of a function at work; whoever calls it holds on to it until the call has ended."""

    function: Function
    version: int
    program: Program
    admission: Admission


class _Entry:
    """What is known of one function: the version that runs, or why none does, and what its calls were."""

    __slots__ = ("function", "history", "problem", "running", "version")

    def __init__(self, function: Function, version: int, history: RunHistory) -> None:
        self.function = function
        self.version = version
        self.running: _Running | None = None
        self.problem = ""
        self.history = history

    def goes_on(self, function: Function, version: int) -> bool:
        """Whether what runs is this version, whatever else may have changed about the function."""
        if self.running is None or version != self.version:
            return False
        return msgspec.structs.replace(function, shared_with=self.function.shared_with) == self.function


class Functions:
    """Calls functions by name (a `FunctionCalls`), and remembers the last runs of each.

    `kept` runs are remembered of each function, and as many that failed, with `kept_bytes` of logs; `clock` tells
    seconds since the epoch.
    """

    def __init__(
        self,
        programs: Programs,
        reach: Reach,
        kept: int,
        clock: Callable[[], float] = time.time,
        *,
        kept_bytes: int = 1024 * 1024,
    ) -> None:
        self._programs = programs
        self._reach = reach
        self._kept = kept, kept_bytes
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    async def call(self, name: str, data: Any, app: str, called_by: str = "") -> Any:
        """Run a function on one JSON value, for an app (see `FunctionCalls.call`)."""
        entry, running = self._callable(name, app)
        with_room = running.admission
        waited = 0.0 if with_room.enter_nowait() else await self._wait(entry, running)
        try:
            context = RunContext(self._reach, name, running.version, entry.function.app, app)
            with self._recorded(entry, context, _Record(1, called_by, waited)) as record:
                encoded = await running.program.call(data, context)
                record.bytes = len(encoded)
                return _decoded(encoded, name, running.version)
        finally:
            with_room.leave()

    async def call_batch(self, name: str, items: Sequence[Any], app: str, called_by: str = "") -> list[Any]:
        """Run a function on several values (see `FunctionCalls.call_batch`)."""
        entry, running = self._callable(name, app)
        if not items:
            return []
        waited = 0.0 if running.admission.enter_nowait() else await self._wait(entry, running)
        try:
            context = RunContext(self._reach, name, running.version, entry.function.app, app)
            with self._recorded(entry, context, _Record(len(items), called_by, waited)) as record:
                answers = await running.program.call_batch(items, context)
                results = [_result(one, name, running.version) for one in answers]
                record.take(answers, results)
                return results
        finally:
            running.admission.leave()

    def problem(self, name: str, app: str) -> str:
        """Why a function could not be called by an app now; empty where it can."""
        try:
            self._callable(name, app)
        except FunctionMissingError as error:
            return str(error)
        return ""

    def edition(self, name: str) -> object | None:
        """What runs of a function now (see `FunctionCalls.edition`)."""
        entry = self._entries.get(name)
        return None if entry is None else entry.running

    async def trial(self, function: Function, data: Any) -> Tried:
        """Run a function as it is given, deployed or not, as its own app would; this is for real.

        Raises:
            ConfigurationError: its code is not there.
        """
        program = self._programs.make(function, SAVED)
        context = RunContext(self._reach, function.name, SAVED, function.app, function.app)
        entry = self._entries.get(function.name) or _Entry(function, SAVED, RunHistory(*self._kept))
        error = ""
        outcome: Outcome = "done"
        result = None
        started = perf_counter()
        try:
            with self._recorded(entry, context, _Record(1, "test")) as record:
                encoded = await program.call(data, context)
                record.bytes = len(encoded)
                result = _decoded(encoded, function.name, SAVED)
        except FunctionError as failed:
            error, outcome = failed.reason, _outcome(failed)
        finally:
            program.close()
        lines = context.lines
        return Tried(
            result=result,
            error=error,
            outcome=outcome,
            lines=() if lines is None else lines.lines,
            left_out=0 if lines is None else lines.left_out,
            seconds=perf_counter() - started,
        )

    def put(self, function: Function, version: int, *, anew: bool = False) -> None:
        """Run this version from now on; calls in flight finish with what they began with.

        One that runs already goes on, whoever may call it now, unless it is to be made `anew` (its module was). One
        that cannot run takes the place of the one before it all the same: each call is told why.
        """
        entry = self._entries.get(function.name)
        if entry is None:
            entry = self._entries[function.name] = _Entry(function, version, RunHistory(*self._kept))
        elif not anew and entry.goes_on(function, version):
            entry.function = function
            return
        entry.function, entry.version = function, version
        before, entry.running, entry.problem = entry.running, None, ""
        if before is not None:
            before.program.close()
        if not version:
            entry.problem = f"it is not deployed: penstock function deploy {function.name}"
        elif not function.enabled:
            entry.problem = "it is disabled (`enabled: false`)"
        else:
            self._start(entry)

    def remove(self, name: str) -> None:
        """Forget a function."""
        entry = self._entries.pop(name, None)
        if entry is not None and entry.running is not None:
            entry.running.program.close()

    def names(self) -> Sequence[str]:
        """The functions that there are, deployed or not, those applied first before the others."""
        return tuple(self._entries)

    def state(self, name: str) -> tuple[int, str]:
        """Which version of a function runs (0: none), and why none does."""
        entry = self._entries.get(name)
        return (0, "") if entry is None else (entry.version if entry.running else 0, entry.problem)

    def statistics(self, name: str) -> FunctionStatistics | None:
        """What a function has done; None where there is none."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        history = entry.history
        admission = entry.running.admission.statistics() if entry.running is not None else None
        return FunctionStatistics(
            calls=history.calls,
            items=history.items,
            seconds=history.seconds,
            outcomes=dict(history.outcomes),
            running=0 if admission is None else admission.running,
            waiting=0 if admission is None else admission.waiting,
            waited=0.0 if admission is None else admission.waited,
            unstored=history.unstored,
        )

    def history(self, name: str) -> RunHistory | None:
        """The last runs of a function; None where there is no such function."""
        entry = self._entries.get(name)
        return None if entry is None else entry.history

    def histories(self) -> Sequence[tuple[str, RunHistory]]:
        """The last runs of every function."""
        return [(name, entry.history) for name, entry in self._entries.items()]

    def remember(self, stored: Mapping[str, Iterable[Run]]) -> None:
        """Go on from the runs that were stored of functions, by name and in order; to be told before the first call."""
        for name, runs in stored.items():
            entry = self._entries.get(name)
            if entry is not None:
                entry.history.restore(runs)

    def _start(self, entry: _Entry) -> None:
        function = entry.function
        try:
            program = self._programs.make(function, entry.version)
        except ConfigurationError as error:
            entry.problem = str(error)
            return
        admission = Admission(function.concurrency, function.queue, function.timeout_ms / 1000)
        entry.running = _Running(function, entry.version, program, admission)

    def _callable(self, name: str, app: str) -> tuple[_Entry, _Running]:
        entry = self._entries.get(name)
        if entry is None:
            raise FunctionMissingError(name, 0, "there is none of this name")
        function = entry.function
        if app != function.app and app not in function.shared_with:
            reason = f"it belongs to app {function.app}, which does not share it with app {app}"
            raise FunctionMissingError(name, 0, reason)
        if entry.running is None:
            raise FunctionMissingError(name, entry.version, entry.problem)
        return entry, entry.running

    async def _wait(self, entry: _Entry, running: _Running) -> float:
        """Seconds that it took until there was room."""
        since = perf_counter()
        try:
            await running.admission.enter()
        except AdmissionFullError as error:
            entry.history.count_busy()
            function = running.function
            queue = function.concurrency if function.queue is None else function.queue
            reason = f"it is busy: {error} (`concurrency` {function.concurrency}, `queue` {queue})"
            raise FunctionBusyError(function.name, running.version, reason) from None
        return perf_counter() - since

    @contextmanager
    def _recorded(self, entry: _Entry, context: RunContext, record: _Record) -> Iterator[_Record]:
        at = int(self._clock() * 1000)
        started = perf_counter()
        try:
            yield record
        except FunctionError as error:
            record.fail(_outcome(error), error.reason)
            raise
        except BaseException:
            record.fail("abandoned", "whoever called it did not wait for its end")
            raise
        finally:
            lines = context.lines
            took = perf_counter() - started
            waited = took if record.outcome == "busy" else context.waited
            entry.history.add(
                Run(
                    entry.history.next_number(),
                    at,
                    context.version,
                    context.caller,
                    record.called_by,
                    record.items,
                    record.failed,
                    record.waited + waited,
                    took - waited,
                    record.outcome,
                    record.reason,
                    record.bytes,
                    () if lines is None else tuple(lines.lines),
                    0 if lines is None else lines.left_out,
                )
            )


class _Record:
    """What is known of a run while it lasts."""

    __slots__ = ("bytes", "called_by", "failed", "items", "outcome", "reason", "waited")

    def __init__(self, items: int, called_by: str, waited: float = 0.0) -> None:
        self.items = items
        self.called_by = called_by
        self.waited = waited
        self.failed = 0
        self.bytes = 0
        self.outcome: Outcome = "done"
        self.reason = ""

    def fail(self, outcome: Outcome, reason: str) -> None:
        """It brought no result, whatever part of it did."""
        self.outcome = outcome
        self.reason = reason[:_REASON_KEPT]
        self.failed = self.items

    def take(self, answers: Sequence[bytes | FunctionFailure], results: Sequence[Any]) -> None:
        """Count what a batch brought; the first failure tells why."""
        self.bytes = sum(len(one) for one in answers if isinstance(one, bytes))
        for one in results:
            if isinstance(one, FunctionFailure):
                self.failed += 1
                self.reason = self.reason or one.error.reason[:_REASON_KEPT]


def _decoded(encoded: bytes, name: str, version: int) -> Any:
    try:
        return msgspec.json.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FunctionFailedError(name, version, f"its answer is no JSON: {_unreadable(encoded, error)}") from error


def _unreadable(encoded: bytes, error: Exception) -> str:
    """What is wrong with an answer: half a surrogate pair is all that only one of the two readers takes."""
    try:
        json.loads(encoded)
    except (ValueError, RecursionError):
        return str(error)
    return "a text has half a character in it (a lone surrogate), as where an emoji is cut in two"


def _result(answer: bytes | FunctionFailure, name: str, version: int) -> Any:
    if isinstance(answer, FunctionFailure):
        return answer
    try:
        return _decoded(answer, name, version)
    except FunctionFailedError as error:
        return FunctionFailure(error)


def _outcome(error: FunctionError) -> Outcome:
    return _OUTCOMES.get(type(error), "failed")
