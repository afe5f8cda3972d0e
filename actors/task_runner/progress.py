"""What is counted of a runner, over all its lives, and how a task is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import trio

Step = Literal["fetch", "decode", "map", "write", "commit"]
STEPS: tuple[Step, ...] = ("fetch", "decode", "map", "write", "commit")


class TaskState(Enum):
    """Where a task is: `started` until its runners have their partitions; `succeeded` is for tasks that come to an end.

    A task that holds because of its sink is `running`, and says what it waits for.
    """

    STOPPED = "stopped"
    STARTED = "started"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(slots=True)
class RunnerProgress:
    """What one runner has done, over all its lives; only the runner writes it.

    `rows` were written, `dead` went to the dead-letter topic, `lost` were deleted or damaged before they were read,
    `retries` are attempts after a hold, `seconds` is the time spent by step; `held_by_sink` says whether it is the sink
    that it holds for. `failure` is what the last life died of,
    until a later one has got further than that.
    """

    member: str
    rows: int = 0
    dead: int = 0
    lost: int = 0
    retries: int = 0
    transactions: int = 0
    batch_rows: int = 0
    assigned: bool = False
    partitions: tuple[int, ...] = ()
    holding: str = ""
    held_by_sink: bool = False
    failure: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    under_way: tuple[Step, float] | None = None

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        """Add the block's time to a step; for batches, never for single records."""
        began = trio.current_time()
        self.under_way = (step, began)
        try:
            yield
        finally:
            self.under_way = None
            self.seconds[step] += trio.current_time() - began

    def spent(self, step: Step) -> float:
        """Seconds spent in a step, also in what is under way: a sink that does not answer shows at once."""
        if self.under_way is None or self.under_way[0] != step:
            return self.seconds[step]
        return self.seconds[step] + trio.current_time() - self.under_way[1]


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """One runner for display."""

    member: str
    state: str
    reason: str
    restarts: int
    partitions: tuple[int, ...]
    batch_rows: int


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A task for display: counters are totals of all runners since the task was started.

    `reason` says why it failed; `holding` says what it waits for while it runs: nothing is skipped meanwhile;
    `held_by_sink` says whether that is the sink. `lag` is in messages.
    """

    state: TaskState
    reason: str = ""
    holding: str = ""
    rows: int = 0
    dead: int = 0
    lost: int = 0
    retries: int = 0
    transactions: int = 0
    lag: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    runners: tuple[RunnerStatus, ...] = ()
    held_by_sink: bool = False
