"""Kind `topic`: a durable, partitioned log of records."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name, TopicName

Access = Literal["publish", "subscribe", "publish+subscribe"]
Right = Literal["publish", "subscribe"]

Duration = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[1-9][0-9]{0,8}[smhd]$(?!\n)",
        description="a duration: a number with `s`, `m`, `h` or `d`, such as 90s or 10m",
    ),
]
# A field of the JSON object that a record's value is: `data.deviceId`, `readings.0.value`.
FieldPath = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^.]+(\.[^.]+)*$(?!\n)", max_length=256, description="the dotted path of a field, such as data.name"
    ),
]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]+)([smhd])")


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How long records are kept: whole segments go once older than `hours` or while their partition is over `bytes`."""

    hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 72
    bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What one other app may do with a topic; `shared_with` lets an app do all that the topic's own access allows."""

    app: Name
    access: Access


class Mask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Fields whose values are replaced by `***`.

    `store`: before they are written, for good. `read`: in queries, tails and for the consumers of other apps.
    """

    fields: Annotated[tuple[FieldPath, ...], msgspec.Meta(min_length=1)]
    at: Literal["store", "read"] = "read"


class BacklogLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How far the slowest group of a topic may lag; whichever limit is passed first counts.

    `messages` and `bytes` are sums over the partitions; `age` is that of the oldest record it has not consumed.
    """

    messages: Annotated[int, msgspec.Meta(ge=1)] | None = None
    bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    age: Duration | None = None

    def __post_init__(self) -> None:
        """At least one limit must be there."""
        if self.messages is None and self.bytes is None and self.age is None:
            raise ValueError("a limit needs at least one of messages, bytes and age")

    @property
    def age_seconds(self) -> int | None:
        """`age` in seconds."""
        return None if self.age is None else duration_seconds(self.age)


class BacklogPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What happens once the limit is passed, until the lag is at or below `low_water` times the limit.

    `throttle`: producers wait. `reject`: producers are refused. `divert`: records go to the topic `divert_to`.
    `drop_oldest`: the oldest records are deleted before their time.
    """

    limit: BacklogLimit
    action: Literal["throttle", "reject", "divert", "drop_oldest"]
    divert_to: TopicName | None = None
    low_water: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5


class Topic(
    AppResource,
    tag_field="kind",
    tag="topic",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A topic. `sync: true` puts records on disk before a producer is answered; partitions are never lowered.

    `access` says what can be done with it at all, by whomever. The embedded log takes `replicas: 1` and
    `sync_replication: false` only.
    """

    name: TopicName
    access: Access = "publish+subscribe"
    grants: tuple[Grant, ...] = ()
    partitions: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    retention: Retention = Retention()
    sync: bool = True
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    mask: Mask | None = None
    backlog: BacklogPolicy | None = None
    replicas: Annotated[int, msgspec.Meta(ge=1)] = 1
    sync_replication: bool = False

    def allows(self, app: str, right: Right) -> bool:
        """Whether an app may publish to it or subscribe to it."""
        return self.offers(right) and (self.shares(app) or self.grants_to(app, right))

    def offers(self, right: Right) -> bool:
        """Whether anybody may."""
        return right in self.access.split("+")

    def shares(self, app: str) -> bool:
        """Whether it is the app's own, or shared with it as a whole."""
        return app == self.app or app in self.shared_with

    def grants_to(self, app: str, right: Right) -> bool:
        """Whether a grant of its own gives an app a right."""
        return any(grant.app == app and right in grant.access.split("+") for grant in self.grants)


def duration_seconds(duration: str) -> int:
    """A duration such as `90s`, `10m`, `2h` or `1d` in seconds.

    Raises:
        ValueError: it is none.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is no duration such as 90s, 10m, 2h or 1d")
    return int(match[1]) * _SECONDS[match[2]]
