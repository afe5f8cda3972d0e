"""The doctor's verdict on one group: healthy, or why it lags. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actors.consumer_group.messages import GroupStatistics, MemberStatus
from actors.doctor import causes
from actors.doctor.causes import Late, lag_of
from actors.doctor.history import History
from actors.doctor.load import Load, load_of
from actors.doctor.messages import Cause, Diagnosis, Verdict
from actors.doctor.remedies import Ward

LATE_SECONDS = 10.0
# Whoever consumes over HTTP takes its time for each message, and confirms it afterwards.
LATE_SECONDS_HTTP = 30.0
_EARLIER = "A while ago: "


def diagnose(history: History, before: Diagnosis | None = None) -> Diagnosis:
    """What is to be said of a group after its last snapshot; `before` is what was said of it last.

    A group lags where records have been waiting for more than some seconds: what is just on its way is no lag. Every
    partition that is late is explained once: by nobody reading it, by a reader that does not move, or else by what
    comes and what its readers can do. The cause that explains most of the lag comes first. While a lag goes whose cause
    is over (producers are held back by now), that cause is still told.
    """
    snapshot = history.latest
    group = snapshot.group
    bound = LATE_SECONDS if group.kind == "task" else LATE_SECONDS_HTTP
    waits = [Late(one, history.waiting_seconds(one)) for one in group.partitions]
    late = [one for one in waits if one.seconds >= bound] if not _in_hand(group) else []
    load = load_of(history)
    verdict = _verdict(load, late)
    found = _causes(Ward(snapshot, load, lag_of(late)), late, history) if late else ()
    if late and not found and before is not None:
        found = tuple(map(_earlier, before.causes))
    waiting = max((one.seconds for one in waits), default=0.0)
    sizes = [one.lag_bytes for one in group.partitions]
    return Diagnosis(
        group=group.group,
        topic=group.topic,
        kind=group.kind,
        verdict=verdict,
        text=_text(verdict, group, waiting),
        lag=group.lag,
        lag_bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        lag_seconds=max((one.lag_seconds for one in group.partitions if one.lag_seconds is not None), default=None),
        waiting_seconds=waiting,
        produce_rate=sum(one.produce_rate for one in group.partitions),
        consume_rate=sum(one.consume_rate for one in group.partitions),
        drain_seconds=group.drain_seconds,
        members=len(group.members),
        partitions=len(group.partitions),
        causes=found,
        policy=snapshot.policy,
    )


def _causes(ward: Ward, late: Sequence[Late], history: History) -> tuple[Cause, ...]:
    group = ward.group
    orphans = [one for one in late if not one.progress.member]
    stuck = [member for member in group.members if _is_stuck(member, late, ward)]
    names = {member.name for member in stuck}
    standing = [one for one in late if one.progress.member in names]
    moving = [one for one in late if one.progress.member and one.progress.member not in names]
    present = {member.name for member in group.members}
    dead = [
        one
        for one in group.expelled
        if one.seconds_ago <= causes.EXPELLED_SECONDS and one.member not in present and one.partitions
    ]
    left = [one for one in late if any(one.number in gone.partitions for gone in dead) and one not in standing]
    found: list[tuple[int, Cause | None]] = []
    if dead and left:
        found.append((lag_of(left), causes.dead_members(_part(ward, left), dead, left)))
        orphans = [one for one in orphans if one not in left]
    found += [
        (lag_of(orphans), causes.unconsumed(_part(ward, orphans), orphans)),
        (lag_of(standing), causes.stuck_members(_part(ward, standing), stuck, standing)),
        *((lag_of(moving), cause) for cause in _of_rates(_part(ward, moving), moving, history, len(dead))),
    ]
    found.sort(key=lambda item: -item[0])
    return tuple(cause for _, cause in found if cause is not None)


def _of_rates(ward: Ward, late: Sequence[Late], history: History, dead: int) -> list[Cause]:
    """Why partitions are late whose readers move."""
    if not late:
        return []
    restless = causes.churn(ward)
    if restless is not None:
        return [restless]
    found = [causes.key_skew(ward, late), causes.burst(ward, history.burst())]
    named = [cause for cause in found if cause is not None]
    only_hot = found[0] is not None and len(late) == 1
    if found[1] is None and not only_hot:
        # With those that are missing the others could take it: then that is the cause, and not that they are slow.
        heavy = causes.overload(ward, ward.load.readers + dead)
        heavy = heavy or causes.unhurried(ward)
        named += [heavy] if heavy is not None else []
    return named


def _earlier(cause: Cause) -> Cause:
    return cause if cause.evidence.startswith(_EARLIER) else replace(cause, evidence=_EARLIER + cause.evidence)


def _is_stuck(member: MemberStatus, late: Sequence[Late], ward: Ward) -> bool:
    own = [one for one in late if one.progress.member == member.name]
    if not own:
        return False
    waits = bool(ward.task is not None and ward.task.holding)
    bound = causes.HOLDING_SECONDS if waits else causes.STUCK_SECONDS
    if ward.load.transaction_seconds is not None:
        bound = max(bound, 3 * ward.load.transaction_seconds)
    return min(member.last_progress_seconds, max(one.seconds for one in own)) >= bound


def _in_hand(group: GroupStatistics) -> bool:
    """Whether consumers work on all there is, each within its time: nothing waits for them."""
    in_hand = sum(member.in_hand for member in group.members)
    return 0 < group.lag <= in_hand


def _part(ward: Ward, late: Sequence[Late]) -> Ward:
    return Ward(ward.snapshot, ward.load, lag_of(late))


def _verdict(load: Load, late: Sequence[Late]) -> Verdict:
    if not late:
        return "healthy"
    if load.consume > load.produce and all(one.progress.member for one in late):
        return "draining"
    return "growing" if load.produce > 0 or load.consume > 0 else "stuck"


def _text(verdict: Verdict, group: GroupStatistics, waiting: float) -> str:
    match verdict:
        case "healthy":
            return "It keeps up: nothing waits for long."
        case "draining":
            when = f", in about {group.drain_seconds:.0f} s" if group.drain_seconds is not None else ""
            return f"It is behind by {group.lag} messages and catches up{when}."
        case "growing":
            return f"It is behind by {group.lag} messages, and falls further behind."
        case "stuck":
            return f"It is behind by {group.lag} messages, and nothing moves; they have waited {waiting:.0f} s or more."
