"""One process and what it is doing: a call at a time, of one app, and the next one ready behind it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

import trio

from actors.functions.javascript.asks import Asks
from actors.functions.javascript.call import Ending, ScriptCall
from actors.functions.javascript.frames import (
    SIZE_DIGITS,
    Answer,
    Call,
    FrameError,
    Kind,
    Result,
    Status,
    most_of_results,
    read_ask,
    read_number,
    read_results,
    write_answer,
    write_call,
    write_number,
)
from actors.functions.javascript.messages import FunctionVersion
from actors.functions.javascript.outbox import Outbox
from actors.functions.javascript.process import Process, ProcessLostError
from actors.functions.javascript.scripts import LoadedScripts

GRACE = 0.5
"""How long after its time a call may take to end by itself, in seconds, before its process is ended."""

_MEMORY_SLACK = 32 * 1024 * 1024
# What a process may have grown by, in all its calls, before it makes room for a new one.
_RETIRED_ABOVE = 160 * 1024 * 1024
# Calls have numbers of 32 bits.
_MOST_CALLS = 1 << 31
# The prelude holds scripts to less; whoever passes these has broken out of it. A line costs something by itself.
_MAX_LOG_BYTES = 4 * 1024 * 1024
_LINE_BYTES = 64
_MAX_ASK_BYTES = 13 * 1024 * 1024
# A call may wait behind one that takes no longer than this: another process would hardly be free sooner.
_QUICK_SECONDS = 0.01
# If that takes longer than this after all, it is recalled.
_RECALL_SECONDS = 0.05


class Child:
    """Runs calls in its process, one at a time: so whatever it exceeds, it is known who did it.

    So that it need not rest between two calls, the next one of the same function may be sent `ahead`: it begins when
    the results of the one before it are written, and so it is known not to have begun while these have not come. Where
    these let it wait, it is recalled.

    `run` must be running. `freed` is called whenever it could take another call, `returned` with a call that was
    recalled before it had begun; `watch` is for a timer: it asks a call that is out of time to end, and ends the
    process that does not heed, or that takes too much memory.
    """

    def __init__(
        self,
        process: Process,
        scripts: int,
        nursery: trio.Nursery,
        freed: Callable[[Child], None],
        returned: Callable[[ScriptCall], None],
    ) -> None:
        self.process = process
        self.app: str | None = None
        self.function = ""
        self.since = self.idle_since = trio.current_time()
        self.ending: Ending | None = None
        self.running: ScriptCall | None = None
        self.ahead: ScriptCall | None = None
        self.problem = ""
        self.by_itself = False
        self.began = True
        self._nursery = nursery
        self._freed = freed
        self._returned = returned
        self._recalled = False
        self._settling: list[ScriptCall] = []
        self._scripts = LoadedScripts(scripts)
        self._outbox = Outbox(process, nursery)
        self._numbers = 0
        self._quick: FunctionVersion | None = None
        self._first_size = self._size = process.resident()
        self._most_memory = 0
        self._listen()

    @property
    def busy(self) -> bool:
        """Whether it can take no call now; once its end has begun, it can take none ever."""
        return self.running is not None or bool(self._settling) or self.ending is not None

    @property
    def running_calls(self) -> int:
        """How many have begun, and are not at their end."""
        return len(self._settling) + (self.running is not None)

    @property
    def scripts(self) -> int:
        """How many are loaded."""
        return len(self._scripts)

    @property
    def worn(self) -> bool:
        """Whether a new one should take its place: it has grown, or will run out of numbers."""
        return self._size - self._first_size > _RETIRED_ABOVE or self._numbers >= _MOST_CALLS

    def knows(self, version: FunctionVersion) -> bool:
        """Whether the script is loaded."""
        return version in self._scripts

    def takes_ahead(self, version: FunctionVersion) -> bool:
        """Whether a call may be sent behind the one that runs: of the same script, whose last one took no time."""
        return (
            self.running is not None
            and self.ahead is None
            and self._quick == version == self.running.version
            and not self._settling
            and self.ending is None
            and not self.worn
            and version in self._scripts
        )

    def forget(self, app: str, name: str) -> None:
        """Unload all versions of a function, with the next call of another."""
        if self.app == app:
            self._scripts.forget(name)

    def kill(self, ending: Ending) -> None:
        """End the process."""
        self.ending = self.ending or ending
        self.process.kill()

    async def run(self) -> None:
        """Take what the process says until it ends, and is reaped.

        Then `ending` and `problem` say why and how, `by_itself` whether nobody ended it, and `began` whether the call
        that ran there had begun, as far as can be known.
        """
        broken, unread = "", False
        try:
            while True:
                for kind, body in await self.process.receive():
                    self._take(kind, body)
        except ProcessLostError as error:
            unread = error.unread
        except FrameError as error:
            broken = f": {error}"
            self.kill(Ending.BROKEN)
        finally:
            await self._reap(broken, unread=unread)

    def begin(self, call: ScriptCall) -> None:
        """Run a call; there must be none."""
        self.app = call.version.app
        self.function = call.version.name
        self.running = call
        self._size = self.process.resident()
        self._start_clock(call)
        self._send_call(call, self._scripts.make_ready(call.version))

    def begin_ahead(self, call: ScriptCall) -> None:
        """Run a call once the one that runs has its results."""
        self.ahead = call
        self._recalled = False
        self._send_call(call, b"")

    def end(self, call: ScriptCall, now: float) -> None:
        """Nobody waits for this call any more: end it soon, if it runs here."""
        if call is self.running:
            self._expire(call, now, Ending.ABANDONED)
        elif call is self.ahead:
            self._recall(call)

    def watch(self, now: float) -> None:
        """Hold the call that runs to its time and its memory.

        Its grace begins when it is asked to end: where the daemon itself has stood still, its results may have come by
        then, and they are read before the next look.
        """
        call = self.running
        if call is None:
            return
        if self.ahead is not None and now > call.begun_at + _RECALL_SECONDS:
            self._recall(self.ahead)
        if self.process.resident() > self._most_memory:
            self.kill(Ending.MEMORY)
        elif call.expired_at is None:
            if now > call.deadline:
                self._expire(call, now, Ending.TIME)
        elif now > call.expired_at + GRACE:
            self.kill(Ending.TIME)

    # --- to the process ---------------------------------------------------------------------------------------------

    def _send_call(self, call: ScriptCall, before: bytes) -> None:
        self._numbers += 1
        call.number = self._numbers
        call.tries += 1
        limits = call.version.limits
        key = self._scripts[call.version]
        frame = write_call(Call(call.number, key, limits.seconds, limits.memory, limits.result, call.items))
        self._outbox.send(before + frame, call)
        self._listen()

    def _start_clock(self, call: ScriptCall) -> None:
        limits = call.version.limits
        call.begun_at = trio.current_time()
        call.host.begun(call.begun_at - call.since)
        call.deadline = call.begun_at + (0.0 if call.abandoned else limits.seconds)
        self._most_memory = self._size + limits.memory * 3 // 2 + _MEMORY_SLACK

    def _expire(self, call: ScriptCall, now: float, ending: Ending) -> None:
        """Ask the call to end now; what it asked for is cancelled."""
        if call.expired_at is None:
            call.expired_at = now
        if call.asks is not None:
            call.asks.cancel()
        if not self._outbox.send_nowait(write_number(Kind.CANCEL, call.number)):
            self.kill(ending)

    def _recall(self, call: ScriptCall) -> None:
        """Have a call back, unless it has begun by then."""
        if not self._recalled:
            self._recalled = self._outbox.send_nowait(write_number(Kind.RECALL, call.number))

    # --- from the process -------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take no longer frames than those that the calls here may send: none where there are none."""
        calls = [call for call in (self.running, self.ahead) if call is not None]
        results = [most_of_results(len(call.items), call.version.limits.result) for call in calls]
        self.process.listen(max(_MAX_ASK_BYTES, *results) if results else 0)

    def _take(self, kind: Kind, body: bytes) -> None:
        call = self.running
        if call is None:
            raise FrameError(f"a frame of kind {kind!r} while nothing runs")
        match kind:
            case Kind.RESULTS:
                self._finish(call, body)
            case Kind.LOG:
                call.log_bytes += len(body) + _LINE_BYTES
                if call.log_bytes > _MAX_LOG_BYTES:
                    raise FrameError("more log lines than a script can write")
                call.host.log(body.decode("utf-8", "replace"))
            case Kind.LEFT_OUT if not call.log_is_over:
                call.log_is_over = True
                call.host.left_out(read_number(body))
            case Kind.ASK:
                if call.asks is None:
                    call.asks = Asks(self._nursery, partial(self._answer, call), partial(self._settled, call))
                call.asks.begin(call.host, read_ask(body))
            case Kind.RECALLED:
                self._have_back(read_number(body))
            case _:
                raise FrameError(f"a frame of kind {kind!r} now")

    def _have_back(self, number: int) -> None:
        call = self.ahead
        if call is None or not self._recalled or number != call.number:
            raise FrameError(f"call {number} given back, which nobody wants back")
        self.ahead = None
        self._quick = None
        self._listen()
        self._returned(call)

    def _finish(self, call: ScriptCall, body: bytes) -> None:
        """A call has its results; what it has asked for and not waited for is seen through, unless it failed."""
        results = self._results(call, body)
        self.running, self.ahead = self.ahead, None
        self._listen()
        self._size = self.process.resident()
        if self.running is not None:
            self._start_clock(self.running)
        self._quick = call.version if trio.current_time() - call.begun_at < _QUICK_SECONDS else None
        if call.asks:
            call.results = results
            self._settling.append(call)
            call.asks.end_by(call.deadline)
            if call.abandoned or any(result.status is not Status.DONE for result in results):
                call.asks.cancel()
        self._freed(self)
        if not call.asks:
            call.reply.set(results)

    def _results(self, call: ScriptCall, body: bytes) -> list[Result]:
        """The results of a call that runs, as only a process that keeps to the rules has them."""
        number, results = read_results(body, len(call.items))
        if number != call.number or len(results) != len(call.items):
            raise FrameError(f"{len(results)} results of call {number}, in place of those of call {call.number}")
        most = max(call.version.limits.result, SIZE_DIGITS)
        if any(len(result.body) > most for result in results):
            raise FrameError(f"a result of more than {most} bytes")
        if self._outbox.holds(call):
            raise FrameError("results of a call that it has not read")
        return results

    def _settled(self, call: ScriptCall) -> None:
        """Nothing of what a call had asked for is under way any more."""
        if call.results is not None:
            self._settling.remove(call)
            call.reply.set(call.results)
            self._freed(self)

    async def _answer(self, call: ScriptCall, number: int, ok: bool, body: bytes) -> None:  # noqa: FBT001 - as Asks calls it
        if call is self.running:
            self._outbox.send(write_answer(Answer(call.number, number, ok, body)))
            await self._outbox.wait_empty()

    # --- its end ----------------------------------------------------------------------------------------------------

    async def _reap(self, broken: str, *, unread: bool) -> None:
        with trio.CancelScope(shield=True):
            self.process.kill()
            code = await self.process.reap()
            await self._outbox.wait_empty()
        if self.running is not None and self.running.asks is not None:
            self.running.asks.cancel()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        self.problem = how + broken
        self.by_itself = self.ending is None
        self.began = not (self.by_itself and self._outbox.left_unread(self.running, unread=unread))
        self.ending = self.ending or _ending(code)


def _ending(code: int) -> Ending:
    """What a process died of: V8 gives up by SIGTRAP, SIGILL or SIGABRT where memory is refused to it."""
    if code in (-signal.SIGTRAP, -signal.SIGABRT, -signal.SIGILL):
        return Ending.MEMORY
    if code in (-signal.SIGSEGV, -signal.SIGBUS):
        return Ending.BROKEN
    return Ending.TIME if code == -signal.SIGXCPU else Ending.LOST
