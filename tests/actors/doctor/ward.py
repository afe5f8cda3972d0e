"""A group on paper: producers and members with rates, played forward snapshot by snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from actors.consumer_group.messages import Expulsion, GroupStatistics, MemberStatus, PartitionProgress
from actors.consumer_group.prediction import drain_seconds
from actors.doctor.diagnosis import diagnose
from actors.doctor.history import History
from actors.doctor.messages import Diagnosis, PolicySnapshot, Snapshot, TaskSnapshot


@dataclass
class Member:
    """A member that reads some partitions; `speed` is in records per second of its own time."""

    partitions: tuple[int, ...] = ()
    speed: float = 1000.0
    writing: float = 0.7
    stands_since: float | None = None
    done: float = 0.0
    in_hand: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"fetch": 0.0, "map": 0.0, "write": 0.0})


@dataclass
class Play:
    """Plays a group; `rates` are what producers bring to each partition."""

    rates: list[float]
    members: dict[str, Member] = field(default_factory=dict)
    task: TaskSnapshot | None = field(default_factory=lambda: TaskSnapshot("t", batch_rows=500, connection="db"))
    kind: Literal["task", "http"] = "task"
    rebalances: int = 0
    expelled: tuple[Expulsion, ...] = ()
    policy: PolicySnapshot | None = None
    now: float = 1000.0
    highs: list[float] = field(default_factory=list)
    begins: list[float] = field(default_factory=list)
    consumed: list[float] = field(default_factory=list)
    history: History = field(default_factory=History)
    transactions: float = 0.0

    def run(self, seconds: float, step: float = 5.0) -> Diagnosis:
        """Play on; the diagnosis after it."""
        while seconds > 0:
            self._step(min(step, seconds))
            seconds -= step
            self.history.add(self.snapshot())
        return diagnose(self.history)

    def start(self) -> None:
        """The first snapshot, before anything moves."""
        self._grow()
        self.history.add(self.snapshot())

    def _step(self, seconds: float) -> None:
        self.now += seconds
        self._grow()
        for number, rate in enumerate(self.rates):
            self.highs[number] += rate * seconds
            self.consumed[number] = 0.0
        for member in self.members.values():
            self._work(member, seconds)

    def _grow(self) -> None:
        for numbers in (self.highs, self.begins, self.consumed):
            numbers.extend([0.0] * (len(self.rates) - len(numbers)))

    def _work(self, member: Member, seconds: float) -> None:
        if member.stands_since is not None:
            return
        budget = member.speed * seconds
        # In turns: who has least gets all of it first.
        open_ones = sorted(member.partitions, key=lambda number: self.highs[number] - self.begins[number])
        for left, number in zip(range(len(open_ones), 0, -1), open_ones, strict=True):
            done = min(self.highs[number] - self.begins[number], budget / left)
            budget -= done
            self.begins[number] += done
            self.consumed[number] = done / seconds
            member.seconds["fetch"] += 0.1 * done / member.speed
            member.seconds["map"] += (0.9 - member.writing) * done / member.speed
            member.seconds["write"] += member.writing * done / member.speed
            self.transactions += done / 500

    def snapshot(self) -> Snapshot:
        readers = {number: name for name, member in self.members.items() for number in member.partitions}
        partitions = tuple(
            PartitionProgress(
                partition=number,
                committed=int(self.begins[number]),
                high_watermark=int(self.highs[number]),
                lag=int(self.highs[number]) - int(self.begins[number]),
                member=readers.get(number, ""),
                produce_rate=rate,
                consume_rate=self.consumed[number],
            )
            for number, rate in enumerate(self.rates)
        )
        members = tuple(
            MemberStatus(
                name=name,
                partitions=member.partitions,
                last_progress_seconds=0.0 if member.stands_since is None else self.now - member.stands_since,
                seconds=dict(member.seconds) if self.kind == "task" else {},
                in_hand=member.in_hand,
            )
            for name, member in self.members.items()
        )
        group = GroupStatistics(
            group="t",
            topic="reports",
            generation=1,
            members=members,
            partitions=partitions,
            kind=self.kind,
            rebalances=self.rebalances,
            expelled=self.expelled,
            drain_seconds=drain_seconds(partitions),
        )
        task = None if self.task is None else replace(self.task, transactions=int(self.transactions))
        return Snapshot(self.now, group, task, self.policy)


def kinds(diagnosis: Diagnosis) -> Sequence[str]:
    return [cause.kind for cause in diagnosis.causes]
