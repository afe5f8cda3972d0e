"""What the doctor looks at, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from actors.consumer_group.messages import GroupKind, GroupStatistics
from config.resources import TaskBacklog

CauseKind = Literal[
    "burst",
    "slow_consumers",
    "stuck_members",
    "unconsumed_partitions",
    "too_few_partitions",
    "more_members_than_partitions",
    "key_skew",
    "rebalance_churn",
]
RemedyKind = Literal[
    "wait",
    "start_consumers",
    "restart_member",
    "fix_sink",
    "lift_hold",
    "more_runners",
    "more_consumers",
    "larger_batches",
    "more_partitions",
    "random_key_suffix",
    "find_restarts",
    "throttle",
    "reject",
    "divert",
]
Verdict = Literal["healthy", "draining", "growing", "stuck"]


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """A task at one moment: as it is written (`wanted_...`), and as it runs.

    `transactions` is a total since it was started, `batch_rows` the rows of a transaction now, `most_rows` the limit.
    """

    name: str
    state: str = "running"
    reason: str = ""
    holding: str = ""
    held_by_sink: bool = True
    connection: str = ""
    runners: int = 1
    wanted_runners: int = 1
    batch_rows: int = 0
    most_rows: int = 5000
    wanted_rows: int = 5000
    transactions: int = 0
    backlog: TaskBacklog = field(default_factory=TaskBacklog)


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """The backlog policy of a group's topic, and what it does at one moment (see `topic_partition.gate.Gate`).

    `limit` is as it is written, `since` in seconds since the epoch; the counts of records are since the daemon started.
    """

    action: str
    limit: str
    state: str
    since: float
    reason: str = ""
    divert_to: str | None = None
    refused: int = 0
    diverted: int = 0
    dropped: int = 0

    @property
    def acts(self) -> bool:
        """Whether the limit was passed, and low water not reached since."""
        return bool(self.reason)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A group at one moment, in seconds of a clock that never goes back, with its task where it has one."""

    at: float
    group: GroupStatistics
    task: TaskSnapshot | None = None
    policy: PolicySnapshot | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """What helps, and at what price.

    `expected_seconds_to_drain` is None where it cannot be told, or the lag would not go by this alone. A harmless
    remedy loses neither order nor data, and can be taken back; `value` (runners, rows) and `member` are what it is
    applied with. `commands` are for a shell.
    """

    kind: RemedyKind
    text: str
    expected_seconds_to_drain: float | None
    harmless: bool
    commands: tuple[str, ...] = ()
    value: int | None = None
    member: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a group lags: in a sentence with its evidence, in figures, and what helps, best first."""

    kind: CauseKind
    evidence: str
    figures: Mapping[str, float]
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A group's state: how far it lags, and why, the main cause first; no causes where it does not lag.

    Lag in messages, bytes and seconds (the age of the oldest record that waits), rates per second; `waiting_seconds`
    is for how long at least the oldest record has been seen waiting. None is what is not known (yet). `policy` is the
    topic's, where it has one.
    """

    group: str
    topic: str
    kind: GroupKind
    verdict: Verdict
    text: str
    lag: int
    lag_bytes: int | None
    lag_seconds: float | None
    waiting_seconds: float
    produce_rate: float
    consume_rate: float
    drain_seconds: float | None
    members: int
    partitions: int
    causes: tuple[Cause, ...] = ()
    policy: PolicySnapshot | None = None
