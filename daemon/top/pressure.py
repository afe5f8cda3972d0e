"""Who holds back whom, hop by hop, out of two samples of the instance. Pure.

Pressure travels against the flow: a slow database is felt by the task, then by the log, and where a topic's policy says
so by the devices. So of the hops that are held back, those are to blame behind which nothing else is held back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from daemon.top.sample import GroupSample, PartitionSample, RouteSample, Sample, TaskSample

HELD = 0.5
"""From this share of the time on a hop counts as held back."""

# A group that needs longer than this for what waits does not keep up; less is what lies between two fetches.
_BEHIND_SECONDS = 1.0

DEVICES, SESSIONS, PRODUCERS, DISK, CALLERS = "device sockets", "mqtt sessions", "producers", "disk", "callers"
# The store of MQTT sessions, by its name in the tree.
SESSION_STORE = "sessions"
SENDERS = {
    "mqtt": SESSIONS,
    "http": "http producers",
    "dead_letters": "dead letters",
    "homecoming": "homecomings",
    "replay": "replays",
}
# Gates that keep producers out.
_CLOSED = frozenset({"throttled", "rejecting"})


@dataclass(frozen=True, slots=True)
class Hop:
    """From a sender to the one that takes what it sends.

    `held` is the share of the time (0 to 1) that the receiver held the sender back; `reason` says how, or nothing.
    `blocking` says that it is to blame: it is held back, and nothing behind it is.
    """

    sender: str
    receiver: str
    held: float = 0.0
    reason: str = ""
    blocking: bool = False


def hops(before: Sample, after: Sample) -> tuple[Hop, ...]:
    """Every hop from the devices' sockets to the databases, in the order of the flow."""
    span = max(after.at - before.at, 1e-9)
    found = [*_intake(after), *_partitions(before, after, span), *_sessions(before, after, span)]
    found += _groups(before, after)
    found += [*_tasks(before, after, span), *_routes(before, after, span)]
    return _blamed(found)


def _blamed(found: list[Hop]) -> tuple[Hop, ...]:
    held_senders = {hop.sender for hop in found if hop.held >= HELD}
    return tuple(
        replace(hop, blocking=True) if hop.held >= HELD and hop.receiver not in held_senders else hop for hop in found
    )


def _intake(after: Sample) -> Iterator[Hop]:
    if after.connections:
        reason = f"{after.held} of {after.connections} connections are not read" if after.held else ""
        # One socket that is not read is somebody held back, however many others are idle.
        yield Hop(DEVICES, SESSIONS, 1.0 if after.held else 0.0, reason)


def _partitions(before: Sample, after: Sample, span: float) -> Iterator[Hop]:
    earlier = {(one.topic, one.number): one for one in before.partitions}
    for one in after.partitions:
        was = earlier.get((one.topic, one.number), one)
        name = f"partition {one.topic}-{one.number}"
        standing = {sender: _rise(one.waited, was.waited, sender) / span for sender in one.waited}
        known = [sender for sender in SENDERS if one.brought.get(sender) or one.standing.get(sender)]
        for sender in known:
            yield _append(Hop(SENDERS[sender], name), one, sender, standing.get(sender, 0.0))
        if not known:
            yield _append(Hop(PRODUCERS, name), one, "", 0.0)
        syncing = _share(one.sync - was.sync, span)
        # A disk that syncs all the time holds somebody back only where somebody stands in line for it.
        held = 1.0 if one.fault else min(syncing, sum(standing.values()))
        yield Hop(name, DISK, held, one.fault or (f"syncs {syncing:.0%} of the time" if held >= HELD else ""))


def _append(hop: Hop, one: PartitionSample, sender: str, standing: float) -> Hop:
    if not one.alive:
        return replace(hop, held=1.0, reason="the partition does not run")
    if one.fault:
        return replace(hop, held=1.0, reason="appends are refused")
    held_by_gate = one.standing.get(sender) if one.gate == "throttled" else one.refused.get(sender)
    if one.gate in _CLOSED and held_by_gate:
        return replace(hop, held=1.0, reason=f"{one.gate}: {one.gate_reason}")
    held = min(standing, 1.0)
    # Nobody is held back by a divert, but records are not where people look for them.
    aside = f"diverted: {one.gate_reason}" if one.gate == "diverted" else ""
    return replace(hop, held=held, reason=f"{standing:.1f} senders stand in line" if held >= HELD else aside)


def _rise(now: Mapping[str, float], before: Mapping[str, float], sender: str) -> float:
    return max(0.0, now[sender] - before.get(sender, 0.0))


def _sessions(before: Sample, after: Sample, span: float) -> Iterator[Hop]:
    """What persistent sessions promise, on its way to the disk."""
    one, was = after.session_store, before.session_store or after.session_store
    if one is None or was is None:
        return
    standing = max(0.0, one.waited - was.waited) / span
    committing = _share(one.committing - was.committing, span)
    refused = one.fault or ("" if one.alive else "the session store does not run")
    held = 1.0 if refused else min(standing, 1.0)
    reason = "writes are refused" if one.fault else refused
    yield Hop(
        SESSIONS, SESSION_STORE, held, reason or (f"{standing:.1f} senders stand in line" if held >= HELD else "")
    )
    on_disk = 1.0 if one.fault else min(committing, standing)
    yield Hop(
        SESSION_STORE, DISK, on_disk, one.fault or (f"syncs {committing:.0%} of the time" if on_disk >= HELD else "")
    )


