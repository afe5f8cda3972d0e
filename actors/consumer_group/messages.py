"""What one may ask of a consumer group, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from actors.records import Confirmed
from actors.runtime.rates import Rate
from actors.runtime.reply import Reply

GroupKind = Literal["task", "http"]
"""Who its members are: the runners of a task, or the daemon's one member that hands records out over HTTP."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partitions a member is to read now; `generation` rises with each change of the group's membership.

    Partitions in `appeared` came to the topic after the group had begun: no member has a start of its own to choose
    there, they are read from their beginning. `positions` are the group's own, as stored, for members that keep none.
    """

    generation: int
    partitions: frozenset[int]
    appeared: frozenset[int] = frozenset()
    positions: Mapping[int, Confirmed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Join:
    """I am a member and read `owned`: tell me when that is to change. Sent anew after each change (KIP-429).

    The answer is withheld until the member's partitions are to differ from `owned`, so one Join at most is open for
    each member. A member gives partitions up by leaving them out of its next Join; only then do others get them.
    A member that is thrown out has its Join failed with MemberFencedError: it reads nothing any more, and may join
    anew. `generation` is that of its last assignment (0 before the first): whoever claims to own something must have
    been a member since. `seconds` is the time it has spent by step: its own counters, which only it writes.
    """

    member: str
    owned: frozenset[int] = frozenset()
    generation: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    reply: Reply[Assignment] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Leave:
    """I read nothing any more, whatever the cause; others get my partitions."""

    member: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I am alive, as every message of a member says.

    `idle` if I have read all there is, `in_hand` what I have handed on and wait for: both count as progress.
    """

    member: str
    idle: bool = False
    in_hand: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """How far I have come: for each partition the next offset to read. Not from an owner: counted and left out.

    `generation` is that of the member's last assignment; of a membership that has ended it is fenced.
    """

    member: str
    generation: int
    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Confirm:
    """These positions are the group's only truth: the answer comes once they are stored and synced.

    Not from an owner, or of a membership that has ended: fails with MemberFencedError, and nothing of it is taken.
    """

    member: str
    generation: int
    positions: Mapping[int, Confirmed]
    reply: Reply[None] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Hold:
    """Assign nothing until Release: positions are about to be set. Fails with GroupBusyError while there are members.

    With `force` the members are thrown out instead. It ends by itself after `seconds`.
    """

    force: bool
    seconds: float
    reply: Reply[None] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Release:
    """Read on from these offsets, whatever was confirmed above them; answers once they are stored and synced.

    Without offsets the group goes on as it was.
    """

    offsets: Mapping[int, int]
    reply: Reply[None] = field(default_factory=Reply)


GroupMessage = Join | Leave | Heartbeat | Commit | Confirm | Hold | Release


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The readable offsets of a partition: from `start` up to, not including, `high`; and what is appended a second."""

    start: int
    high: int
    rate: Rate = field(default_factory=Rate)


@dataclass(frozen=True, slots=True)
class LagSample:
    """What waits in a partition: bytes on disk, and when its oldest record was made, in milliseconds since the epoch.

    None where that cannot be told.
    """

    size: int | None
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """One partition as its group sees it.

    `committed` is None before anything was committed. `lag` is in messages: those that can still be read and are not
    done; `confirmed_above` are done already, but not those before them. `lag_bytes` is about the size of the lag on
    disk, and `lag_seconds` the age of its oldest record: both are looked up from time to time, None before that. Rates
    are records per second, moving averages over 10 seconds and over a minute. `member` is empty while nobody reads the
    partition.
    """

    partition: int
    committed: int | None
    high_watermark: int
    lag: int
    member: str
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    produce_rate: float = 0.0
    consume_rate: float = 0.0
    produce_rate_minute: float = 0.0
    consume_rate_minute: float = 0.0
    confirmed_above: int = 0


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member as its group sees it.

    `last_seen_seconds` ago it last said anything; `last_progress_seconds` ago it moved an offset, had read all there
    is, or had messages in hand: `in_hand` of them were handed on and may still be confirmed in time. `seconds` is the
    time it has spent so far by step (fetch, decode, map, write, commit).
    """

    name: str
    partitions: tuple[int, ...] = ()
    last_seen_seconds: float = 0.0
    last_progress_seconds: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    in_hand: int = 0


@dataclass(frozen=True, slots=True)
class Expulsion:
    """A member that was thrown out: so many seconds ago, and why."""

    member: str
    partitions: tuple[int, ...]
    seconds_ago: float
    reason: str


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """A group as it stands.

    `refused_commits` counts those from members that did not own the partition. `rebalances` counts the changes of who
    reads what within the last minute, `expelled` are the members thrown out last. `drain_seconds` is how long the lag
    takes to be gone at the present rates; None while it grows, or nothing is known of the rates yet.
    """

    group: str
    topic: str
    generation: int
    members: tuple[MemberStatus, ...]
    partitions: tuple[PartitionProgress, ...]
    refused_commits: int = 0
    kind: GroupKind = "task"
    rebalances: int = 0
    expelled: tuple[Expulsion, ...] = ()
    drain_seconds: float | None = None

    @property
    def lag(self) -> int:
        """Messages that wait, over all partitions."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def growing(self) -> bool:
        """Whether there is lag of which no end can be told."""
        return self.lag > 0 and self.drain_seconds is None
