"""What is seen of the whole instance at one moment. Pure data; counters only rise, times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.runtime.mailbox import MailboxStatistics


@dataclass(frozen=True, slots=True)
class ActorSample:
    """One entry of the supervision tree. `counts` rise, each gives a rate by its name; `gauges` are as they are."""

    name: str
    state: str
    reason: str = ""
    restarts: int = 0
    mailbox: MailboxStatistics | None = None
    counts: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    children: tuple[ActorSample, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """A partition, how long it has synced, and what its gate does.

    By sender (see `topic_partition.messages.Sender`): how many records each brought, how long each has stood in line,
    how many of each stand there or at the gate now, and how many records of each the gate refuses.
    """

    topic: str
    number: int
    alive: bool
    fault: str
    sync: float
    brought: Mapping[str, int] = field(default_factory=dict)
    waited: Mapping[str, float] = field(default_factory=dict)
    standing: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    gate: str = "open"
    gate_reason: str = ""


@dataclass(frozen=True, slots=True)
class ConsumersSample:
    """The consumers of a group over HTTP: calls that wait for messages, messages that they have in hand."""

    asking: int
    in_hand: int
    holding: str = ""


@dataclass(frozen=True, slots=True)
class SessionStoreSample:
    """The store of MQTT sessions: why it refuses, how long writers have stood in line, and how long it committed."""

    alive: bool
    fault: str
    waited: float
    committing: float


@dataclass(frozen=True, slots=True)
class GroupSample:
    """A group: what waits for it, how fast it reads (messages per second), and what nobody reads.

    `consumers` is there for groups of HTTP consumers that are in use.
    """

    name: str
    topic: str
    kind: str
    lag: int
    consume_rate: float
    members: int
    unread: tuple[int, ...] = ()
    consumers: ConsumersSample | None = None


@dataclass(frozen=True, slots=True)
class TaskSample:
    """A task: its state, why it holds, and the seconds that its runners have spent by step."""

    name: str
    connection: str
    state: str
    reason: str
    holding: str
    held_by_sink: bool
    runners: int
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteSample:
    """A route: calls that run and wait, and the seconds that calls have waited; without a connection it asks nobody."""

    name: str
    connection: str | None
    running: int
    waiting: int
    capacity: int
    waited: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The instance at `at` seconds of trio's clock; `held` of `connections` are devices whose sockets are not read."""

    at: float
    connections: int = 0
    held: int = 0
    partitions: tuple[PartitionSample, ...] = ()
    session_store: SessionStoreSample | None = None
    groups: tuple[GroupSample, ...] = ()
    tasks: tuple[TaskSample, ...] = ()
    routes: tuple[RouteSample, ...] = ()
    tree: ActorSample = field(default_factory=lambda: ActorSample("penstock", "running"))
