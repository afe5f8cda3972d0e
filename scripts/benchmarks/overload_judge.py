"""What a policy did under overload, and whether that is what it says. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_MEGABYTES = 16.0
PLANTED = "slow_consumers"
# A policy looks once a second, and a busy machine may be late for it.
LATE_SECONDS = 3
_NOT_HELD = {"divert", "drop_oldest"}


@dataclass
class Outcome:
    """One policy under overload: times in seconds, memory in MB, the rest in messages or as its name says.

    `arrived`, `missing` (acknowledged and not arrived) and `twice` are by task; `lost` is what the slow task counted as
    gone before it was read, `told` how often the daemon's log spoke of dropping.
    """

    policy: str
    limit: int
    seconds: float
    offered_rate: float
    acknowledged: int = 0
    acknowledged_in_time: int = 0
    sunk: float = 0.0
    most_lag: int = 0
    memory_before: float = 0.0
    memory_warm: float = 0.0
    memory_most: float = 0.0
    memory_after: float = 0.0
    reconnections: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    without_retry_after: int = 0
    longest_retry_after: float = 0.0
    longest_wait: float = 0.0
    problems: list[str] = field(default_factory=list)
    activations: int = 0
    gate: dict[str, Any] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    told: int = 0
    named_first: dict[str, int] = field(default_factory=dict)
    named_else: dict[str, int] = field(default_factory=dict)
    named_after: float | None = None
    not_met: list[str] = field(default_factory=list)

    @property
    def offered(self) -> float:
        """Messages that were due over the whole load."""
        return self.offered_rate * self.seconds

    @property
    def grown(self) -> float:
        """MB by which memory grew after everything was warm."""
        return self.memory_most - self.memory_warm

    def figures(self) -> dict[str, str]:
        """The rows of a table."""
        seconds = self.seconds
        answers = ", ".join(f"{count}x {status}" for status, count in sorted(self.answers.items()))
        after = "" if self.named_after is None else f"{self.named_after:.0f} s"
        return {
            "offered, messages/s": f"{self.offered_rate:,.0f}",
            "acknowledged, messages/s": f"{self.acknowledged_in_time / seconds:,.0f}",
            "written by the slow task, rows/s": f"{self.sunk:,.0f}",
            "policy began to act, times": f"{self.activations}",
            "lag at most, messages": f"{self.most_lag:,}",
            "RssAnon before, MB": f"{self.memory_before:.1f}",
            "RssAnon when warm, MB": f"{self.memory_warm:.1f}",
            "RssAnon at most, MB": f"{self.memory_most:.1f}",
            "HTTP refusals": answers or "none",
            "longest Retry-After, s": f"{self.longest_retry_after:.0f}",
            "devices' reconnections": f"{self.reconnections}",
            "longest wait for an answer, s": f"{self.longest_wait:.1f}",
            "refused, diverted, dropped": "/".join(str(self.gate[name]) for name in ("refused", "diverted", "dropped")),
            "acknowledged": f"{self.acknowledged:,}",
            "not arrived: slow, quick": "/".join(f"{count:,}" for count in self.missing.values()),
            "counted as lost by the slow task": f"{self.lost:,}",
            "arrived twice: slow, quick": "/".join(f"{count:,}" for count in self.twice.values()),
            "cause named after": after,
            "looks: named first, else": f"{sum(self.named_first.values())}/{sum(self.named_else.values())}",
        }


def judge(outcome: Outcome) -> None:
    """Say what is not as it must be."""
    outcome.not_met = [*_of_all(outcome), *_of_doctor(outcome), *_of_policy(outcome)]


def _of_all(one: Outcome) -> Iterator[str]:
    yield from one.problems
    if one.grown > MOST_MEGABYTES:
        yield f"memory grew by {one.grown:.1f} MB, at most {MOST_MEGABYTES:g} are expected"
    if not one.activations:
        yield "the policy never acted"
    lost = {name: count for name, count in one.missing.items() if count}
    if one.policy == "drop_oldest":
        lost.pop("slow", None)
    for name, count in lost.items():
        yield f"{count} acknowledged messages did not arrive at task {name}"
    if one.without_retry_after:
        yield f"{one.without_retry_after} refusals had no Retry-After"


def _of_doctor(one: Outcome) -> Iterator[str]:
    if one.named_first.keys() != {PLANTED}:
        yield f"the doctor named {one.named_first or 'nothing'} first, planted was {PLANTED}"
    if one.named_else:
        yield f"the doctor also named {one.named_else}"


def _of_policy(one: Outcome) -> Iterator[str]:
    yield from _of_whom_nobody_holds(one) if one.policy in _NOT_HELD else _of_those_held(one)
    if one.policy == "drop_oldest":
        yield from _of_dropping(one)
    elif one.most_lag > one.limit + LATE_SECONDS * one.offered_rate:
        yield f"the lag rose to {one.most_lag}, the limit is {one.limit}"
    if one.policy == "divert" and not one.gate["diverted"]:
        yield "nothing was diverted"


def _of_whom_nobody_holds(one: Outcome) -> Iterator[str]:
    if one.acknowledged_in_time < 0.9 * one.offered:
        yield f"only {one.acknowledged_in_time} of {one.offered:.0f} messages were acknowledged in time"
    if one.answers or one.reconnections:
        yield f"producers were refused: {one.answers}, {one.reconnections} reconnections"


def _of_those_held(one: Outcome) -> Iterator[str]:
    if one.acknowledged_in_time >= 0.9 * one.offered:
        yield "producers were not held back"
    if one.policy == "reject":
        if not one.gate["refused"] or not one.answers:
            yield "nobody was refused"
        return
    if one.reconnections:
        yield f"{one.reconnections} devices lost their connection"
    if one.answers.keys() - {"429"}:
        yield f"callers were told {one.answers}, 429 is what throttling says"


def _of_dropping(one: Outcome) -> Iterator[str]:
    dropped = one.gate["dropped"]
    if not dropped or not one.told:
        yield f"{dropped} records were dropped, the log told of it {one.told} times"
    if not one.missing["slow"] == one.lost <= dropped:
        yield f"{one.missing['slow']} did not arrive, the task counted {one.lost}, the topic {dropped}"
