"""Supervisors: children as data, started in order, restarted by strategy, drained in reverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import assert_never

import structlog
import trio

from actors.errors import ActorGone, PenstockError
from actors.runtime.actor import Child
from actors.runtime.backoff import Backoff
from actors.runtime.child import ChildSpec, ChildState, ChildStatus, Restart, Strategy, Supervised, describe
from actors.runtime.intensity import Intensity
from actors.runtime.mailbox import Mailbox

log = structlog.get_logger()


class SupervisorFailedError(PenstockError):
    """A child failed more often than its supervisor may restart it, or could not be started at all."""

    def __init__(self, supervisor: str, child: str, reason: BaseException) -> None:
        super().__init__(f"{supervisor}: {child} failed: {describe(reason)}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Start:
    child: Supervised


@dataclass(frozen=True, slots=True)
class _Ended:
    child: Supervised
    run: int
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


_Event = _Start | _Ended | _Stop


class Supervisor:
    """Runs children and keeps them running; is itself a Child, so supervisors form a tree.

    A child that ends with an error is restarted by `strategy`, after a back-off. More than `intensity` allows, and the
    supervisor stops its children and fails, which is its parent's matter. A child whose spec says `resource` never
    escalates: it is parked as failed with its reason, and tried again with back-off up to 60 s.
    """

    def __init__(
        self,
        name: str,
        specs: Sequence[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: Intensity | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._specs = list(specs)
        self._strategy = strategy
        self._intensity = intensity or Intensity()
        self._backoff = backoff or Backoff()
        self._children: dict[str, Supervised] = {}
        # Each child has at most one end outstanding and each caller waits, so what stands in line is bounded by both.
        self._events: Mailbox[_Event] = Mailbox(name, capacity=1024)
        self._nursery: trio.Nursery | None = None
        self._stopping = False
        self._given_up_at_stop = trio.CancelScope()

    async def run(self, started: Callable[[], None]) -> None:
        """Start the children in order, then keep them until `stop`.

        Raises:
            SupervisorFailedError: a child failed for good.
        """
        failure: SupervisorFailedError | None = None
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    await self._start_all()
                    if not self._stopping:
                        started()
                        await self._serve()
                except SupervisorFailedError as error:
                    # Raised again outside of the nursery, which would wrap it into a group.
                    failure = error
                self._stopping = True
                await self._drain_all(list(self._children.values()))
                nursery.cancel_scope.cancel()
        finally:
            self._stopping = True
            self._nursery = None
            self._events.close()
            for child in self._children.values():
                child.settled.set()
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """Drain the children in reverse order, each within its own deadline, then return from `run`.

        What is being started, or started again, is not waited for.
        """
        self._stopping = True
        self._given_up_at_stop.cancel()
        if not self._events.sealed:
            self._events.submit(_Stop())

    async def add(self, spec: ChildSpec) -> None:
        """Start one more child and wait until it is up, or has failed for the first time, or is to stop.

        A failure is dealt with as that of any other child.

        Raises:
            ActorGone: the supervisor stops, or has ended.
        """
        if self._stopping:
            raise ActorGone(self.name)
        earlier = self._children.get(spec.name)
        if earlier is not None and not earlier.wanted:
            await self.remove(spec.name)  # again: whoever removed it did not wait for its end
        child = self._adopt(spec)
        self._events.submit(_Start(child))
        await child.settled.wait()

    async def remove(self, name: str) -> None:
        """Drain one child within its deadline and forget it; unknown names are no error."""
        child = self._children.get(name)
        if child is not None:
            child.wanted = False
            child.settled.set()
            await self._drain(child)
            self._forget(child)

    def children(self) -> list[ChildStatus]:
        """The children in the order of their start."""
        return [child.status() for child in self._children.values()]

    def status(self, name: str) -> ChildStatus | None:
        """One child; None where there is none of that name."""
        child = self._children.get(name)
        return child.status() if child is not None else None

    def child(self, name: str) -> Child | None:
        """The living instance of a child, for those who show its statistics."""
        child = self._children.get(name)
        return child.instance if child is not None else None

    # --- the owner task --------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            event = await self._events.get()
            match event:
                case _Start(child):
                    self._launch(child)
                case _Ended(child, run, error):
                    if not child.wanted:
                        self._forget(child)
                    elif run == child.run:
                        await self._ended(child, error)
                case _Stop():
                    return
                case _:
                    assert_never(event)

    async def _start_all(self) -> None:
        with self._until_stop():
            for spec in self._specs:
                await self._start_first(spec)

    def _until_stop(self) -> trio.CancelScope:
        """A scope that a stop cancels: for waits that make no sense any more then."""
        self._given_up_at_stop = trio.CancelScope()
        if self._stopping:
            self._given_up_at_stop.cancel()
        return self._given_up_at_stop

    async def _start_first(self, spec: ChildSpec) -> None:
        child = self._adopt(spec)
        self._launch(child)
        await child.settled.wait()
        if child.error is not None and not spec.resource:
            raise SupervisorFailedError(self.name, spec.name, child.error)

    def _adopt(self, spec: ChildSpec) -> Supervised:
        if spec.name in self._children:
            raise ValueError(f"{self.name} already has a child named {spec.name}")
        child = self._children[spec.name] = Supervised(spec)
        return child

    def _forget(self, child: Supervised) -> None:
        if self._children.get(child.spec.name) is child and not child.running:
            del self._children[child.spec.name]

    def _launch(self, child: Supervised) -> None:
        if child.wanted and not child.running and self._nursery is not None:
            child.begin()
            self._nursery.start_soon(self._run_child, child, child.run, name=f"{self.name}/{child.spec.name}")

    async def _run_child(self, child: Supervised, run: int) -> None:
        error: BaseException | None = None
        try:
            with child.scope:
                await trio.lowlevel.checkpoint_if_cancelled()
                child.instance = child.spec.start()
                await child.instance.run(child.is_up)
        except BaseExceptionGroup as group:
            cancelled, failures = group.split(trio.Cancelled)
            error = failures
            if cancelled is not None:
                raise cancelled from None
        except Exception as failure:  # noqa: BLE001 - whatever a child dies of is its supervisor's matter
            error = failure
        finally:
            child.ended(error)
        if not self._events.sealed:
            self._events.submit(_Ended(child, run, error))

    async def _ended(self, child: Supervised, error: BaseException | None) -> None:
        spec = child.spec
        if spec.restart is Restart.TEMPORARY or (spec.restart is Restart.TRANSIENT and error is None):
            self._forget(child)
            if error is not None:
                self._log_failure(child, error)
            return
        now = trio.current_time()
        child.failed(now, healthy_after=self._intensity.window)
        reason = child.error = error or PenstockError("it ended although it should run on")
        self._log_failure(child, reason)
        if spec.resource:
            self._launch_later(child, parked=child.attempts > self._intensity.limit)
            return
        if self._intensity.record(now):
            raise SupervisorFailedError(self.name, spec.name, reason)
        await self._restart(child)

    def _log_failure(self, child: Supervised, error: BaseException) -> None:
        # The traceback once: a child that fails again and again says one line each time.
        traceback = error if child.attempts <= 1 else None
        actor = f"{self.name}/{child.spec.name}"
        log.error("actor failed", actor=actor, reason=describe(error), failures=child.attempts, exc_info=traceback)

    async def _restart(self, child: Supervised) -> None:
        match self._strategy:
            case Strategy.ONE_FOR_ONE:
                self._launch_later(child, parked=False)
            case Strategy.ONE_FOR_ALL | Strategy.REST_FOR_ONE:
                affected = list(self._children.values())
                if self._strategy is Strategy.REST_FOR_ONE:
                    affected = affected[affected.index(child) :]
                await self._drain_all(affected)
                with self._until_stop():
                    await trio.sleep(self._backoff.delay(child.attempts))
                    await self._start_again(affected)
            case _:
                assert_never(self._strategy)

    async def _start_again(self, children: Sequence[Supervised]) -> None:
        """In order, up to one that fails again: its end is an event of its own, which brings it and the rest back."""
        for child in children:
            child.restarts += 1
            self._launch(child)
            await child.settled.wait()
            if child.error is not None and not child.running:
                return

    def _launch_later(self, child: Supervised, *, parked: bool) -> None:
        child.state = ChildState.FAILED if parked else ChildState.RESTARTING
        child.restarts += 1
        if self._nursery is not None:
            self._nursery.start_soon(self._sleep_then_launch, child, self._backoff.delay(child.attempts))

    async def _sleep_then_launch(self, child: Supervised, delay: float) -> None:
        with child.waiting as scope:
            await trio.sleep(delay)
        if not scope.cancelled_caught:
            self._events.submit(_Start(child))

    # --- draining --------------------------------------------------------------------------------------------------

    async def _drain_all(self, children: Sequence[Supervised]) -> None:
        """In reverse order; children of resources, which do not build on one another, at the same time."""
        for together, some in groupby(reversed(children), key=lambda child: child.spec.resource):
            if not together:
                for child in some:
                    await self._drain(child)
                continue
            async with trio.open_nursery() as nursery:
                for child in some:
                    nursery.start_soon(self._drain, child)

    async def _drain(self, child: Supervised) -> None:
        """Ask a child to end, wait for its deadline, then cancel it and wait for its end."""
        child.waiting.cancel()
        if child.running:
            child.state = ChildState.STOPPING
            self._ask_to_stop(child)
            with trio.move_on_after(child.spec.shutdown):
                await child.gone.wait()
            if not child.gone.is_set():
                log.warning("actor did not drain in time", actor=f"{self.name}/{child.spec.name}")
                child.scope.cancel()
                await child.gone.wait()
        child.state = ChildState.STOPPED
        if child.run:
            child.run += 1  # the event that tells of the end of this life means nothing any more

    def _ask_to_stop(self, child: Supervised) -> None:
        if child.instance is None:
            child.scope.cancel()  # launched, but not yet at its first step
            return
        try:
            child.instance.stop()
        except Exception:
            log.exception("actor cannot be asked to stop, and is cancelled", actor=f"{self.name}/{child.spec.name}")
            child.scope.cancel()
