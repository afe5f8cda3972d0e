"""Topic names and topic filters (MQTT 3.1.1 and 5, section 4.7), and shared subscriptions (MQTT 5, 4.8.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_BYTES: Final = 65_535
SHARED_PREFIX: Final = "$share/"


class SharedFilter(NamedTuple):
    """A filter whose messages go to one member of a group each."""

    group: str
    filter: str


def is_valid_name(name: str) -> bool:
    """Whether a message can be published to it: not empty, no wildcard, no NUL [MQTT-4.7.1-1, 4.7.3-1, 4.7.3-2]."""
    return bool(name) and "+" not in name and "#" not in name and "\0" not in name and len(name.encode()) <= MAX_BYTES


def is_valid_filter(topic_filter: str) -> bool:
    """Whether it can be subscribed to: wildcards stand for whole levels, `#` last [MQTT-4.7.1-2, 4.7.1-3]."""
    if not topic_filter or "\0" in topic_filter or len(topic_filter.encode()) > MAX_BYTES:
        return False
    levels = topic_filter.split("/")
    if "#" in topic_filter and ("#" in "/".join(levels[:-1]) or len(levels[-1]) != 1):
        return False
    return all(level == "+" or "+" not in level for level in levels)


def matches(topic_filter: str, name: str) -> bool:
    """Whether a message published to `name` goes to who subscribed to `topic_filter`; both are valid ones.

    `#` also takes the level above it; a leading wildcard does not take names that begin with `$` [MQTT-4.7.2-1].
    """
    if "+" not in topic_filter and "#" not in topic_filter:
        return topic_filter == name
    if name[0] == "$" and topic_filter[0] in "+#":
        return False
    wanted = topic_filter.split("/")
    levels = name.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))


def shared(topic_filter: str) -> SharedFilter | None:
    """Group and filter of `$share/<group>/<filter>`; None where it is no shared subscription.

    The group has a character at least and no wildcard, and a filter follows it [MQTT5-4.8.2-1, MQTT5-4.8.2-2].
    """
    if not topic_filter.startswith(SHARED_PREFIX):
        return None
    group, _, rest = topic_filter[len(SHARED_PREFIX) :].partition("/")
    if not group or not rest or "+" in group or "#" in group:
        return None
    return SharedFilter(group, rest)
