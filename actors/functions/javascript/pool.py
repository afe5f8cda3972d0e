"""The processes, and which of them runs a call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import structlog
import trio

from actors.errors import FunctionBusyError
from actors.functions.javascript.call import CallLostError, Ending, ScriptCall
from actors.functions.javascript.child import Child
from actors.functions.javascript.lines import Key, Lines
from actors.functions.javascript.penalties import Penalties
from actors.functions.javascript.placement import Bounds, Other, choose, longest_at_rest
from actors.functions.javascript.process import Process, ProcessLostError, Spawner
from config.settings import JavaScriptSettings

log = structlog.get_logger()

_START_AGAIN_SECONDS = 1.0
_STARTS_IN_A_ROW = 3
# A process that another app waits for serves its own for so long, as a start costs a fifth of a second of a processor.
_TURN_SECONDS = 0.5
# How many processes a call may find dead before it is given up.
_ATTEMPTS = 4


@dataclass(slots=True)
class PoolCounts:
    """What has happened; `cold_start` is how long the last start took, in seconds."""

    calls: int = 0
    starts: int = 0
    cold_starts: int = 0
    cold_start: float = 0.0
    retired: int = 0
    kills: dict[str, int] = field(default_factory=dict)


class Pool:
    """Processes for calls: made when they are needed, ended when nobody needs them.

    A process serves one app, from its first call on; one that has served none yet is kept in reserve once there was a
    call, so that neither a new app nor whoever lost its process waits for a start. Who waits does so in line with the
    calls of the same function, and the lines take turns. `run` must be running.
    """

    def __init__(self, settings: JavaScriptSettings, penalties: Penalties) -> None:
        self._settings = settings
        self._penalties = penalties
        self._bounds = Bounds(
            settings.max_processes, min(settings.max_processes_per_app, max(1, settings.max_processes - 1))
        )
        self._spawner = Spawner()
        self.children: list[Child] = []
        self.counts = PoolCounts()
        self._lines = Lines(settings.max_waiting)
        self._starting = 0
        self._failed_starts = 0
        self._start_again_at = 0.0
        self._nursery: trio.Nursery | None = None
        self._keepers: trio.Nursery | None = None
        self._rest: trio.Event | None = None

    @property
    def waiting(self) -> int:
        """How many calls wait for a process, or behind the call that runs in theirs."""
        return len(self._lines) + sum(child.ahead is not None for child in self.children)

    @property
    def running(self) -> int:
        """How many calls run."""
        return sum(child.running_calls for child in self.children)

    async def run(self, stop: trio.Event, started: Callable[[], None]) -> None:
        """Serve until `stop`, and then the calls that run to their end; end every process, whatever it does."""
        async with trio.open_nursery() as nursery:
            try:
                async with trio.open_nursery() as working:
                    self._nursery, self._keepers = working, nursery
                    working.start_soon(self._end_the_idle)
                    try:
                        started()
                        await stop.wait()
                        while self.running:
                            self._rest = trio.Event()
                            await self._rest.wait()
                    finally:
                        self._nursery = None
                        working.cancel_scope.cancel()
            finally:
                self._refuse_all("the daemon is about to end")
                for child in self.children:
                    child.kill(Ending.ABANDONED)
                self._spawner.close()

    def submit(self, call: ScriptCall) -> None:
        """Run a call as soon as a process is free; its `reply` tells what becomes of it."""
        call.since = trio.current_time()
        if self._nursery is None:
            self._refuse(call, "the daemon is about to end")
            return
        if not self._lines:
            child = choose(call.version, self.children, self._starting, self._bounds)
            if isinstance(child, Child):
                self._give(child, call)
                return
        self._wait(call)

    def abandon(self, call: ScriptCall) -> None:
        """Whoever submitted a call does not wait for it any more."""
        call.abandon()
        self._lines.remove(call)
        for child in self.children:
            child.end(call, trio.current_time())

    def expire(self, now: float) -> None:
        """Send away who waits for too long; for a timer, so that not each of them needs one of its own."""
        for call in self._lines.expired(now):
            self._refuse(call, f"no process was free for {self._settings.max_wait:g} s")

    # --- who waits --------------------------------------------------------------------------------------------------

    def _give(self, child: Child, call: ScriptCall) -> None:
        is_first = child.app is None
        self.counts.calls += 1
        child.begin(call)
        if is_first:
            self._keep_reserve()

    def _wait(self, call: ScriptCall) -> None:
        is_first = self._lines.first(call.line) is None
        call.until = trio.current_time() + self._settings.max_wait
        waiting = len(self._lines)
        gone = self._lines.enter(call)
        if gone is not None:
            self._refuse(gone, f"{waiting} calls wait for a process already")
        # Whoever stands before it could not be served either.
        if is_first and gone is not call:
            self.counts.cold_starts += all(child.app != call.version.app for child in self.children)
            self._dispatch()

    @staticmethod
    def _refuse(call: ScriptCall, problem: str) -> None:
        version = call.version
        call.reply.fail(FunctionBusyError(version.name, version.version, f"{problem}; it did not run"))

    def _refuse_all(self, problem: str) -> None:
        for call in self._lines.clear():
            self._refuse(call, problem)

    def _fail_waiting(self, problem: str) -> None:
        """No process can be had; where one is at work, it is waited for."""
        if not self._starting and not any(child.busy for child in self.children):
            self._refuse_all(problem)

    def _freed(self, child: Child) -> None:
        """A call has ended in a process that lives."""
        if child.ending is None and child.running is not None:
            self._send_ahead(child)
        elif not child.busy:
            child.idle_since = trio.current_time()
            if child.worn:
                self._retire(child)
            if self._lines:
                self._dispatch()
        self._check_rest()

    def _returned(self, call: ScriptCall) -> None:
        """A call has come back that lay behind one that takes its time."""
        call.tries -= 1
        self.counts.calls -= 1
        self._run_again(call)
        self._dispatch()

    def _send_ahead(self, child: Child) -> None:
        """Let the next call wait in its process, unless another function waits for a process, too."""
        call = self._lines.only
        if call is not None and child.takes_ahead(call.version):
            self._lines.remove(call)
            self.counts.calls += 1
            child.begin_ahead(call)

    def _dispatch(self) -> None:
        """Give processes to those who wait, a line after the other, for as long as that goes."""
        wanted = False
        for key in self._lines:
            wanted |= self._serve_line(key)
        for child in self.children:
            self._send_ahead(child)
        # One at a time: a start costs a processor, which those that run put to better use.
        if wanted and not self._starting and len(self.children) < self._settings.max_processes:
            self._start()

    def _serve_line(self, key: Key) -> bool:
        """Serve a line; whether a process should be started for it."""
        served = False
        while (call := self._lines.first(key)) is not None:
            choice = choose(call.version, self.children, self._starting, self._bounds)
            if not isinstance(choice, Child):
                if served:
                    self._lines.yield_turn(key)
                return choice is Other.START or (choice is Other.REPLACE and self._replace())
            self._lines.remove(call)
            self._give(choice, call)
            served = True
        return False

    def _replace(self) -> bool:
        """End the process that has rested longest; not before its turn is over, if its app waits for it, too."""
        child = longest_at_rest(self.children)
        if self._lines.of_app(child.app) and trio.current_time() < child.since + _TURN_SECONDS:
            return False
        self._retire(child)
        return True

    # --- processes --------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Have a process ready for the first call."""
        if not self.children and self._starting == 0:
            self._start()

    def _keep_reserve(self) -> None:
        spare = any(child.app is None for child in self.children)
        if not spare and self._starting == 0 and len(self.children) < self._settings.max_processes:
            self._start()

    def _start(self) -> None:
        if self._nursery is not None and trio.current_time() >= self._start_again_at:
            self._starting += 1
            self._nursery.start_soon(self._start_one)
        elif self._nursery is not None:
            self._fail_waiting("processes for scripts do not start; the log names the reason")

    async def _start_one(self) -> None:
        since = trio.current_time()
        process: Process | None = None
        try:
            process = await self._spawner.start()
            await process.ready()
        except ProcessLostError as error:
            told = await _given_up(process)
            log.error("a process for scripts does not start", reason=str(error), told=told)  # noqa: TRY400 - ours ends here
            self._starting -= 1
            self._not_started(str(error))
            return
        except BaseException:
            self._starting -= 1
            await _given_up(process)
            raise
        self._starting -= 1
        self._failed_starts = 0
        self.counts.starts += 1
        self.counts.cold_start = trio.current_time() - since
        if self._keepers is not None:
            child = Child(process, self._settings.functions_per_process, self._keepers, self._freed, self._returned)
            self.children.append(child)
            self._keepers.start_soon(self._keep, child)
            self._dispatch()

    def _not_started(self, problem: str) -> None:
        """Once may be an accident, as where somebody ends all processes; those who wait are told of what is none."""
        self._failed_starts += 1
        if self._failed_starts < _STARTS_IN_A_ROW:
            self._start()
        else:
            self._start_again_at = trio.current_time() + _START_AGAIN_SECONDS
            self._fail_waiting(problem)

    async def _keep(self, child: Child) -> None:
        """Serve a process until it ends, and see to what it leaves behind."""
        with closing(child.process):
            try:
                await child.run()
            finally:
                if child in self.children:  # nobody has retired it
                    self._bury(child)

    def _bury(self, child: Child) -> None:
        ending = child.ending or Ending.LOST
        self.children.remove(child)
        self.counts.kills[ending.value] = self.counts.kills.get(ending.value, 0) + 1
        at_rest = child.running is None
        if child.by_itself:
            told = child.process.told()[:300]
            log.warning(
                "process of scripts ended by itself", app=child.app, how=child.problem, at_rest=at_rest, told=told
            )
        if child.ahead is not None:
            self._run_again(child.ahead)
        if child.running is not None:
            self._fail(child.running, child, ending)
        if self._nursery is not None:
            if not at_rest:
                self._keep_reserve()
            self._dispatch()
        self._check_rest()

    def _check_rest(self) -> None:
        """Whoever stops waits for nothing else."""
        if self._rest is not None and not self.running:
            self._rest.set()

    def _fail(self, call: ScriptCall, child: Child, ending: Ending) -> None:
        version = call.version
        if ending in (Ending.TIME, Ending.MEMORY, Ending.BROKEN):
            self._penalties.killed(version.app, version.name, version.version, trio.current_time())
        if child.began or call.tries >= _ATTEMPTS:
            call.reply.fail(CallLostError(child.problem, ending))
        else:
            self._run_again(call)

    def _run_again(self, call: ScriptCall) -> None:
        """A call that had not begun runs in another process; at a stop it does not."""
        if call.abandoned:
            return
        if self._nursery is None:
            self._refuse(call, "the daemon is about to end")
        else:
            call.until = trio.current_time() + self._settings.max_wait
            self._lines.enter_again(call)

    async def _end_the_idle(self) -> None:
        while True:
            await trio.sleep(self._settings.idle_seconds / 4)
            before = trio.current_time() - self._settings.idle_seconds
            for child in [child for child in self.children if not child.busy and child.idle_since < before]:
                self._retire(child)

    def _retire(self, child: Child) -> None:
        """End a process that rests."""
        self.children.remove(child)
        self.counts.retired += 1
        child.process.kill()


async def _given_up(process: Process | None) -> str:
    """End a process that nobody keeps; what it told."""
    if process is None:
        return ""
    with trio.CancelScope(shield=True):
        process.kill()
        await process.reap()
    told = process.told()
    process.close()
    return told[-2000:]
