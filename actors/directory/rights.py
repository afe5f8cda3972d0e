"""Who may publish and subscribe where.

What devices and apps may do is what the lists of their products say (`acl.py`). On top of that, what begins with the
name of a product belongs to that product: no list of another app's product reaches it, whatever wildcards it has.

A filter is granted where one entry covers everything that it can match. An entry before that one which refuses only
part of it does not refuse the filter: `may_receive` tells what of it is delivered, message by message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from actors.directory.acl import Granted, decide
from actors.wire.mqtt.topics import shared

Direction = Literal["in", "out"]

_LEVELS = 3


class DeviceTopic(NamedTuple):
    """A topic of a device: `out` carries its reports, `in` what is sent to it."""

    product: str
    direction: Direction
    device: str

    def __str__(self) -> str:
        """As it is published to."""
        return f"{self.product}/{self.direction}/{self.device}"


def parse_topic(topic: str) -> DeviceTopic | None:
    """The parts of a device's topic; None where it is none, or contains a wildcard."""
    levels = topic.split("/")
    if len(levels) != _LEVELS or "+" in topic or "#" in topic:
        return None
    product, direction, device = levels
    if not product or not device:
        return None
    if direction == "in":
        return DeviceTopic(product, "in", device)
    if direction == "out":
        return DeviceTopic(product, "out", device)
    return None


class Rights:
    """What one client may do, compiled; good until the directory's version changes.

    `granted` is what each list says that speaks of the client: one of them is enough. `is_foreign` tells whether a
    topic's first level is the name of a product that the client's app does not use.
    """

    __slots__ = ("_granted", "_is_foreign")

    def __init__(self, granted: tuple[Granted, ...], is_foreign: Callable[[str], bool]) -> None:
        self._granted = granted
        self._is_foreign = is_foreign

    def may_publish(self, topic: str) -> bool:
        """Whether the client may publish to a topic."""
        if "+" in topic or "#" in topic:
            return False
        levels = topic.split("/")
        return any(decide(granted.publish, levels) for granted in self._granted) and not self._is_foreign(levels[0])

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether the client may subscribe to a filter; a shared subscription is judged by the filter in it."""
        group = shared(topic_filter)
        return self._may_read(topic_filter if group is None else group.filter)

    def may_receive(self, topic: str) -> bool:
        """Whether a message of this topic may be delivered to the client, whatever filter it matched."""
        return self._may_read(topic)

    def may_refuse_part_of(self, topic_filter: str) -> bool:
        """Whether `may_receive` has to be asked for each topic that a filter matches, one that may be subscribed to."""
        group = shared(topic_filter)
        levels = (topic_filter if group is None else group.filter).split("/")
        if levels[0] in ("+", "#"):
            return True
        wild = "+" in levels or levels[-1] == "#"
        return wild and any(not ruling.allow for granted in self._granted for ruling in granted.subscribe)

    def _may_read(self, topic_filter: str) -> bool:
        levels = topic_filter.split("/")
        return any(decide(granted.subscribe, levels) for granted in self._granted) and not self._is_foreign(levels[0])


NO_RIGHTS: Final = Rights((), lambda _: True)
"""Those of whoever is gone, or switched off."""
