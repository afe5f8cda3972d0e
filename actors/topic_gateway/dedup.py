"""Which of a producer's records are stored already. Pure.

A record of a producer that numbers them carries the header `penstock-producer`: `<app>/<producer>/<sequence>`. What the
window remembers is a function of the log alone: the numbers of all records among the last `size` offsets of each
partition, of the topic itself and of the one that it diverts to. So it can be dropped at any time and read back from
the tails of the logs, also after a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from actors.records import Header, StoredRecord, TopicPartition

PRODUCER_HEADER = "penstock-producer"


class Numbered(NamedTuple):
    """A producer, with the app that it belongs to, and the number of one of its records."""

    producer: str
    sequence: int

    def header(self) -> Header:
        """The record header that keeps it."""
        return (PRODUCER_HEADER, f"{self.producer}/{self.sequence}".encode())


class Place(NamedTuple):
    """Where a record is stored, which may be in another topic than it was meant for."""

    partition: TopicPartition
    offset: int


class Known(NamedTuple):
    """Of the numbers asked about: those that are stored, and where; those that somebody is storing; and the rest.

    The rest is new, and now the asker's to store: it owes a `stored` or `failed` for each of them.
    """

    stored: dict[int, Place]
    under_way: list[int]
    new: list[int]


class Window:
    """What is known of the producers of one topic."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._places: dict[str, dict[int, Place]] = {}
        # In order of offsets, so that what leaves the window is found at the front.
        self._order: dict[TopicPartition, deque[tuple[int, str, int]]] = {}
        self._under_way: dict[str, set[int]] = {}

    def __len__(self) -> int:
        """How many records it remembers."""
        return sum(map(len, self._places.values()))

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way into the log."""
        return not self._under_way

    def admit(self, producer: str, sequences: Iterable[int]) -> Known:
        """Tell which of a producer's records are known, and claim the others."""
        places = self._places.get(producer, {})
        under_way = self._under_way.setdefault(producer, set())
        known = Known({}, [], [])
        for sequence in sequences:
            place = places.get(sequence)
            if place is not None:
                known.stored[sequence] = place
            elif sequence in under_way:
                known.under_way.append(sequence)
            else:
                known.new.append(sequence)
                under_way.add(sequence)
        self._settle(producer)
        return known

    def under_way(self, producer: str) -> set[int] | frozenset[int]:
        """The numbers of a producer that somebody is storing now."""
        return self._under_way.get(producer, frozenset())

    def stored(self, producer: str, sequences: Sequence[int], partition: TopicPartition, offset: int) -> None:
        """Records with these numbers are stored next to one another, the first of them at `offset`."""
        for position, sequence in enumerate(sequences, offset):
            self._remember(producer, sequence, Place(partition, position))
        self._settle(producer, sequences)
        self.advance(partition, offset + len(sequences))

    def failed(self, producer: str, sequences: Iterable[int]) -> None:
        """These were not stored, and may be sent again."""
        self._settle(producer, sequences)

    def read_back(self, partition: TopicPartition, records: Iterable[StoredRecord]) -> None:
        """Records of the topic out of the tail of a partition's log, in order."""
        for record in records:
            for name, value in record.headers:
                if name == PRODUCER_HEADER:
                    numbered = parse(value)
                    if numbered is not None:
                        self._remember(*numbered, Place(partition, record.offset))

    def advance(self, partition: TopicPartition, next_offset: int) -> None:
        """The log of a partition has come so far: what lies `size` offsets before it is forgotten."""
        order = self._order.get(partition)
        while order and order[0][0] < next_offset - self._size:
            offset, producer, sequence = order.popleft()
            places = self._places[producer]
            if places.get(sequence) == (partition, offset):
                del places[sequence]
            if not places:
                del self._places[producer]

    def _settle(self, producer: str, sequences: Iterable[int] = ()) -> None:
        under_way = self._under_way.get(producer)
        if under_way is not None:
            under_way.difference_update(sequences)
            if not under_way:
                del self._under_way[producer]

    def _remember(self, producer: str, sequence: int, place: Place) -> None:
        places = self._places.setdefault(producer, {})
        # The first place is the one that was answered.
        if sequence not in places:
            places[sequence] = place
            self._order.setdefault(place.partition, deque()).append((place.offset, producer, sequence))


def parse(value: bytes | None) -> Numbered | None:
    """The content of a record header, or None where it is none of ours."""
    producer, slash, sequence = (value or b"").decode("utf-8", "replace").rpartition("/")
    if not slash or not sequence.isascii() or not sequence.isdigit():
        return None
    return Numbered(producer, int(sequence))
