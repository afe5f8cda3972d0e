"""One process and what it is doing: a call at a time, of one app."""

from __future__ import annotations

import signal
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec
import structlog
import trio

from actors.errors import PenstockError
from actors.functions.javascript.frames import (
    MAX_FRAME,
    Answer,
    Ask,
    Call,
    FrameError,
    Kind,
    Load,
    Result,
    Status,
    read_ask,
    read_results,
    write_answer,
    write_call,
    write_load,
    write_number,
)
from actors.functions.javascript.messages import FunctionVersion, Host
from actors.functions.javascript.process import Process, ProcessLostError

log = structlog.get_logger()

GRACE = 0.5
"""How long after its time a call may take to end by itself, in seconds, before its process is ended."""

_MEMORY_SLACK = 32 * 1024 * 1024
# What a process may have grown by, in all its calls, before it makes room for a new one.
_RETIRED_ABOVE = 160 * 1024 * 1024
# The prelude holds scripts to less; whoever passes these has broken out of it.
_MAX_ASKS = 128
_MAX_ASK_BYTES = 32 * 1024 * 1024
_MAX_LOG_BYTES = 4 * 1024 * 1024
# Of what a call asks for, so much is done at a time: each may bring megabytes, which lie here until they are taken.
_MOST_AT_WORK = 8


class Ending(Enum):
    """Why a process was ended by force."""

    TIME = "time"
    MEMORY = "memory"
    ABANDONED = "abandoned"
    LOST = "lost"
    BROKEN = "broken"
    """It crashed, or did what no script can."""


class ChildLostError(PenstockError):
    """The process ended under its call; `ending` says why. `began` is false where the call never reached it."""

    def __init__(self, message: str, ending: Ending, *, began: bool = True) -> None:
        super().__init__(message)
        self.ending = ending
        self.began = began


