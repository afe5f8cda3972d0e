"""How far groups lag, measured against a policy's limit. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from actors.log.retention import Keep
from config.resources import BacklogLimit


class PartitionLag(NamedTuple):
    """What waits for one group in one partition: records, bytes, age of the oldest; None is what is not known (yet).

    `consumed` is the offset that the group reads next.
    """

    consumed: int
    messages: int
    bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class GroupLag:
    """What waits for one group of a topic, by partition."""

    group: str
    partitions: Mapping[int, PartitionLag]

    @property
    def messages(self) -> int:
        """Records that wait, over all partitions."""
        return sum(one.messages for one in self.partitions.values())

    @property
    def consumed(self) -> int:
        """Offsets that lie behind the group, over all partitions: their rise is what it consumes."""
        return sum(one.consumed for one in self.partitions.values())

    @property
    def bytes(self) -> int | None:
        """Bytes that wait, over all partitions; None while one of them is not known."""
        return _sum(one.bytes for one in self.partitions.values() if one.messages)

    @property
    def seconds(self) -> float | None:
        """The age of the oldest record that waits, as far as it is known."""
        known = [one.seconds for one in self.partitions.values() if one.messages and one.seconds is not None]
        return max(known, default=None)


class Pressure(NamedTuple):
    """The worst lag of all groups as a part of the limit: above 1 the limit is passed. `reason` says whose and what.

    Where it is not `certain`, some bytes or age are not known yet, and it may be higher.
    """

    ratio: float
    reason: str
    group: str
    certain: bool = True


CALM = Pressure(0.0, "", "")
"""Nothing waits for anybody."""


def pressure(limit: BacklogLimit, lags: Iterable[GroupLag]) -> Pressure:
    """The highest part that any group's lag is of any of the limits; what is not known presses on nothing."""
    worst, certain = CALM, True
    for lag in lags:
        certain = certain and _is_known(limit, lag)
        for ratio, reason in _parts(limit, lag):
            if ratio > worst.ratio:
                worst = Pressure(ratio, f"group {lag.group} lags {reason}", lag.group)
    return worst._replace(certain=certain)


def consumed(lags: Iterable[GroupLag]) -> dict[int, int]:
    """By partition the offset that the slowest group reads next."""
    slowest: dict[int, int] = {}
    for lag in lags:
        for partition, one in lag.partitions.items():
            slowest[partition] = min(one.consumed, slowest.get(partition, one.consumed))
    return slowest


def to_keep(limit: BacklogLimit, lag: GroupLag) -> Keep:
    """What each partition keeps at the least, so that the group's lag is brought down to the limit and no further.

    The partitions with most lag give first: where a sum is over its limit each is brought down to the same level.
    """
    age = limit.age_seconds
    return Keep(
        records=_level([one.messages for one in lag.partitions.values()], limit.messages),
        bytes=_level([one.bytes or 0 for one in lag.partitions.values()], limit.bytes),
        seconds=age if age is not None and (lag.seconds or 0) > age else None,
    )


def _level(amounts: Collection[int], most: int | None) -> float | None:
    """The level that brings the sum of all amounts down to `most` where those above it are cut; None: they fit."""
    if most is None or sum(amounts) <= most:
        return None
    left, level = float(most), 0.0
    ordered = sorted(amounts)
    for i, amount in enumerate(ordered):
        level = left / (len(ordered) - i)
        if amount > level:
            return level
        left -= amount
    return level


def _parts(limit: BacklogLimit, lag: GroupLag) -> Iterator[tuple[float, str]]:
    messages, size, seconds, age = lag.messages, lag.bytes, lag.seconds, limit.age_seconds
    if limit.messages is not None:
        yield messages / limit.messages, f"{messages} messages of {limit.messages}"
    if limit.bytes is not None and size is not None:
        yield size / limit.bytes, f"{size} bytes of {limit.bytes}"
    if age is not None and seconds is not None:
        yield seconds / age, f"{seconds:.0f} s of {age} s"


def _is_known(limit: BacklogLimit, lag: GroupLag) -> bool:
    if not lag.messages:
        return True
    return (limit.bytes is None or lag.bytes is not None) and (limit.age is None or lag.seconds is not None)


def _sum(amounts: Iterable[int | None]) -> int | None:
    total = 0
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total
