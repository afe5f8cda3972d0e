"""JavaScript functions, run where they can do no harm.

They are not trusted. V8's own limits do not hold (array buffers, WebAssembly and strings pass them by gigabytes), and
what shares a process with them is theirs if V8 has a fault. Hence, in this order:

- A script runs in a process that has nothing: no environment, file, socket, or right to start another process
  (`guest/confinement.py`). Scripts of two apps never share one.
- A process runs one call at a time. So whatever is exceeded, it is known who did it, and nobody else's call has begun
  there when the process is ended; the next call of the same function may lie ready behind it. Calls that wait for a
  database hold their process meanwhile: `functions.javascript` says how many there may be, and how many of them one
  app may have. One function never gets all of its app's.
- Each script has an isolate of its own in that process, with every intrinsic frozen, and each call a scope of its own:
  what it leaves behind dies with it (`guest/prelude.js`).
- A call that is out of time is asked to end, which V8 does within a loop or a regular expression; half a second later
  its process is ended. Memory is held by V8 (the heap), the kernel (RLIMIT_DATA), and by looking at the resident
  size every few milliseconds while calls run.
- Another process is in reserve, so that the next call need not wait for a start. A function whose processes must be
  ended again and again is refused for a while, and longer each time.

A call whose process ends under it fails and says so. It is run again, on another process, only where it had not begun
in the first one: that had not even read it, or had not written the results of the call before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import trio

from actors.errors import (
    FunctionBusyError,
    FunctionError,
    FunctionFailedError,
    FunctionLostError,
    FunctionMemoryError,
    FunctionResultTooLargeError,
    FunctionTimeoutError,
)
from actors.functions.javascript.call import CallLostError, Ending, ScriptCall
from actors.functions.javascript.frames import MAX_FRAME, Result, Status
from actors.functions.javascript.messages import FunctionVersion, Host, RuntimeStatistics
from actors.functions.javascript.penalties import Penalties
from actors.functions.javascript.pool import Pool
from actors.functions.messages import FunctionFailure
from actors.sizes import size_words
from config.settings import JavaScriptSettings

_WATCH_SECONDS = 0.01
# What has fewer brackets is not looked at; and whoever decodes it may be so much deeper in its stack than we are.
_MARGIN = 250


class JavaScriptRuntime:
    """Runs scripts; a child of the supervisor of functions.

    runtime = JavaScriptRuntime(settings.functions.javascript)
    ...  # its `run` is running
    result = await runtime.call(FunctionVersion("parking", "price", 3, source, Limits(seconds=2)), b'{"lot":7}', host)
    """

    def __init__(self, settings: JavaScriptSettings) -> None:
        self._penalties = Penalties()
        self._pool = Pool(settings, self._penalties)
        self._stop = trio.Event()
        self._work = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve calls until `stop`, and those that run then to their end."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            await self._pool.run(self._stop, started)
            nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """Take no more calls."""
        self._stop.set()

    def prepare(self) -> None:
        """There is a function now: have a process ready."""
        self._pool.prepare()

    def forget(self, app: str, name: str) -> None:
        """A function is gone, or has a new version."""
        self._penalties.forget(app, name)
        for child in self._pool.children:
            child.forget(app, name)

    async def call(self, version: FunctionVersion, data: bytes, host: Host) -> bytes:
        """Run a script on one JSON value; its result is JSON.

        Raises:
            FunctionBusyError: it did not run: too many calls wait, or the function is refused for a while.
            FunctionFailedError, FunctionTimeoutError, FunctionMemoryError, FunctionResultTooLargeError,
            FunctionLostError: it brought no result.
        """
        (result,) = await self._run(version, [data], host)
        result = _shallow(result)
        if result.status is Status.DONE:
            return result.body
        raise _error(version, result)

    async def call_batch(
        self, version: FunctionVersion, items: Sequence[bytes], host: Host
    ) -> list[bytes | FunctionFailure]:
        """Run a script on each of the values, as one call with one time-out; results in their order.

        An item that failed has a FunctionFailure in its place; once the time is over, all that follow have.

        Raises:
            as `call`, where it concerns the whole batch.
        """
        if not items:
            return []
        results = map(_shallow, await self._run(version, items, host))
        return [
            result.body
            if result.status is Status.DONE
            else FunctionFailure(_error(version, result), for_want_of_room=_for_want_of_room(version, result, place))
            for place, result in enumerate(results)
        ]

    def statistics(self) -> RuntimeStatistics:
        """What it has seen so far."""
        pool, counts = self._pool, self._pool.counts
        return RuntimeStatistics(
            children=len(pool.children),
            isolates=sum(child.scripts for child in pool.children),
            running=pool.running,
            waiting=pool.waiting,
            calls=counts.calls,
            starts=counts.starts,
            cold_starts=counts.cold_starts,
            cold_start=counts.cold_start,
            retired=counts.retired,
            kills=dict(counts.kills),
        )

    # --- a call -----------------------------------------------------------------------------------------------------

    async def _run(self, version: FunctionVersion, items: Sequence[bytes], host: Host) -> list[Result]:
        self._admit(version, items)
        call = ScriptCall(version, items, host)
        self._pool.submit(call)
        self._work.set()
        try:
            return await call.reply.wait()
        except CallLostError as error:
            raise _lost(version, error) from error
        except trio.Cancelled:
            self._pool.abandon(call)
            raise

    def _admit(self, version: FunctionVersion, items: Sequence[bytes]) -> None:
        if self._stop.is_set():
            raise FunctionBusyError(version.name, version.version, "the daemon is about to end; it did not run")
        refused = self._penalties.refused(version.app, version.name, version.version, trio.current_time())
        if refused:
            raise FunctionBusyError(
                version.name, version.version,
                f"its processes had to be ended again and again; it is refused for another {refused:.1f} s",
            )  # fmt: skip
        size = sum(map(len, items))
        most = MAX_FRAME - 4096 * 4 - 8 * len(items)
        if size > most:
            reason = f"its data has {size} bytes, and at most {size_words(most)} go"
            raise FunctionFailedError(version.name, version.version, reason)

    async def _watch(self) -> None:
        """Hold calls to time and memory, and those who wait to their patience; looks only while there are any."""
        while True:
            await self._work.wait()
            await trio.sleep(_WATCH_SECONDS)
            now = trio.current_time()
            self._pool.expire(now)
            busy = self._pool.waiting > 0
            for child in self._pool.children:
                if child.busy:
                    busy = True
                    child.watch(now)
            if not busy:
                self._work = trio.Event()


def _lost(version: FunctionVersion, error: CallLostError) -> FunctionError:
    match error.ending:
        case Ending.TIME:
            return _error(version, Result(Status.TIMED_OUT, b""))
        case Ending.MEMORY:
            return _error(version, Result(Status.OUT_OF_MEMORY, b""))
        case _:
            return FunctionLostError(
                version.name, version.version,
                f"its process ended under it, {error}; what it had done until then is done",
            )  # fmt: skip


def _shallow(result: Result) -> Result:
    """A result that whoever decodes it can decode: V8 writes JSON as deep as its own stack."""
    body = result.body
    if result.status is not Status.DONE or body.count(b"[") + body.count(b"{") < _MARGIN:
        return result
    try:
        msgspec.json.decode(b"[" * _MARGIN + body + b"]" * _MARGIN, type=msgspec.Raw)
    except (RecursionError, msgspec.DecodeError):
        return Result(Status.FAILED, b"its result is nested too deeply")
    return result


def _for_want_of_room(version: FunctionVersion, result: Result, place: int) -> bool:
    """Whether an item may have failed only because of those before it in its batch."""
    if result.status is Status.TOO_LARGE:
        return int(result.body) <= version.limits.result
    return place > 0 and result.status is Status.TIMED_OUT


def _error(version: FunctionVersion, result: Result) -> FunctionError:
    name, number, limits = version.name, version.version, version.limits
    match result.status:
        case Status.TOO_LARGE:
            return FunctionResultTooLargeError(
                name,
                number,
                f"its result has {result.body.decode()} bytes, "
                f"and may have {size_words(limits.result)} (`max_result_bytes`)",
            )
        case Status.TIMED_OUT:
            return FunctionTimeoutError(
                name, number, f"it took longer than {limits.seconds * 1000:.0f} ms (`timeout_ms`), and was ended"
            )
        case Status.OUT_OF_MEMORY:
            return FunctionMemoryError(
                name, number, f"it took more memory than {size_words(limits.memory)} (`max_memory`), and was ended"
            )
        case _:
            return FunctionFailedError(name, number, result.body.decode("utf-8", "replace"))
