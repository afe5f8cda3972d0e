"""Why a group lags: one function for each cause, which says so only with evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.consumer_group.messages import Expulsion, MemberStatus, PartitionProgress
from actors.doctor import remedies
from actors.doctor.history import Burst
from actors.doctor.load import Load
from actors.doctor.messages import Cause, Remedy
from actors.doctor.remedies import Ward

STUCK_SECONDS = 20.0
HOLDING_SECONDS = 10.0
EXPELLED_SECONDS = 120.0
# Each member that comes makes one change of the group, each that is started anew makes two.
_CHANGES_A_MEMBER = 3
_LEAST_CHANGES = 6
_BURST_SHARE = 0.3
_SHOWN_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Late:
    """A partition whose records wait too long, and for how long the oldest has been seen waiting."""

    progress: PartitionProgress
    seconds: float

    @property
    def number(self) -> int:
        """The partition."""
        return self.progress.partition


def lag_of(late: Sequence[Late]) -> int:
    """Messages that wait in them."""
    return sum(one.progress.lag for one in late)


def unconsumed(ward: Ward, orphans: Sequence[Late]) -> Cause | None:
    """Nobody reads these partitions."""
    if not orphans:
        return None
    group, task = ward.group, ward.task
    whose = _numbered([one.number for one in orphans])
    if not group.members:
        evidence = f"Task {task.name} is {task.state}." if task is not None else "No consumer is connected."
    else:
        count = len(group.members)
        evidence = f"Nobody reads {whose} of topic {group.topic}, although the group has {count} members."
    figures = {"partitions": len(orphans), "lag": lag_of(orphans), "members": len(group.members)}
    return Cause("unconsumed_partitions", evidence, figures, (remedies.start_consumers(ward),))


def dead_members(ward: Ward, dead: Sequence[Expulsion], late: Sequence[Late]) -> Cause | None:
    """Members that the group has thrown out, and that did not come back."""
    if not dead:
        return None
    last = dead[-1]
    names = ", ".join(one.member for one in dead)
    evidence = (
        f"Member {names} is gone: the group threw it out {last.seconds_ago:.0f} s ago ({last.reason}), with "
        f"{_numbered(last.partitions)}."
    )
    figures = {"dead_members": len(dead), "seconds_ago": last.seconds_ago, "lag": lag_of(late)}
    help_ = _help(ward, [one.member for one in dead])
    return Cause("stuck_members", evidence, figures, tuple(help_))


def stuck_members(ward: Ward, stuck: Sequence[MemberStatus], late: Sequence[Late]) -> Cause | None:
    """Members that have partitions in which something waits, and do not move."""
    if not stuck:
        return None
    longest = max(stuck, key=lambda one: one.last_progress_seconds)
    names = ", ".join(one.name for one in stuck)
    if ward.task is None:
        # It is the daemon's own; who does nothing are those behind it.
        evidence = f"Consumers over HTTP have confirmed nothing in time for {longest.last_progress_seconds:.0f} s."
    else:
        evidence = (
            f"Member {names} makes no progress: {longest.name} has {_numbered(longest.partitions)} and has "
            f"moved nothing for {longest.last_progress_seconds:.0f} s; it was last heard of "
            f"{longest.last_seen_seconds:.0f} s ago."
        )
    if ward.task is not None and ward.task.holding:
        evidence += f" It waits: {ward.task.holding}"
    figures = {
        "stuck_members": len(stuck),
        "seconds_without_progress": longest.last_progress_seconds,
        "lag": lag_of(late),
    }
    return Cause("stuck_members", evidence, figures, tuple(_help(ward, [one.name for one in stuck])))


def _help(ward: Ward, members: Sequence[str]) -> list[Remedy]:
    if ward.task is None:
        return [remedies.start_consumers(ward)]
    if ward.task.holding:
        fix = remedies.fix_sink if ward.task.held_by_sink else remedies.lift_hold
        return [fix(ward, ward.task)]
    return [remedies.restart_member(ward, member) for member in members]


def churn(ward: Ward) -> Cause | None:
    """Members come and go so often that little else is done."""
    group = ward.group
    if group.rebalances < max(_LEAST_CHANGES, _CHANGES_A_MEMBER * len(group.members) + 1):
        return None
    evidence = (
        f"The group changed who reads what {group.rebalances} times within the last minute, with "
        f"{len(group.members)} members: each change stops work for a moment."
    )
    figures = {"rebalances": group.rebalances, "members": len(group.members), "lag": ward.lag}
    return Cause("rebalance_churn", evidence, figures, (remedies.find_restarts(ward),))


def key_skew(ward: Ward, late: Sequence[Late]) -> Cause | None:
    """One partition gets most of all records, and most of the lag is there."""
    produced, partitions = ward.load.produced, len(ward.group.partitions)
    total = sum(produced.values())
    if partitions <= 1 or total <= 0:
        return None
    hot = max(produced, key=lambda number: produced[number])
    share = produced[hot] / total
    waiting = sum(one.progress.lag for one in late if one.number == hot)
    # Of two partitions one has half of it by nature.
    if share < 0.5 + 0.5 / partitions or waiting < lag_of(late) / 2:
        return None
    evidence = (
        f"Partition {hot} of topic {ward.group.topic} gets {share:.0%} of all records ({produced[hot]:.0f} of "
        f"{total:.0f} per second, over {partitions} partitions), and {waiting} wait there: few keys have most records."
    )
    figures = {"partition": hot, "share": share, "lag": waiting, "produce_rate": produced[hot]}
    return Cause("key_skew", evidence, figures, (remedies.random_key_suffix(ward), *remedies.hold_producers(ward)))


def burst(ward: Ward, found: Burst | None) -> Cause | None:
    """Producers brought much more than they usually do; the consumers could take what is usual."""
    if found is None or found.excess < _BURST_SHARE * ward.lag or ward.load.saturates(found.usual):
        return None
    when = "brought" if found.over else "bring"
    times = found.peak / found.usual
    evidence = (
        f"Producers {when} up to {found.peak:.0f} records per second, {times:.1f} times the usual "
        f"{found.usual:.0f}: about {found.excess:.0f} more than usual."
    )
    figures = {"peak_rate": found.peak, "usual_rate": found.usual, "excess": found.excess, "lag": ward.lag}
    help_ = (remedies.wait(ward),) if found.over else tuple(remedies.capacity_remedies(ward))
    return Cause("burst", evidence, figures, help_)


def unhurried(ward: Ward) -> Cause | None:
    """Consumers over HTTP work on messages, each within its time, and for so long nothing gets done."""
    in_hand = sum(member.in_hand for member in ward.group.members)
    if not in_hand or ward.load.consume > 0:
        return None
    evidence = (
        f"Consumers have {in_hand} message{'s' if in_hand > 1 else ''} in hand, within the time that they asked for, "
        "and have confirmed none lately; the others wait for them."
    )
    figures = {"in_hand": in_hand, "lag": ward.lag}
    return Cause("slow_consumers", evidence, figures, (remedies.more_consumers(),))


def overload(ward: Ward, readers: int) -> Cause | None:
    """The members are at work all the time, and more comes than they can take."""
    load, group = ward.load, ward.group
    if not load.saturates(load.produce, readers):
        return None
    partitions, members = len(group.partitions), len(group.members)
    figures = _figures(ward)
    if members > partitions:
        idle = members - partitions
        evidence = (
            f"The group has {members} members for {partitions} partitions: {idle} have nothing to read, and the others "
            f"cannot keep up. {_rates(load)}"
        )
        help_ = (*remedies.more_partitions(ward), *remedies.hold_producers(ward))
        return Cause("more_members_than_partitions", evidence, figures | {"idle_members": idle}, help_)
    every = load.readers >= partitions and ward.task is not None
    if every and not load.is_slow(ward.snapshot):
        evidence = (
            f"Each of the {partitions} partitions has a reader of its own that is busy all the time, and more comes "
            f"than they can take. {_rates(load)} {_time(load)}"
        )
        return Cause("too_few_partitions", evidence, figures, tuple(remedies.capacity_remedies(ward)))
    who = "1 reader" if load.readers == 1 else f"{load.readers} readers"
    evidence = f"{who} cannot take what comes. {_rates(load)} {_time(load)}{_sink(ward)}".rstrip()
    return Cause("slow_consumers", evidence, figures, tuple(remedies.capacity_remedies(ward)))


def _figures(ward: Ward) -> dict[str, float]:
    load = ward.load
    figures = {
        "produce_rate": load.produce,
        "consume_rate": load.consume,
        "readers": float(load.readers),
        "partitions": float(len(ward.group.partitions)),
        "members": float(len(ward.group.members)),
        "lag": float(ward.lag),
    }
    if load.record_seconds is not None:
        figures["capacity"] = load.capacity(load.readers) or 0.0
        figures["record_seconds"] = load.record_seconds
    if load.transaction_seconds is not None:
        figures["transaction_seconds"] = load.transaction_seconds
    return figures | {f"{step}_seconds": seconds for step, seconds in load.steps.items()}


def _rates(load: Load) -> str:
    capacity = load.capacity(load.readers)
    can = f"; {capacity:.0f} are possible" if capacity is not None else ""
    return f"Lately {load.produce:.0f} records per second came, and {load.consume:.0f} were done{can}."


def _time(load: Load) -> str:
    """Where the time goes, the longest step first."""
    total = sum(load.steps.values())
    if not total:
        return ""
    longest = sorted(load.steps.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{step} {seconds / total:.0%}" for step, seconds in longest if seconds / total >= _SHOWN_SHARE)
    return f"Their time goes into: {parts}."


def _sink(ward: Ward) -> str:
    """Where nearly all of it is the database's time: what it needs for a row, so that people know where to look."""
    load, task = ward.load, ward.task
    if task is None or load.record_seconds is None or load.share_of("write") < remedies.SINK_SHARE:
        return ""
    milliseconds = load.record_seconds * load.share_of("write") * 1000
    return f" It is connection {task.connection} that is slow: {milliseconds:.3g} ms a row."


def _numbered(partitions: Sequence[int]) -> str:
    if not partitions:
        return "no partition"
    return f"partition{'s' if len(partitions) > 1 else ''} {', '.join(map(str, partitions))}"