def _groups(before: Sample, after: Sample) -> Iterator[Hop]:
    """From the log to the groups: the log holds what waits, only a policy passes it on to producers."""
    slowest = _slowest(after.groups)
    for one in after.groups:
        for partition in after.partitions:
            if partition.topic != one.topic:
                continue
            passes_on = partition.gate in _CLOSED and slowest.get(one.topic) == one.name
            held, reason = (1.0, partition.gate_reason) if passes_on else (0.0, "")
            yield Hop(f"partition {one.topic}-{partition.number}", f"group {one.name}", held, reason)
        if one.kind == "http":
            yield _consumed(one, before)


def _slowest(groups: tuple[GroupSample, ...]) -> Mapping[str, str]:
    """For each topic the group for which most waits."""
    slowest: dict[str, GroupSample] = {}
    for one in groups:
        if one.lag and (one.topic not in slowest or one.lag > slowest[one.topic].lag):
            slowest[one.topic] = one
    return {topic: one.name for topic, one in slowest.items()}


def _consumed(one: GroupSample, before: Sample) -> Hop:
    """From a group to its consumers over HTTP, who ask for messages and confirm them."""
    hop = Hop(f"group {one.name}", f"consumers of {one.name}")
    consumers = one.consumers
    if consumers is not None and consumers.holding:
        return replace(hop, held=1.0, reason=consumers.holding)
    if not _is_behind(one, before):
        return hop
    waits = f"{one.lag} messages wait"
    if consumers is None or not (consumers.asking or consumers.in_hand):
        return replace(hop, held=1.0, reason=f"{waits}, and nobody asks for them")
    reason = f"{waits}, {_pace(one)}; {consumers.in_hand} are in hand and not confirmed"
    return replace(hop, held=1.0, reason=reason)


def _tasks(before: Sample, after: Sample, span: float) -> Iterator[Hop]:
    earlier = {one.name: one for one in before.tasks}
    groups = {one.name: one for one in after.groups if one.kind == "task"}
    for one in after.tasks:
        group = groups.get(one.name)
        behind = group is not None and _is_behind(group, before)
        spent = _spent(one, earlier.get(one.name, one), span)
        yield _taken(one, group, spent, behind=behind)
        yield _written(one, spent.get("write", 0.0), behind=behind)


def _taken(one: TaskSample, group: GroupSample | None, spent: Mapping[str, float], *, behind: bool) -> Hop:
    hop = Hop(f"group {one.name}", f"task {one.name}")
    if one.holding:
        return replace(hop, held=1.0, reason=one.holding)
    if not behind or group is None:
        return hop
    waits = f"{group.lag} messages wait"
    if one.state in {"stopped", "failed"}:
        return replace(hop, held=1.0, reason=f"{waits}, and the task is {one.state} {one.reason}".rstrip())
    if not group.members or group.unread:
        unread = ", ".join(map(str, group.unread)) or "all"
        return replace(hop, held=1.0, reason=f"{waits}, and nobody reads partitions {unread}")
    busiest = max(spent, key=lambda step: spent[step], default="")
    reason = f"{waits}, {_pace(group)}; most time goes into {busiest}"
    return replace(hop, held=min(1.0, sum(spent.values())), reason=reason)


def _written(one: TaskSample, writing: float, *, behind: bool) -> Hop:
    hop = Hop(f"task {one.name}", f"connector {one.connection}")
    if one.holding and one.held_by_sink:
        return replace(hop, held=1.0, reason=one.holding)
    if not behind or one.holding:
        return hop
    return replace(hop, held=writing, reason=f"writes {writing:.0%} of the time" if writing >= HELD else "")


def _spent(one: TaskSample, was: TaskSample, span: float) -> Mapping[str, float]:
    """The share of its time that a runner spends in each step, on average."""
    time = span * max(one.runners, 1)
    return {step: _share(seconds - was.seconds.get(step, 0.0), time) for step, seconds in one.seconds.items()}


def _routes(before: Sample, after: Sample, span: float) -> Iterator[Hop]:
    earlier = {one.name: one for one in before.routes}
    for one in after.routes:
        was = earlier.get(one.name, one)
        standing = max(0.0, one.waited - was.waited) / span
        held = 1.0 if one.waiting and was.waiting else min(1.0, standing)
        reason = f"{one.waiting} calls wait" if held >= HELD else ""
        yield Hop(CALLERS, f"route {one.name}", held, reason)
        if one.connection is not None:
            yield _asked(one, was, held)


def _asked(one: RouteSample, was: RouteSample, held: float) -> Hop:
    """Calls wait for a place while those that have one wait for the database."""
    full = one.running >= one.capacity and was.running >= was.capacity
    reason = f"{one.running} calls wait for it" if full else ""
    return Hop(f"route {one.name}", f"connector {one.connection}", held if full else 0.0, reason)


def _is_behind(group: GroupSample, before: Sample) -> bool:
    was = next((one.lag for one in before.groups if one.name == group.name), 0)
    return was > 0 and group.lag > group.consume_rate * _BEHIND_SECONDS


def _pace(group: GroupSample) -> str:
    return f"{group.consume_rate:.0f} a second are read"


def _share(seconds: float, span: float) -> float:
    return min(1.0, max(0.0, seconds / span))
