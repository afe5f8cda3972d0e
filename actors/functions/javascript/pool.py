"""The processes, and those who wait for one."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import structlog
import trio

from actors.errors import FunctionBusyError
from actors.functions.javascript.child import Child, Ending
from actors.functions.javascript.messages import FunctionVersion
from actors.functions.javascript.placement import Bounds, Other, choose, longest_at_rest
from actors.functions.javascript.process import Process, ProcessLostError, Spawner
from config.settings import JavaScriptSettings

log = structlog.get_logger()

_START_AGAIN_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class _Waiting:
    version: FunctionVersion
    until: float
    child: Child | None = None
    problem: str = ""
    woken: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True)
class PoolCounts:
    """What has happened; `cold_start` is how long the last start took, in seconds."""

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

    def __init__(self, settings: JavaScriptSettings) -> None:
        self._settings = settings
        self._bounds = Bounds(
            settings.max_processes, min(settings.max_processes_per_app, max(1, settings.max_processes - 1))
        )
        self._spawner = Spawner()
        self.children: list[Child] = []
        self.counts = PoolCounts()
        self._lines: OrderedDict[tuple[str, str], deque[_Waiting]] = OrderedDict()
        self._waiting = 0
        self._starting = 0
        self._start_again_at = 0.0
        self._nursery: trio.Nursery | None = None
        self._keepers: trio.Nursery | None = None

    @property
    def waiting(self) -> int:
        """How many calls wait for a process."""
        return self._waiting

    async def run(self, stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; then end every process, whatever it does."""
        async with trio.open_nursery() as nursery:
            try:
                async with trio.open_nursery() as working:
                    self._nursery, self._keepers = working, nursery
                    working.start_soon(self._end_the_idle)
                    task_status.started()
                    await stop.wait()
                    working.cancel_scope.cancel()
            finally:
                self._nursery = None
                self._fail_waiting("the daemon is about to end")
                for child in self.children:
                    child.kill(Ending.ABANDONED)
                self._spawner.close()

    async def take(self, version: FunctionVersion) -> Child:
        """A process for a call, which must be `put` back, or be `remove`d.

        Raises:
            FunctionBusyError: too many wait already, it waited too long, or no process can be started.
        """
        if not self._lines:
            child = choose(version, self.children, self._starting, self._bounds)
            if isinstance(child, Child):
                return self._given(child, version)
        return await self._wait(version)

    def put(self, child: Child) -> None:
        """The call has ended well."""
        if child.process.reaped:
            self.remove(child, child.ending or Ending.LOST)
            return
        child.busy = False
        child.idle_since = trio.current_time()
        if child.ending is not None:
            # It was ended at the moment at which its results came; whoever reaps it closes it.
            self._count(child.ending)
            self.children.remove(child)
            self._keep_reserve()
        elif child.worn:
            self._retire(child)
        if self._lines:
            self._dispatch()

    def remove(self, child: Child, ending: Ending) -> None:
        """The process has been ended, and reaped."""
        self._count(ending)
        if child in self.children:
            self.children.remove(child)
        child.process.close()
        self._keep_reserve()
        self._dispatch()

    # --- who waits --------------------------------------------------------------------------------------------------

    def _given(self, child: Child, version: FunctionVersion) -> Child:
        child.busy = True
        child.function = version.name
        if child.app is None:
            child.app = version.app
            self._keep_reserve()
        return child

    async def _wait(self, version: FunctionVersion) -> Child:
        if self._nursery is None:
            raise FunctionBusyError(version.name, version.version, "the daemon is about to end; it did not run")
        key = (version.app, version.name)
        if self._waiting >= self._settings.max_waiting:
            self._make_room(len(self._lines.get(key, ())), version)
        waiting = _Waiting(version, trio.current_time() + self._settings.max_wait)
        self._lines.setdefault(key, deque()).append(waiting)
        self._waiting += 1
        self.counts.cold_starts += all(child.app != version.app for child in self.children)
        self._dispatch()
        try:
            await waiting.woken.wait()
        except BaseException:
            self._give_up(waiting)
            raise
        if waiting.child is None:
            raise FunctionBusyError(version.name, version.version, f"{waiting.problem}; it did not run")
        return waiting.child

    def expire(self, now: float) -> None:
        """Send away who waits for too long; for a timer, so that not each of them needs one of its own."""
        for key in list(self._lines):
            line = self._lines[key]
            while line and line[0].until < now:
                self._refuse(line.popleft(), f"no process was free for {self._settings.max_wait:g} s")
                self._waiting -= 1
            if not line:
                del self._lines[key]

    @staticmethod
    def _refuse(waiting: _Waiting, problem: str) -> None:
        waiting.problem = problem
        waiting.woken.set()

    def _make_room(self, ours: int, version: FunctionVersion) -> None:
        """Send the last one away who is in the longest line, unless that is ours: nobody may fill the room alone."""
        told = f"{self._waiting} calls wait for a process already"
        longest = max(self._lines.values(), key=len)
        if len(longest) <= ours + 1:
            raise FunctionBusyError(version.name, version.version, f"{told}; it did not run")
        self._refuse(longest.pop(), told)
        self._waiting -= 1

    def _give_up(self, waiting: _Waiting) -> None:
        if waiting.child is not None:
            self.put(waiting.child)
        elif not waiting.woken.is_set():
            key = (waiting.version.app, waiting.version.name)
            self._lines[key].remove(waiting)
            self._waiting -= 1
            if not self._lines[key]:
                del self._lines[key]

    def _dispatch(self) -> None:
        """Give processes to those who wait, a line after the other, for as long as that goes."""
        wanted = False
        for key in list(self._lines):
            wanted |= self._serve_line(key)
        # One at a time: a start costs a processor, which those that run put to better use.
        if wanted and not self._starting and len(self.children) < self._settings.max_processes:
            self._start()

    def _serve_line(self, key: tuple[str, str]) -> bool:
        """Serve a line; whether a process should be started for it."""
        line = self._lines[key]
        served = False
        choice: Child | Other = Other.WAIT
        while line:
            choice = choose(line[0].version, self.children, self._starting, self._bounds)
            if not isinstance(choice, Child):
                break
            waiting = line.popleft()
            self._waiting -= 1
            waiting.child = self._given(choice, waiting.version)
            waiting.woken.set()
            served = True
        if not line:
            del self._lines[key]
            return False
        if served:
            self._lines.move_to_end(key)
        if choice is Other.REPLACE:
            self._retire(longest_at_rest(self.children))
        return choice in (Other.START, Other.REPLACE)

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
            self._start_again_at = trio.current_time() + _START_AGAIN_SECONDS
            self._starting -= 1
            self._fail_waiting(str(error))
            return
        except BaseException:
            self._starting -= 1
            await _given_up(process)
            raise
        self._starting -= 1
        self.counts.starts += 1
        self.counts.cold_start = trio.current_time() - since
        child = Child(process, self._settings.functions_per_process)
        self.children.append(child)
        if self._keepers is not None:
            self._keepers.start_soon(self._keep, child)
        self._dispatch()

    def _fail_waiting(self, problem: str) -> None:
        if self._starting or any(child.busy for child in self.children):
            return
        for line in self._lines.values():
            for waiting in line:
                self._refuse(waiting, problem)
        self._lines.clear()
        self._waiting = 0

    async def _keep(self, child: Child) -> None:
        """Reap a process. One that ends while it rests, nobody else would notice."""
        with trio.CancelScope(shield=True):
            await child.process.reap()
        if child.busy:
            return  # whoever runs the call removes it
        if child in self.children:
            self.children.remove(child)
            if child.ending is None:
                log.warning("process of scripts ended while it rested", app=child.app, told=child.process.told()[:300])
                self._count(Ending.LOST)
            self._dispatch()
        child.process.close()

    async def _end_the_idle(self) -> None:
        while True:
            await trio.sleep(self._settings.idle_seconds / 4)
            before = trio.current_time() - self._settings.idle_seconds
            for child in [child for child in self.children if not child.busy and child.idle_since < before]:
                self._retire(child)

    def _count(self, ending: Ending) -> None:
        self.counts.kills[ending.value] = self.counts.kills.get(ending.value, 0) + 1

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
