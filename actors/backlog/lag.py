"""How far groups lag, measured against a policy's limit. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from config.resources import BacklogLimit


class GroupLag(NamedTuple):
    """What waits for one group over all partitions of its topic; None is what is not known (yet).

    `messages` and `bytes` are sums, `seconds` is the age of the oldest record that waits.
    """

    group: str
    messages: int
    bytes: int | None = None
    seconds: float | None = None


class Pressure(NamedTuple):
    """The worst lag of all groups as a part of the limit: above 1 the limit is passed. `reason` says whose and what."""

    ratio: float
    reason: str
    group: str


CALM = Pressure(0.0, "", "")
"""Nothing waits for anybody."""


def pressure(limit: BacklogLimit, lags: Iterable[GroupLag]) -> Pressure:
    """The highest part that any group's lag is of any of the limits; what is not known presses on nothing."""
    worst = CALM
    for lag in lags:
        for ratio, reason in _parts(limit, lag):
            if ratio > worst.ratio:
                worst = Pressure(ratio, f"group {lag.group} lags {reason}", lag.group)
    return worst


def _parts(limit: BacklogLimit, lag: GroupLag) -> Iterable[tuple[float, str]]:
    if limit.messages is not None:
        yield lag.messages / limit.messages, f"{lag.messages} messages of {limit.messages}"
    if limit.bytes is not None and lag.bytes is not None:
        yield lag.bytes / limit.bytes, f"{lag.bytes} bytes of {limit.bytes}"
    age = limit.age_seconds
    if age is not None and lag.seconds is not None and lag.messages:
        yield lag.seconds / age, f"{lag.seconds:.0f} s of {age} s"
