"""Children of a supervisor: what they are told by, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import trio

from actors.errors import PenstockError
from actors.runtime.actor import Child


class Strategy(Enum):
    """Who is restarted when a child fails: itself, all children, or itself and those started after it."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Restart(Enum):
    """When a child is restarted: always, only after an error, or never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class ChildState(Enum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child as data.

    `start` builds a fresh instance for each life. `shutdown` is the time in seconds that it gets to drain. A child that
    belongs to a `resource` (a task, a topic) is parked when it fails too often and never takes others with it.
    """

    name: str
    start: Callable[[], Child]
    restart: Restart = Restart.PERMANENT
    shutdown: float = 5.0
    resource: bool = False


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """What a supervisor knows of a child; `since` is in seconds of trio's clock, `resource` as its spec says."""

    name: str
    state: ChildState
    reason: str
    restarts: int
    since: float
    resource: bool = False


class Supervised:
    """A supervisor's notes on one child, over all its lives."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state = ChildState.STARTING
        self.instance: Child | None = None
        self.error: BaseException | None = None
        self.restarts = 0
        self.attempts = 0
        self.run = 0
        self.wanted = True
        self.running = False
        self.since = trio.current_time()
        self.scope = trio.CancelScope()
        self.waiting = trio.CancelScope()
        self.gone = trio.Event()
        self.settled = trio.Event()

    def begin(self) -> None:
        """A new life."""
        self.run += 1
        self.state = ChildState.STARTING
        self.running = True
        self.instance = None
        if self.run == 1:
            return  # whoever asked for the child waits on the events of its first life already
        self.scope = trio.CancelScope()
        self.waiting = trio.CancelScope()
        self.gone = trio.Event()
        self.settled = trio.Event()

    def is_up(self) -> None:
        """The child says that others may rely on it."""
        if self.state is not ChildState.STOPPING:
            self.state = ChildState.RUNNING
        self.error = None
        self.since = trio.current_time()
        self.settled.set()

    def ended(self, error: BaseException | None) -> None:
        """The child's run has returned or raised."""
        self.running = False
        if error is not None:
            self.error = error
        self.gone.set()
        self.settled.set()

    def failed(self, now: float, healthy_after: float) -> None:
        """Count the failure; a life longer than `healthy_after` seconds starts the count anew."""
        healthy = self.state is ChildState.RUNNING and now - self.since > healthy_after
        self.attempts = 1 if healthy else self.attempts + 1
        self.since = now

    def status(self) -> ChildStatus:
        """For display."""
        reason = describe(self.error) if self.error is not None else ""
        return ChildStatus(self.spec.name, self.state, reason, self.restarts, self.since, self.spec.resource)


def describe(error: BaseException) -> str:
    """The innermost reason of an error in one line."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(one) for one in error.exceptions)
    text = str(error)
    return text if isinstance(error, PenstockError) and text else f"{type(error).__name__}: {text}"
