"""What all partitions of one runner share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actors.consumer_group.membership import Membership
from actors.ports import ConnectionLookup
from actors.runtime.backoff import Backoff
from actors.task_runner.core import BatchLimits
from actors.task_runner.dead_letters import DeadLetters
from actors.task_runner.function_fields import FunctionFields
from actors.task_runner.mapping import Mapping
from actors.task_runner.progress import RunnerProgress
from actors.topic_partition.topic import Topics
from config.resources import Task
from config.settings import TaskSettings


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """A runner's surroundings; `interrupted` says whether to come back after the transaction in flight.

    `fields` are those that functions make; None where there are none.
    """

    task: Task
    mapping: Mapping
    topics: Topics
    connections: ConnectionLookup
    membership: Membership
    settings: TaskSettings
    limits: BatchLimits
    progress: RunnerProgress
    dead_letters: DeadLetters
    interrupted: Callable[[], bool]
    fields: FunctionFields | None = None

    @property
    def backoff(self) -> Backoff:
        """The waits of a hold."""
        return Backoff(initial=self.settings.retry_initial, maximum=self.settings.retry_max)
