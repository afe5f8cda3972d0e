"""What helps against a backlog, what it is expected to bring, and what it costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from actors.consumer_group.messages import GroupStatistics
from actors.doctor.load import Load
from actors.doctor.messages import Remedy, RemedyKind, Snapshot, TaskSnapshot
from config.resources import TaskBacklog

# What is proposed is to be done with a backlog within so long, where that is possible.
_SOON_SECONDS = 300.0
_MOST_PARTITIONS = 50
# A transaction of rows beyond the limit is larger by this much more than what would just do.
_HEADROOM = 1.25
_LARGEST_BATCH = 100_000
_NESTED = frozenset({"backlog"})
# From this share of the time on it is the sink that decides how much gets done.
SINK_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Ward:
    """A group that lags, with all that a remedy may be reckoned from; `lag` is the part that the cause explains."""

    snapshot: Snapshot
    load: Load
    lag: int

    @property
    def group(self) -> GroupStatistics:
        """The group as it stands."""
        return self.snapshot.group

    @property
    def task(self) -> TaskSnapshot | None:
        """Its task, where it has one."""
        return self.snapshot.task


def capacity_remedies(ward: Ward) -> Iterator[Remedy]:
    """For consumers that cannot keep up: the harmless first, then what costs order, then what costs the producers."""
    if ward.task is None:
        yield more_consumers()
    else:
        yield from more_runners(ward, ward.task)
        yield from larger_batches(ward, ward.task)
    yield from more_partitions(ward)
    yield from hold_producers(ward)


def more_runners(ward: Ward, task: TaskSnapshot) -> Iterator[Remedy]:
    """As few more as do it soon, up to the partitions."""
    partitions = len(ward.group.partitions)
    if task.runners >= partitions:
        return
    choices = range(task.runners + 1, partitions + 1)
    drains = {runners: ward.load.drain_seconds(ward.lag, runners) for runners in choices}
    soon = (runners for runners, seconds in drains.items() if seconds is not None and seconds <= _SOON_SECONDS)
    runners = next(soon, partitions)
    text = f"Let {runners} runners work side by side instead of {task.runners} (partitions: {partitions})."
    if ward.load.share_of("write") >= SINK_SHARE:
        text += f" The expected time holds if connection {task.connection} takes as much more at the same time."
    command = _apply("task", task.name, "runners", str(runners))
    yield Remedy("more_runners", text, drains[runners], harmless=True, commands=(command,), value=runners)


def larger_batches(ward: Ward, task: TaskSnapshot) -> Iterator[Remedy]:
    """Where transactions are as large as they may be: batch / processing time is to be at least the produce rate."""
    load, seconds = ward.load, ward.load.transaction_seconds
    if seconds is None or not load.readers or task.batch_rows < task.most_rows:
        return
    needed = load.produce / load.readers * seconds * _HEADROOM
    rows = min(_LARGEST_BATCH, max(2 * task.most_rows, math.ceil(needed)))
    if rows <= task.most_rows:
        return
    factor = rows / task.most_rows
    text = (
        f"Write up to {rows} rows in a transaction instead of {task.most_rows}. The expected time holds if a "
        "transaction takes no longer for that."
    )
    commands: tuple[str, ...] = ()
    if task.backlog == TaskBacklog():
        value = f"{{heal: auto, max_batch: {rows}}}"
        commands = (_apply("task", task.name, "backlog", value),)
    drain = load.drain_seconds(ward.lag, load.readers, factor=factor)
    yield Remedy("larger_batches", text, drain, harmless=True, commands=commands, value=rows)


def more_partitions(ward: Ward) -> Iterator[Remedy]:
    """So many that a reader for each could take what comes."""
    present = len(ward.group.partitions)
    if present >= _MOST_PARTITIONS:
        return
    choices = range(present + 1, _MOST_PARTITIONS + 1)
    drains = {count: ward.load.drain_seconds(ward.lag, count, partitions=count) for count in choices}
    soon = (count for count, seconds in drains.items() if seconds is not None and seconds <= _SOON_SECONDS)
    count = next(soon, min(_MOST_PARTITIONS, 2 * present))
    text = (
        f"Give topic {ward.group.topic} {count} partitions instead of {present}, and the group as many members. Keys "
        "move to other partitions: the order of a key's records is lost across the change, and partitions are never "
        "lowered again. What waits already stays where it is."
    )
    commands = [_apply("topic", ward.group.topic, "partitions", str(count))]
    if ward.task is not None:
        commands.append(_apply("task", ward.task.name, "runners", str(count)))
    yield Remedy("more_partitions", text, drains[count], harmless=False, commands=tuple(commands))


def hold_producers(ward: Ward) -> Iterator[Remedy]:
    """Throttle, reject, divert: consumers get time, and producers notice; but not what the topic does already."""
    load, topic, present = ward.load, ward.group.topic, ward.snapshot.policy
    drain = ward.lag / load.consume if load.consume > 0 else None
    limit = present.limit if present is not None else f"{{messages: {max(1, ward.group.lag // 2)}}}"
    texts: tuple[tuple[RemedyKind, str], ...] = (
        ("throttle", f"Let producers of {topic} wait while a group lags too far: devices and callers slow down."),
        ("reject", f"Refuse producers of {topic} while a group lags too far: they have to try again by themselves."),
        ("divert", f"Send what producers bring for {topic} to another topic meanwhile, and bring it home afterwards."),
    )
    for kind, text in texts:
        if present is not None and present.action == kind:
            continue
        target = ", divert_to: OTHER-TOPIC" if kind == "divert" else ""
        policy = f"{{limit: {limit}, action: {kind}{target}}}"
        commands = (_apply("topic", topic, "backlog", policy),)
        yield Remedy(kind, text, drain, harmless=False, commands=commands)


def random_key_suffix(ward: Ward) -> Remedy:
    """Spread a key over all partitions."""
    readers = len(ward.group.partitions)
    text = (
        f"Spread the keys of topic {ward.group.topic} with `key_suffix: random` in the rule (or in the HTTP request) "
        "that writes it. The order of a key's records is lost. What waits already stays where it is."
    )
    drain = ward.load.drain_seconds(ward.lag, readers)
    return Remedy("random_key_suffix", text, drain, harmless=False, commands=("penstock get rule",))


def restart_member(ward: Ward, member: str) -> Remedy:
    """End a member that does nothing, and start it anew."""
    task = ward.task.name if ward.task is not None else ""
    text = f"Start {member} anew: what it had not finished is done again, nothing is lost or doubled."
    commands = (f"penstock task stop {task} && penstock task start {task}",) if task else ()
    drain = ward.load.drain_seconds(ward.lag, max(1, ward.load.readers))
    return Remedy("restart_member", text, drain, harmless=bool(task), commands=commands, member=member)


def fix_sink(ward: Ward, task: TaskSnapshot) -> Remedy:
    """Only its sink keeps a task from going on."""
    text = f"The task waits for connection {task.connection} and goes on by itself once that works: {task.holding}"
    commands = (f"penstock connection test {task.connection}", f"penstock get task {task.name}")
    drain = ward.load.drain_seconds(ward.lag, max(1, ward.load.readers))
    return Remedy("fix_sink", text, drain, harmless=False, commands=commands)


def lift_hold(ward: Ward, task: TaskSnapshot) -> Remedy:
    """Something keeps a task from going on that is no matter of its sink, and that a restart does not change."""
    text = "Put right what the task waits for, as it says above; it goes on by itself then."
    commands = (f"penstock get task {task.name}", f"penstock topic verify {ward.group.topic}")
    return Remedy("lift_hold", text, None, harmless=False, commands=commands)


def start_consumers(ward: Ward) -> Remedy:
    """Have somebody read."""
    task = ward.task
    if task is None:
        text = "Start the application that consumes this group over HTTP, and see whether it confirms what it gets."
        return Remedy(
            "start_consumers", text, None, harmless=False, commands=(f"penstock group show {ward.group.group}",)
        )
    if ward.group.members:
        text = "The group should have shared these out by itself; starting the task anew makes it do so."
        again = f"penstock task stop {task.name} && penstock task start {task.name}"
        return Remedy("start_consumers", text, None, harmless=False, commands=(again,))
    text = f"Start task {task.name}" + (f"; it says: {task.reason}" if task.reason else ".")
    return Remedy("start_consumers", text, None, harmless=False, commands=(f"penstock task start {task.name}",))


def more_consumers() -> Remedy:
    """Consumers over HTTP share the records by themselves."""
    text = "Start more of the applications that consume this group, or let each take more messages at a time."
    return Remedy("more_consumers", text, None, harmless=False)


def wait(ward: Ward) -> Remedy:
    """It goes by itself."""
    drain = ward.load.drain_seconds(ward.lag, ward.load.readers)
    text = "Nothing needs to be done: consumers keep up with the usual rate, the rest goes by itself."
    return Remedy("wait", text, drain, harmless=True)


def find_restarts(ward: Ward) -> Remedy:
    """Whatever comes and goes has a reason."""
    text = "Find out why members come and go: look for `actor failed` and `member thrown out` in the daemon's log."
    commands = (f"penstock get task {ward.task.name}",) if ward.task is not None else ()
    return Remedy("find_restarts", text, None, harmless=False, commands=commands)


def _apply(kind: str, name: str, field: str, value: str) -> str:
    # A field may be written over several lines: those that are indented below it go with it.
    without = f"sed '/^{field}:/,/^[^ ]/{{/^{field}:/d;/^ /d}}'" if field in _NESTED else f"grep -v '^{field}:'"
    return f"(penstock get {kind} {name} -o yaml | {without}; echo '{field}: {value}') | penstock apply -f -"
