"""Who has subscribed to what: topic filters -> subscribers (MQTT 3.1.1, section 4.7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from actors.device_session.outbox import Delivery


class Subscriber(Protocol):
    """Who can be delivered to; hashable by identity."""

    def deliver(self, delivery: Delivery, qos: int) -> None:
        """Take a delivery without waiting; what does not fit is dropped and counted."""


Grants = dict[Subscriber, int]
"""Subscribers with the QoS that was granted to each."""


class _Level:
    """One level of the wildcard filters: its children by level, and who subscribed to the filter that ends here."""

    __slots__ = ("children", "grants")

    def __init__(self) -> None:
        self.children: dict[str, _Level] = {}
        self.grants: Grants = {}


class Subscriptions:
    """All subscriptions of all sessions.

    Filters without wildcards (a device's own `in` topic) are looked up whole; those with wildcards stand in a trie.
    `version` rises with each change, so that a publisher may keep what `match` said until then. Filters and topics
    are expected to be valid.
    """

    def __init__(self) -> None:
        self.version = 0
        self._exact: dict[str, Grants] = {}
        self._wildcards = _Level()

    def add(self, topic_filter: str, subscriber: Subscriber, qos: int) -> None:
        """Subscribe; a second subscription to the same filter replaces the first (MQTT-3.8.4-3)."""
        self.version += 1
        if not _has_wildcard(topic_filter):
            self._exact.setdefault(topic_filter, {})[subscriber] = qos
            return
        level = self._wildcards
        for word in topic_filter.split("/"):
            level = level.children.setdefault(word, _Level())
        level.grants[subscriber] = qos

    def remove(self, topic_filter: str, subscriber: Subscriber) -> None:
        """Unsubscribe; not to have been subscribed is no error."""
        self.version += 1
        if _has_wildcard(topic_filter):
            _prune(self._wildcards, topic_filter.split("/"), subscriber)
            return
        grants = self._exact.get(topic_filter)
        if grants is not None and grants.pop(subscriber, None) is not None and not grants:
            del self._exact[topic_filter]

    def match(self, topic: str) -> tuple[tuple[Subscriber, int], ...]:
        """Who gets a message of this topic, each once and at the highest QoS of its matching filters (MQTT-3.3.5-1)."""
        found: Grants = dict(self._exact.get(topic, ()))
        if self._wildcards.children:
            for grants in _matching(self._wildcards, topic.split("/")):
                for subscriber, qos in grants.items():
                    found[subscriber] = max(qos, found.get(subscriber, 0))
        return tuple(found.items())


def _has_wildcard(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter


def _matching(root: _Level, words: list[str]) -> Iterator[Grants]:
    """The grants of every wildcard filter that matches; a leading wildcard does not match `$...` (MQTT-4.7.2-1)."""
    hidden = words[0].startswith("$")
    levels = [root]
    for depth, word in enumerate(words):
        wild = not (hidden and depth == 0)
        following: list[_Level] = []
        for level in levels:
            if wild and (rest := level.children.get("#")) is not None:
                yield rest.grants
            if wild and (any_word := level.children.get("+")) is not None:
                following.append(any_word)
            if (same := level.children.get(word)) is not None:
                following.append(same)
        levels = following
    for level in levels:
        yield level.grants
        # `sport/#` matches `sport` itself as well (MQTT 3.1.1, 4.7.1.2).
        if (rest := level.children.get("#")) is not None:
            yield rest.grants


def _prune(level: _Level, words: list[str], subscriber: Subscriber) -> None:
    """Take the subscriber off the filter, and every level away that nothing ends at or passes any more."""
    path = [level]
    for word in words:
        child = path[-1].children.get(word)
        if child is None:
            return
        path.append(child)
    path[-1].grants.pop(subscriber, None)
    for parent, word, child in zip(reversed(path[:-1]), reversed(words), reversed(path[1:]), strict=True):
        if child.grants or child.children:
            return
        del parent.children[word]
