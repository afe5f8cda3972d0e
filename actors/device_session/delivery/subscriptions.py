"""Who has subscribed to what: topic filters -> subscribers (MQTT 3.1.1, 4.7; shared ones: MQTT 5, 4.8.2)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from actors.device_session.delivery.audience import Audience, SharedGroup, Subscriber, Terms, gather
from actors.wire.mqtt.topics import shared

if TYPE_CHECKING:
    from collections.abc import Sequence

# How finely changes are told apart: a publisher looks again when a change fell into the same slot as its topic.
_SLOTS: Final = 1024
_PREFIX_LEVELS: Final = 2


class _Place:
    """Where a filter ends: who subscribed to it; in the trie also the levels that follow."""

    __slots__ = ("children", "groups", "subscribers")

    def __init__(self) -> None:
        self.children: dict[str, _Place] | None = None
        self.subscribers: dict[Subscriber, Terms] | None = None
        self.groups: dict[str, SharedGroup] | None = None

    def is_empty(self) -> bool:
        return not (self.children or self.subscribers or self.groups)


class Subscriptions:
    """All subscriptions of all sessions.

    Filters without wildcards (a device's own `in` topic) are looked up whole; those with wildcards stand in a trie.
    A publisher keeps the audience of its topic for as long as `is_current` says so. That a device subscribes to its own
    topic is no reason for others to look again: a change counts in a slot of the filter (or, for wildcards, of its
    first two levels), and a publisher looks at the slots of its topic. Filters and topics are expected to be valid.
    """

    def __init__(self) -> None:
        self._exact: dict[str, _Place] = {}
        self._wildcards = _Place()
        self._changes = 0
        self._exact_changes = array("Q", bytes(8 * _SLOTS))
        self._prefix_changes = array("Q", bytes(8 * _SLOTS))

    def add(self, topic_filter: str, subscriber: Subscriber, terms: Terms) -> None:
        """Subscribe; a second subscription to the same filter replaces the first (MQTT-3.8.4-3, MQTT5-3.8.4-3)."""
        member_of = shared(topic_filter)
        inner = topic_filter if member_of is None else member_of.filter
        place = self._place(inner)
        if member_of is None:
            if place.subscribers is None:
                place.subscribers = {}
            place.subscribers[subscriber] = terms
            self._changed(inner)
            return
        if place.groups is None:
            place.groups = {}
        group = place.groups.get(member_of.group)
        if group is None:
            group = place.groups[member_of.group] = SharedGroup()
            self._changed(inner)
        group.add(subscriber, terms)

    def remove(self, topic_filter: str, subscriber: Subscriber) -> None:
        """Unsubscribe; not to have been subscribed is no error."""
        member_of = shared(topic_filter)
        inner = topic_filter if member_of is None else member_of.filter
        path = self._path(inner)
        if path is None:
            return
        place = path[-1]
        if member_of is None:
            if place.subscribers is not None and place.subscribers.pop(subscriber, None) is not None:
                self._changed(inner)
        elif place.groups is not None and (group := place.groups.get(member_of.group)) is not None:
            group.remove(subscriber)
            if not group:
                del place.groups[member_of.group]
                self._changed(inner)
        self._prune(inner, path)

    def match(self, topic: str) -> Audience:
        """Who gets messages of this topic."""
        slot, prefix_slot = hash(topic) % _SLOTS, _prefix_slot(topic.split("/", _PREFIX_LEVELS))
        version = self._changes + self._exact_changes[slot] + self._prefix_changes[prefix_slot]
        places = self._matching(topic)
        audience = Audience(version, slot, prefix_slot)
        if places:
            direct = [place.subscribers for place in places if place.subscribers]
            audience.by_terms, audience.own = gather(topic, direct)
            audience.groups = tuple(group for place in places if place.groups for group in place.groups.values())
        return audience

    def is_current(self, audience: Audience) -> bool:
        """Whether `match` would still say the same."""
        changes = self._exact_changes[audience.slot] + self._prefix_changes[audience.prefix_slot]
        return audience.version == self._changes + changes

    def is_empty(self) -> bool:
        """Whether nobody has subscribed to anything."""
        return not self._exact and self._wildcards.is_empty()

    def _place(self, topic_filter: str) -> _Place:
        """Where a filter stands, made where it is missing."""
        if not _has_wildcard(topic_filter):
            place = self._exact.get(topic_filter)
            if place is None:
                place = self._exact[topic_filter] = _Place()
            return place
        place = self._wildcards
        for word in topic_filter.split("/"):
            if place.children is None:
                place.children = {}
            child = place.children.get(word)
            if child is None:
                child = place.children[word] = _Place()
            place = child
        return place

    def _path(self, topic_filter: str) -> list[_Place] | None:
        """The places on the way to a filter, its own at the end; None where nobody has it."""
        if not _has_wildcard(topic_filter):
            found = self._exact.get(topic_filter)
            return None if found is None else [found]
        path = [self._wildcards]
        for word in topic_filter.split("/"):
            child = path[-1].children.get(word) if path[-1].children is not None else None
            if child is None:
                return None
            path.append(child)
        return path

    def _prune(self, topic_filter: str, path: Sequence[_Place]) -> None:
        """Take every place away that nothing ends at or passes any more."""
        if len(path) == 1:
            if path[0].is_empty():
                del self._exact[topic_filter]
            return
        words = topic_filter.split("/")
        for parent, word, child in zip(reversed(path[:-1]), reversed(words), reversed(path[1:]), strict=True):
            if not child.is_empty():
                return
            assert parent.children is not None  # noqa: S101 - the child is one of them
            del parent.children[word]

    def _matching(self, topic: str) -> list[_Place]:
        exact = self._exact.get(topic)
        places = [] if exact is None else [exact]
        if self._wildcards.children:
            places += _walk(self._wildcards, topic.split("/"))
        return places

    def _changed(self, topic_filter: str) -> None:
        if not _has_wildcard(topic_filter):
            self._exact_changes[hash(topic_filter) % _SLOTS] += 1
            return
        words = topic_filter.split("/", _PREFIX_LEVELS)
        # `a/b/#` also matches `a/b`; with fewer literal levels in front any topic may be meant.
        if len(words) > _PREFIX_LEVELS and not any(word in ("+", "#") for word in words[:_PREFIX_LEVELS]):
            self._prefix_changes[_prefix_slot(words)] += 1
        else:
            self._changes += 1


def _prefix_slot(words: Sequence[str]) -> int:
    return hash(tuple(words[:_PREFIX_LEVELS])) % _SLOTS


def _has_wildcard(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter


def _walk(root: _Place, words: list[str]) -> Iterator[_Place]:
    """The place of every wildcard filter that matches; a leading wildcard does not match `$...` (MQTT-4.7.2-1)."""
    hidden = words[0].startswith("$")
    places = [root]
    for depth, word in enumerate(words):
        wild = depth > 0 or not hidden
        following: list[_Place] = []
        for place in places:
            children = place.children
            if children is None:
                continue
            if wild and (rest := children.get("#")) is not None:
                yield rest
            if wild and (any_word := children.get("+")) is not None:
                following.append(any_word)
            if (same := children.get(word)) is not None:
                following.append(same)
        if not following:
            return
        places = following
    for place in places:
        yield place
        # `sport/#` matches `sport` itself as well (MQTT 3.1.1, 4.7.1.2).
        if place.children is not None and (rest := place.children.get("#")) is not None:
            yield rest