class Child:
    """Runs calls in its process, one at a time: so whatever it exceeds, it is known who did it.

    `watch` is for a timer: it asks a call that is out of time to end, and ends the process that does not heed, or that
    takes too much memory. A call that ends in any other way than by its results leaves the process of no use.
    """

    def __init__(self, process: Process, scripts: int) -> None:
        self.process = process
        self.app: str | None = None
        self.busy = False
        self.function = ""
        self.idle_since = trio.current_time()
        self.ending: Ending | None = None
        self._most_scripts = scripts
        self._scripts: OrderedDict[FunctionVersion, int] = OrderedDict()
        self._forgotten: list[int] = []
        self._keys = 0
        self._number = 0
        self._running = False
        self._begun = False
        self._spoken = False
        self._sending = False
        self._deadline = 0.0
        self._expired = False
        self._most_memory = 0
        self._first_size = process.resident()
        self._asks: set[trio.CancelScope] = set()
        self._ask_bytes = 0
        self._log_bytes = 0

    @property
    def scripts(self) -> int:
        """How many are loaded."""
        return len(self._scripts)

    @property
    def worn(self) -> bool:
        """Whether a new one should take its place: it has grown, or an answer to it was cut off in the middle."""
        return self._sending or self.process.resident() - self._first_size > _RETIRED_ABOVE

    def knows(self, version: FunctionVersion) -> bool:
        """Whether the script is loaded."""
        return version in self._scripts

    def forget(self, app: str, name: str) -> None:
        """Unload all versions of a function, with the next call of another."""
        if self.app == app:
            for version in [version for version in self._scripts if version.name == name]:
                self._forgotten.append(self._scripts.pop(version))

    def kill(self, ending: Ending) -> None:
        """End the process."""
        self.ending = self.ending or ending
        self.process.kill()

    def watch(self, now: float) -> None:
        """Hold the call that runs to its time and its memory."""
        if self._running and self.process.resident() > self._most_memory:
            self.kill(Ending.MEMORY)
        elif self._running and now > self._deadline + GRACE:
            self.kill(Ending.TIME)
        elif now > self._deadline and not self._expired:
            self._expire()

    def _expire(self) -> None:
        """Ask the call to end now; what it asked for is cancelled."""
        self._expired = True
        for scope in self._asks:
            scope.cancel()
        if self._running and (self._sending or not self.process.send_nowait(write_number(Kind.CANCEL, self._number))):
            self.kill(Ending.TIME)

    async def call(self, version: FunctionVersion, items: Sequence[bytes], host: Host) -> list[Result]:
        """Run a script on each of the items; as many results.

        What it has asked for meanwhile and not waited for is seen through, unless it failed.

        Raises:
            ChildLostError: the process ended.
        """
        try:
            await self._send(self._begin(version, items))
            return await self._results(host)
        except (ProcessLostError, FrameError) as error:
            if isinstance(error, FrameError):
                self.kill(Ending.BROKEN)
            raise await self._lost(error) from error

    async def drain(self) -> None:
        """See the end of a call that nobody waits for any more.

        Raises:
            ChildLostError: the process ended.
        """
        if not self._running and self.ending is None:
            return  # its results had come; it was what it had asked for that was still seen through
        try:
            await self._results(_Nobody())
        except (ProcessLostError, FrameError) as error:
            self.kill(Ending.LOST)
            raise await self._lost(error) from error

    def abandon(self, now: float) -> bool:
        """The caller has gone: end the call soon. False where that cannot be done but by force."""
        self._deadline = min(self._deadline, now)
        if not self._sending and self.ending is None:
            self._expire()
        return self.ending is None and not self._sending

    # --- a call -----------------------------------------------------------------------------------------------------

    def _begin(self, version: FunctionVersion, items: Sequence[bytes]) -> bytes:
        limits = version.limits
        self._number += 1
        self._running = True
        self._begun = False
        self._expired = False
        self._log_bytes = 0
        self._deadline = trio.current_time() + limits.seconds
        self._most_memory = self.process.resident() + limits.memory * 3 // 2 + _MEMORY_SLACK
        parts = [write_number(Kind.FORGET, key) for key in self._forgotten]
        self._forgotten.clear()
        key = self._scripts.get(version)
        if key is None:
            if len(self._scripts) >= self._most_scripts:
                parts.append(write_number(Kind.FORGET, self._scripts.popitem(last=False)[1]))
            self._keys += 1
            key = self._scripts[version] = self._keys
            parts.append(write_load(Load(key, version.source)))
        else:
            self._scripts.move_to_end(version)
        parts.append(write_call(Call(self._number, key, limits.seconds, limits.memory, limits.result, items)))
        return b"".join(parts)

    async def _send(self, data: bytes) -> None:
        self._spoken = self._begun
        self._begun = True
        self._sending = True
        await self.process.send(data)
        self._sending = False

    async def _results(self, host: Host) -> list[Result]:
        while True:
            for place, (kind, body) in enumerate(frames := await self.process.receive()):
                if kind is Kind.RESULTS:
                    return self._checked(body)
                if kind is Kind.LOG:
                    self._log(host, body)
                else:
                    return await self._results_with_asks(host, frames[place:])

    async def _results_with_asks(self, host: Host, frames: Sequence[tuple[Kind, bytes]]) -> list[Result]:
        """Likewise, once something was asked for."""
        lock = trio.Lock()
        room = trio.CapacityLimiter(_MOST_AT_WORK)
        results: list[Result] | None = None
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                while results is None:
                    results = self._taken(host, frames, nursery, lock, room)
                    if results is None:
                        frames = await self.process.receive()
                if any(result.status is not Status.DONE for result in results):
                    nursery.cancel_scope.cancel()
            except (ProcessLostError, FrameError) as error:
                failure = error  # raised again outside of the nursery, which would wrap it into a group
                nursery.cancel_scope.cancel()
        if results is None:
            raise failure or ProcessLostError("the process has ended")
        return results

    def _taken(
        self,
        host: Host,
        frames: Sequence[tuple[Kind, bytes]],
        nursery: trio.Nursery,
        lock: trio.Lock,
        room: trio.CapacityLimiter,
    ) -> list[Result] | None:
        for kind, body in frames:
            match kind:
                case Kind.RESULTS:
                    return self._checked(body)
                case Kind.LOG:
                    self._log(host, body)
                case Kind.ASK if len(self._asks) < _MAX_ASKS and self._ask_bytes + len(body) <= _MAX_ASK_BYTES:
                    scope = trio.CancelScope()
                    self._asks.add(scope)
                    self._ask_bytes += len(body)
                    nursery.start_soon(self._answer, host, read_ask(body), scope, lock, room)
                case _:
                    raise FrameError(f"a frame of kind {kind!r} now")
        return None

    def _checked(self, body: bytes) -> list[Result]:
        number, results = read_results(body)
        if number != self._number:
            raise FrameError(f"results of call {number} in place of {self._number}")
        self._running = False
        return results

    def _log(self, host: Host, body: bytes) -> None:
        self._log_bytes += len(body)
        if self._log_bytes > _MAX_LOG_BYTES:
            raise FrameError("more log lines than a script can write")
        host.log(body.decode("utf-8", "replace"))

    async def _answer(
        self, host: Host, ask: Ask, scope: trio.CancelScope, lock: trio.Lock, room: trio.CapacityLimiter
    ) -> None:
        number = self._number
        try:
            with scope:
                async with room:
                    await self._answer_one(host, ask, number, lock)
        except ProcessLostError:
            pass  # whoever waits for the results hears of it
        finally:
            self._asks.discard(scope)
            self._ask_bytes -= len(ask.body)

    async def _answer_one(self, host: Host, ask: Ask, number: int, lock: trio.Lock) -> None:
        ok, body = await _answered(host, ask)
        async with lock:
            if number == self._number and self._running:
                await self._send(write_answer(Answer(number, ask.number, ok, body)))

    # --- its end ----------------------------------------------------------------------------------------------------

    async def _lost(self, error: Exception) -> ChildLostError:
        # Where nothing was sent behind the call, what was left unread is the call.
        unread = isinstance(error, ProcessLostError) and error.unread
        began = not unread or self._spoken or self.ending is not None
        with trio.CancelScope(shield=True):
            self.process.kill()
            code = await self.process.wait()
        if self.ending is None:
            self.ending = _ending(code)
            log.warning(
                "process of scripts ended by itself", app=self.app, code=code, ending=self.ending.value,
                told=self.process.told()[:300],
            )  # fmt: skip
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        why = f": {error}" if isinstance(error, FrameError) else ""
        return ChildLostError(f"{how}{why}", self.ending, began=began)


