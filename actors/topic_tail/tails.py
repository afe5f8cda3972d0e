"""All living tails: so many at most, and all of them end when the daemon does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.errors import PenstockError
from actors.topic_partition.topic import TopicReference, Topics
from actors.topic_query.selection import Selection
from actors.topic_tail.tail import Tail, TailLimits

MAX_TAILS = 32


class TooManyTailsError(PenstockError):
    """As many readers follow topics as may."""


class Tails:
    """Makes tails, and knows those that live."""

    def __init__(self, topics: Topics, most: int = MAX_TAILS, limits: TailLimits | None = None) -> None:
        self._topics = topics
        self._most = most
        self._limits = limits or TailLimits()
        self._living: set[Tail] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._living)

    def topic(self, name: str) -> TopicReference | None:
        """The topic of a name, or None."""
        return self._topics.get(name)

    @contextmanager
    def open(self, topic: TopicReference, selection: Selection) -> Iterator[Tail]:
        """A tail of a topic, for as long as the block lasts.

        Raises:
            SelectionError: the selection cannot be used.
            TooManyTailsError: there are as many as may be.
        """
        selection.check(len(topic.partitions))
        if len(self._living) >= self._most:
            raise TooManyTailsError(f"{self._most} readers follow topics already: end one of them, or try again later")
        tail = Tail(self._topics, topic, selection, self._limits)
        self._living.add(tail)
        try:
            yield tail
        finally:
            self._living.discard(tail)

    def end_all(self, reason: str) -> None:
        """Let every tail end."""
        for tail in tuple(self._living):
            tail.end(reason)
