"""The retained message of each topic (MQTT 5, 3.3.1.3)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from actors.device_session.delivery.message import Message
from actors.device_session.journal import Change, Retain, Unretain

# Notes of when messages expire are made anew once so many more are there than messages.
_STALE: Final = 1_000


class _Level:
    """One level of the topics: the levels below it, and the message of the topic that ends here."""

    __slots__ = ("_names", "children", "message")

    def __init__(self) -> None:
        self.children: dict[str, _Level] = {}
        self.message: Message | None = None
        self._names: tuple[str, ...] | None = None

    def names(self) -> tuple[str, ...]:
        """The levels below, as they are now: one copy for all who look through them, however long that takes."""
        if self._names is None:
            self._names = tuple(self.children)
        return self._names

    def add(self, name: str) -> _Level:
        child = self.children[name] = _Level()
        self._names = None
        return child

    def remove(self, name: str) -> None:
        del self.children[name]
        self._names = None


class Retained:
    """The last retained message of each topic, at most so many and so many bytes (`Message.size`) of them.

    A new topic beyond the bounds is refused, and so is a message that would take the place of a smaller one beyond
    them: what was promised to be kept is not pushed out. `refused` counts.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._root = _Level()
        self._count = 0
        self._expiries: list[tuple[int, str]] = []
        self.size = 0
        """Bytes of all of them."""
        self.refused = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def keep(self, message: Message, now: int) -> Change | None:
        """Retain a message, or with an empty payload remove its topic's (MQTT-3.3.1-10, MQTT5-3.3.1-6).

        Returns what is to be written down; None where there is nothing to write, or no room: see `has_room`.
        """
        if not message.payload:
            return self.remove(message.topic)
        if not self.has_room(message, now):
            self.refused += 1
            return None
        self._put(message)
        return Retain(message)

    def has_room(self, message: Message, now: int) -> bool:
        """Whether a message can be retained; room is made of what has expired by `now` (milliseconds)."""
        if self._fits(message):
            return True
        self.take_expired(now)
        return self._fits(message)

    def remove(self, topic: str) -> Change | None:
        """Forget the message of a topic; None where there was none."""
        path = self._path(topic)
        if path is None or path[-1].message is None:
            return None
        self.size -= path[-1].message.size
        self._count -= 1
        path[-1].message = None
        _prune(path, topic.split("/"))
        return Unretain(topic)

    def restore(self, messages: Iterable[Message]) -> None:
        """Those that were retained when the daemon ended."""
        for message in messages:
            self._put(message)

    def get(self, topic: str, now: int) -> Message | None:
        """The message of a topic, unless it has expired."""
        path = self._path(topic)
        message = path[-1].message if path is not None else None
        return None if message is None or message.is_expired(now) else message

    def topics(self, topic_filter: str) -> Iterator[str]:
        """The topics with a retained message that a filter matches, found while they are asked for.

        What is retained or removed meanwhile is seen or not; nothing comes twice.
        """
        if "+" not in topic_filter and "#" not in topic_filter:
            return iter((topic_filter,) if self._at(topic_filter) is not None else ())
        return _walk(self._root, topic_filter.split("/"))

    def take_expired(self, now: int, most: int = 1_000) -> list[Change]:
        """Forget at most so many that have expired; returns what is to be written down. To be called now and then."""
        changes: list[Change] = []
        while len(changes) < most and self._expiries and self._expiries[0][0] <= now:
            _, topic = heapq.heappop(self._expiries)
            path = self._path(topic)
            message = path[-1].message if path is not None else None
            if message is not None and message.is_expired(now):
                removed = self.remove(topic)
                changes += [removed] if removed is not None else []
        return changes

    def _fits(self, message: Message) -> bool:
        path = self._path(message.topic)
        before = path[-1].message if path is not None else None
        freed = before.size if before is not None else 0
        count = self._count + (before is None)
        return count <= self._max_messages and self.size - freed + message.size <= self._max_bytes

    def _put(self, message: Message) -> None:
        level = self._root
        for word in message.topic.split("/"):
            child = level.children.get(word)
            if child is None:
                child = level.add(word)
            level = child
        if level.message is None:
            self._count += 1
        else:
            self.size -= level.message.size
        level.message = message
        self.size += message.size
        if message.expires_at is not None:
            heapq.heappush(self._expiries, (message.expires_at, message.topic))
            if len(self._expiries) > 2 * self._count + _STALE:
                self._renew_expiries()

    def _renew_expiries(self) -> None:
        current = {topic: message for topic in _walk(self._root, ["#"], hidden=False) if (message := self._at(topic))}
        self._expiries = [(m.expires_at, topic) for topic, m in current.items() if m.expires_at is not None]
        heapq.heapify(self._expiries)

    def _at(self, topic: str) -> Message | None:
        path = self._path(topic)
        return path[-1].message if path is not None else None

    def _path(self, topic: str) -> list[_Level] | None:
        path = [self._root]
        for word in topic.split("/"):
            child = path[-1].children.get(word)
            if child is None:
                return None
            path.append(child)
        return path


def _prune(path: list[_Level], words: list[str]) -> None:
    """Take every level away that nothing ends at or passes any more."""
    for parent, word, child in zip(reversed(path[:-1]), reversed(words), reversed(path[1:]), strict=True):
        if child.message is not None or child.children:
            return
        parent.remove(word)


def _walk(root: _Level, wanted: list[str], *, hidden: bool = True) -> Iterator[str]:
    """The topics below `root` with a message that a filter (as its levels) matches.

    `hidden`: a leading wildcard leaves topics that begin with `$` alone [MQTT-4.7.2-1]. Levels are looked up when their
    turn comes: what was taken away meanwhile is passed over.
    """
    open_ended = wanted[-1] == "#"
    words: list[str] = []
    # For each level on the way down, itself and the names below it that are still to be looked at.
    way: list[tuple[_Level, Iterator[str]]] = [(root, iter(_below(root, wanted, 0, hidden=hidden)))]
    while way:
        level, names = way[-1]
        name = next(names, None)
        if name is None:
            way.pop()
            if words:
                words.pop()
            continue
        child = level.children.get(name)
        if child is None:
            continue
        words.append(name)
        depth = len(words)
        if child.message is not None and (depth == len(wanted) or (open_ended and depth >= len(wanted) - 1)):
            yield "/".join(words)
        way.append((child, iter(_below(child, wanted, depth, hidden=hidden))))


def _below(level: _Level, wanted: list[str], depth: int, *, hidden: bool) -> Sequence[str]:
    """The names below a level of that depth that may lead to a match."""
    if depth >= len(wanted):
        return level.names() if wanted[-1] == "#" else ()
    word = wanted[depth]
    if word not in ("+", "#"):
        return (word,)
    if depth == 0 and hidden:
        return [name for name in level.names() if not name.startswith("$")]
    return level.names()
