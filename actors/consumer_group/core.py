"""The decisions of a consumer group: members and their sessions, hand-over of partitions, fencing. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from actors.consumer_group.assign import Assignments, assign
from actors.consumer_group.messages import Assignment, Expulsion, MemberStatus
from actors.consumer_group.positions import Positions
from actors.errors import GroupBusyError, MemberFencedError
from actors.records import Confirmed

REBALANCES_WITHIN = 60.0
_REMEMBERED_REBALANCES = 1000
_REMEMBERED_EXPULSIONS = 10


@dataclass(slots=True)
class _Member:
    """A member as far as the group knows: `generation` is the first one of its membership, times as in the core."""

    generation: int
    seen: float
    progressed: float
    seconds: Mapping[str, float]
    held: frozenset[int] = frozenset()
    in_hand: int = 0


@dataclass(frozen=True, slots=True)
class _Expelled:
    member: str
    partitions: tuple[int, ...]
    at: float
    reason: str


class GroupCore:
    """State of one group over the partitions 0..n-1 of its topic; times are in seconds of a clock that only rises.

    `target` is where each partition shall be; a member's holding is what it owns as far as the group knows. A partition
    that is to move is first left out of its holder's assignment, and is assigned anew only once the holder has said
    that it let go (or has left): in the normal flow no partition ever has two readers.

    `generation` rises with each change of the membership, and goes on from that of the group's life before. A member
    that says nothing for `session_timeout` is thrown out: what it says afterwards is of a generation before its next
    membership, and is fenced.
    """

    def __init__(
        self,
        partitions: int,
        positions: Mapping[int, Confirmed],
        *,
        now: float,
        generation: int = 0,
        session_timeout: float = 30.0,
    ) -> None:
        self.partitions = partitions
        self.generation = generation
        self.refused_commits = 0
        self.positions = Positions(positions, now)
        self.session_timeout = session_timeout
        # Who was assigned something in an earlier life of the group may go on with it.
        self._first_generation = generation
        # A group that has begun has a position for each partition it knew; the others came later.
        self._appeared = set(range(partitions)).difference(positions) if positions else set()
        self._target: Assignments = {}
        self._members: dict[str, _Member] = {}
        self._rebalanced: deque[float] = deque(maxlen=_REMEMBERED_REBALANCES)
        self._expelled: deque[_Expelled] = deque(maxlen=_REMEMBERED_EXPULSIONS)
        self._looked = now
        self._held_until = 0.0

    @property
    def members(self) -> tuple[str, ...]:
        """Members in the order in which they joined."""
        return tuple(self._members)

    @property
    def readers(self) -> Mapping[int, str]:
        """The member that holds each partition, where one does."""
        return {partition: name for name, member in self._members.items() for partition in member.held}

    # --- members -------------------------------------------------------------------------------------------------

    def join(
        self,
        name: str,
        owned: frozenset[int],
        now: float,
        *,
        generation: int = 0,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        """A new member, or one that says what it owns now; partitions beyond the topic's are not its to own.

        Raises:
            MemberFencedError: it claims to own what the group did not give it, or has taken away since.
        """
        owned = frozenset(partition for partition in owned if partition < self.partitions)
        seconds = seconds or {}
        known = self._members.get(name)
        if known is not None and owned <= known.held:
            known.held, known.seen, known.seconds = owned, now, seconds
            return
        if owned and (known is not None or generation > self._first_generation or self._others_hold(name, owned)):
            raise MemberFencedError(f"{name} is not the owner of partitions {sorted(owned)} any more; it may join anew")
        # A member that joins with partitions reads them already: it knew an earlier life of this group.
        self._target |= dict.fromkeys(owned, name)
        member = self._members[name] = _Member(generation, now, now, seconds, owned)
        self._rebalance(now)
        if not owned:
            member.generation = self.generation

    def leave(self, name: str, now: float) -> None:
        """A member is gone; unknown ones are no error."""
        if self._members.pop(name, None) is not None:
            self._rebalance(now)

    def heard(self, name: str, now: float, *, idle: bool, in_hand: int = 0) -> None:
        """A member says that it is alive, whether it has read all there is, and how much it has handed on."""
        member = self._members.get(name)
        if member is not None:
            member.seen, member.in_hand = now, in_hand
            if idle or in_hand:
                member.progressed = now

    def expire(self, now: float) -> list[str]:
        """Throw out who has been silent for too long; returns their names. To be called every second or so.

        When nobody could look for a while (the machine slept, the process stood still), nobody could be heard either:
        that time counts against no member.
        """
        late = now - self._looked - self.session_timeout / 3
        self._looked = now
        if late > 0:
            for member in self._members.values():
                member.seen += late
        silent = [name for name, member in self._members.items() if now - member.seen > self.session_timeout]
        for name in silent:
            self._expel(name, f"nothing was heard of it for {self.session_timeout:g} s", now)
        if silent:
            self._rebalance(now)
        return silent

    def hold(self, now: float, seconds: float, *, force: bool) -> list[str]:
        """Assign nothing for so long, or until `release`; members are thrown out, their names returned.

        Raises:
            GroupBusyError: there are members, and it is not to be forced.
        """
        if self._members and not force:
            raise GroupBusyError(f"it has members: {', '.join(self._members)}; stop them first, or force it")
        thrown = list(self._members)
        for name in thrown:
            self._expel(name, "the group's positions are being set", now)
        if thrown:
            self._rebalance(now)
        self._held_until = now + seconds
        return thrown

    def release(self, offsets: Mapping[int, int]) -> None:
        """Go on from these offsets, where they are given; everybody may be assigned something again."""
        for partition, offset in offsets.items():
            self.positions.reset(partition, offset)
            self._appeared.discard(partition)
        self._held_until = 0.0

    def resize(self, partitions: int, now: float) -> None:
        """The topic has so many partitions now; they are never lowered."""
        if partitions > self.partitions:
            self._appeared.update(range(self.partitions, partitions))
            self.partitions = partitions
            self._rebalance(now)

    def assignment(self, name: str, now: float) -> Assignment | None:
        """What the member is to read where that differs from what it holds; what is handed out counts as held."""
        member = self._members[name]
        if now < self._held_until:
            return None
        target = frozenset(partition for partition, owner in self._target.items() if owner == name)
        allowed = target - self._held_by_others(name)
        if allowed == member.held:
            return None
        # What is to be given up stays the member's until it says otherwise.
        member.held |= allowed
        return Assignment(self.generation, allowed, allowed & self._appeared, self.positions.of(allowed))

    # --- positions -----------------------------------------------------------------------------------------------

    def commit(self, name: str, generation: int, offsets: Mapping[int, int], now: float) -> None:
        """Take the positions of the partitions that the member holds; a zombie's are counted and left out."""
        member = self._owner(name, generation)
        if member is None:
            self.refused_commits += len(offsets)
            return
        member.seen = now
        for partition, offset in offsets.items():
            if partition not in member.held:
                self.refused_commits += 1
            else:
                self._advance(member, partition, Confirmed(offset), now)

    def confirm(self, name: str, generation: int, positions: Mapping[int, Confirmed], now: float) -> None:
        """Take the positions of the partitions that the member holds.

        Raises:
            MemberFencedError: one of them is not the member's, or nothing is any more; none was taken.
        """
        member = self._owner(name, generation)
        if member is None or not member.held.issuperset(positions):
            self.refused_commits += len(positions)
            raise MemberFencedError(f"{name} does not own partitions {sorted(positions)} any more; it may join anew")
        member.seen = now
        for partition, position in positions.items():
            self._advance(member, partition, position, now)

    # --- for display -----------------------------------------------------------------------------------------------

    def rebalances(self, now: float) -> int:
        """How often it changed who reads what within the last minute."""
        return sum(now - at <= REBALANCES_WITHIN for at in self._rebalanced)

    def member_statuses(self, now: float) -> Iterator[MemberStatus]:
        """The members in the order in which they joined."""
        for name, member in self._members.items():
            yield MemberStatus(
                name=name,
                partitions=tuple(sorted(member.held)),
                last_seen_seconds=now - member.seen,
                last_progress_seconds=now - member.progressed,
                seconds=dict(member.seconds),
                in_hand=member.in_hand,
            )

    def expelled(self, now: float) -> Iterator[Expulsion]:
        """The last members that were thrown out, the latest one last."""
        for one in self._expelled:
            yield Expulsion(one.member, one.partitions, now - one.at, one.reason)

    # -----------------------------------------------------------------------------------------------------------------

    def _advance(self, member: _Member, partition: int, position: Confirmed, now: float) -> None:
        if self.positions.advance(partition, position, now):
            member.progressed = now
            self._appeared.discard(partition)

    def _owner(self, name: str, generation: int) -> _Member | None:
        member = self._members.get(name)
        return member if member is not None and generation >= member.generation else None

    def _expel(self, name: str, reason: str, now: float) -> None:
        member = self._members.pop(name)
        self._expelled.append(_Expelled(name, tuple(sorted(member.held)), now, reason))

    def _others_hold(self, name: str, partitions: Iterable[int]) -> bool:
        return not self._held_by_others(name).isdisjoint(partitions)

    def _held_by_others(self, name: str) -> frozenset[int]:
        return frozenset[int]().union(*(member.held for other, member in self._members.items() if other != name))

    def _rebalance(self, now: float) -> None:
        self.generation += 1
        self._rebalanced.append(now)
        self._target = assign(self.partitions, self.members, self._target)