class _Nobody:
    """The host of a call that nobody waits for any more."""

    def log(self, message: str) -> None:
        """Nobody hears it."""

    async def call(self, operation: str, arguments: object) -> None:  # noqa: ARG002 - as Host says
        """Nothing is done any more."""
        raise PenstockError("the caller has gone")


async def _answered(host: Host, ask: Ask) -> tuple[bool, bytes]:
    name, _, text = ask.body.partition(b" ")
    operation = name.decode("utf-8", "replace")
    try:
        arguments = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        return False, f"{operation}: the arguments cannot be read: {error}".encode()
    try:
        answer = await host.call(operation, arguments)
        body = b"" if answer is None else msgspec.json.encode(answer, enc_hook=str)
    except PenstockError as error:
        return False, str(error).encode("utf-8", "replace")
    except Exception as error:
        log.exception("what a script asked for failed", operation=operation)
        return False, f"{operation} failed: {type(error).__name__}".encode()
    if len(body) > MAX_FRAME - 1024:
        return False, f"the answer has {len(body)} bytes, which is too much for a script".encode()
    return True, body


def _ending(code: int) -> Ending:
    """What a process died of: V8 gives up by SIGTRAP, SIGILL or SIGABRT where memory is refused to it."""
    if code in (-signal.SIGTRAP, -signal.SIGABRT, -signal.SIGILL):
        return Ending.MEMORY
    if code in (-signal.SIGSEGV, -signal.SIGBUS):
        return Ending.BROKEN
    return Ending.TIME if code == -signal.SIGXCPU else Ending.LOST
