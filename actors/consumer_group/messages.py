"""What one may ask of a consumer group, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.runtime.reply import Reply


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partitions a member is to read now; `generation` rises with each change of the group's membership.

    Partitions in `appeared` came to the topic after the group had begun: no member has a start of its own to choose
    there, they are read from their beginning.
    """

    generation: int
    partitions: frozenset[int]
    appeared: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Join:
    """I am a member and read `owned`: tell me when that is to change. Sent anew after each change (KIP-429).

    The answer is withheld until the member's partitions are to differ from `owned`, so one Join at most is open for
    each member. A member gives partitions up by leaving them out of its next Join; only then do others get them.
    """

    member: str
    owned: frozenset[int] = frozenset()
    reply: Reply[Assignment] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Leave:
    """I read nothing any more, whatever the cause; others get my partitions."""

    member: str


@dataclass(frozen=True, slots=True)
class Commit:
    """How far I have come: for each partition the next offset to read. Not from an owner: counted and left out."""

    member: str
    offsets: Mapping[int, int]


GroupMessage = Join | Leave | Commit


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The readable offsets of a partition: from `start` up to, not including, `high`."""

    start: int
    high: int


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """One partition as its group sees it.

    `committed` is None before anything was committed. `lag` is in messages: those that can still be read and are not
    yet committed. `member` is empty while nobody reads the partition.
    """

    partition: int
    committed: int | None
    high_watermark: int
    lag: int
    member: str


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """A group as it stands; `refused_commits` counts those from members that did not own the partition."""

    group: str
    topic: str
    generation: int
    members: tuple[str, ...]
    partitions: tuple[PartitionProgress, ...]
    refused_commits: int = 0

    @property
    def lag(self) -> int:
        """Messages that wait, over all partitions."""
        return sum(partition.lag for partition in self.partitions)
