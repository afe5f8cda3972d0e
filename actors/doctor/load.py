"""What a group's members do with their time, and how much they can do. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.consumer_group.messages import PartitionProgress
from actors.doctor.history import History, begin_of
from actors.doctor.messages import Snapshot

# Members as busy as this have nothing to spare.
_BUSY = 0.95
# A reader that needs longer for a record is slow, whatever the rate: in a batch, a database takes one in far less.
_SLOW_RECORD_SECONDS = 0.0005
# A transaction this slow does not let batches grow, see the task runner.
_SLOW_TRANSACTION_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """A group over the last half minute: records per second, and the members' time.

    `steps` are seconds by step, `record_seconds` one reader's time for one record, `transaction_seconds` that for one
    transaction: None where nothing was measured. `produced` is by partition, in records per second.
    """

    readers: int
    partitions: int
    produce: float
    consume: float
    produced: Mapping[int, float]
    steps: Mapping[str, float] = field(default_factory=dict)
    record_seconds: float | None = None
    transaction_seconds: float | None = None

    def saturates(self, rate: float, readers: int | None = None) -> bool:
        """Whether so many records per second are more than the readers can take: processing time x rate > capacity."""
        if self.record_seconds is None:
            return rate * _BUSY > self.consume
        together = effective(self.readers if readers is None else readers, self.partitions)
        return self.record_seconds * rate > _BUSY * together

    def share_of(self, step: str) -> float:
        """The part of the readers' time that goes into a step, from 0 to 1."""
        total = sum(self.steps.values())
        return self.steps.get(step, 0.0) / total if total else 0.0

    def capacity(self, readers: int, partitions: int | None = None) -> float | None:
        """Records per second that so many readers take, spread evenly over the partitions."""
        together = effective(readers, partitions or self.partitions)
        return together / self.record_seconds if self.record_seconds else None

    def drain_seconds(
        self, lag: int, readers: int, *, factor: float = 1.0, partitions: int | None = None
    ) -> float | None:
        """Until nothing waits any more, with so many readers, each `factor` times as fast; None for never."""
        capacity = self.capacity(readers, partitions)
        if capacity is None:
            return None
        gain = capacity * factor - self.produce
        return lag / gain if gain > 0 else None

    def is_slow(self, snapshot: Snapshot) -> bool:
        """Whether it is the processing that is slow, and not the rate that is high."""
        if self.record_seconds is None or self.record_seconds >= _SLOW_RECORD_SECONDS:
            return True
        task, seconds = snapshot.task, self.transaction_seconds
        if task is None or seconds is None:
            return False
        return seconds >= _SLOW_TRANSACTION_SECONDS and task.batch_rows < task.most_rows


def effective(readers: int, partitions: int) -> float:
    """How many readers' worth of work gets done: whoever has most partitions is done last.

    Three readers of four partitions take no more than two would.
    """
    if not readers or not partitions:
        return 0.0
    return partitions / math.ceil(partitions / readers)


def load_of(history: History) -> Load:
    """The load since the snapshot before; as the groups' own rates tell it where there is none."""
    now, before = history.latest, history.earlier
    readers = sum(bool(member.partitions) for member in now.group.members)
    if before is None:
        produced = {one.partition: one.produce_rate for one in now.group.partitions}
        consume = sum(one.consume_rate for one in now.group.partitions)
        return Load(readers, len(now.group.partitions), sum(produced.values()), consume, produced)
    elapsed = now.at - before.at
    known = {one.partition: one for one in before.group.partitions}
    produced = {
        one.partition: max(0, one.high_watermark - known[one.partition].high_watermark) / elapsed
        for one in now.group.partitions
        if one.partition in known
    }
    consumed = sum(_consumed(known[one.partition], one) for one in now.group.partitions if one.partition in known)
    steps = _steps(before, now)
    transactions = now.task.transactions - before.task.transactions if now.task and before.task else 0
    spent = sum(steps.values())
    return Load(
        readers=readers,
        partitions=len(now.group.partitions),
        produce=sum(produced.values()),
        consume=consumed / elapsed,
        produced=produced,
        steps=steps,
        record_seconds=spent / consumed if spent > 0 and consumed > 0 else None,
        transaction_seconds=spent / transactions if transactions > 0 else None,
    )


def _consumed(before: PartitionProgress, now: PartitionProgress) -> int:
    done = begin_of(now) + now.confirmed_above - begin_of(before) - before.confirmed_above
    return max(0, done)


def _steps(before: Snapshot, now: Snapshot) -> dict[str, float]:
    """Seconds by step of all members; those of a member that began anew count from nothing."""
    known = {member.name: member.seconds for member in before.group.members}
    steps: dict[str, float] = {}
    for member in now.group.members:
        for step, seconds in member.seconds.items():
            earlier = known.get(member.name, {}).get(step, seconds if member.name not in known else 0.0)
            spent = seconds - earlier if seconds >= earlier else seconds
            steps[step] = steps.get(step, 0.0) + spent
    return steps
