"""The QoS 2 messages that a client has sent and not released yet (MQTT 5, 4.3.3)."""

from __future__ import annotations

from collections.abc import MutableSet
from typing import Final, NamedTuple

from actors.device_session.journal import OpenIncoming, Released
from actors.records import QOS2_HEADER, Header, TopicPartition
from actors.runtime.reply import Reply

# The incarnation, the packet id and the number.
_MARK_FIELDS: Final = 3


class Mark(NamedTuple):
    """What the header `penstock-qos2` of a record says: which message of which session it is."""

    incarnation: str
    packet_id: int
    number: int

    def header(self) -> Header:
        """The header that says it; ASCII, so that people can read it."""
        return (QOS2_HEADER, b"%b:%d:%d" % (self.incarnation.encode(), self.packet_id, self.number))


def read_mark(value: bytes) -> Mark | None:
    """What a header's value says; None for one that this program did not write."""
    incarnation, *numbers = value.split(b":")
    if len(numbers) != _MARK_FIELDS - 1 or not all(number.isdigit() for number in numbers):
        return None
    try:
        return Mark(incarnation.decode(), int(numbers[0]), int(numbers[1]))
    except UnicodeDecodeError:
        return None


class OpenMessage:
    """One message that is taken and not released: what was begun for it, which a repetition (DUP) must not do again.

    `number` counts the messages of the session's incarnation, so that a packet id that comes again later is not taken
    for the same message.
    """

    __slots__ = ("_appends", "_delivery", "_told", "accepted", "number", "releasing")

    def __init__(self, number: int) -> None:
        self.number = number
        self._appends: tuple[tuple[TopicPartition, Reply[int]], ...] = ()
        self._delivery: Reply[None] | None = None
        self._told: tuple[int, bool, bool] | None = None
        self.accepted = False
        """Whether all of it is done: PUBREC has left or may leave; a repetition is answered and changes nothing."""
        self.releasing = False
        """Whether PUBREL has come; the release is perhaps not on disk yet."""

    def append_of(self, partition: TopicPartition) -> Reply[int] | None:
        """The answer to its append there, which perhaps is still to come; None where there was none, or it failed.

        A repetition waits for that answer in place of appending again (`Reply.also` has it told to another writer).
        """
        for appended, reply in self._appends:
            if appended == partition and reply.error is None:
                return reply
        return None

    def appended(self, partition: TopicPartition, reply: Reply[int]) -> None:
        """Its record was handed to a partition, which will answer so."""
        others = tuple(one for one in self._appends if one[0] != partition)
        self._appends = (*others, (partition, reply))

    @property
    def stored(self) -> tuple[TopicPartition, ...]:
        """The partitions that have its record on disk."""
        return tuple(partition for partition, reply in self._appends if reply.done and reply.error is None)

    @property
    def delivery(self) -> Reply[None] | None:
        """The answer to its delivery, perhaps still to come; None where it was not delivered, or that failed."""
        return None if self._delivery is None or self._delivery.error is not None else self._delivery

    def delivered_with(self, reply: Reply[None]) -> None:
        """It was given to subscribers and retained, and the journal will answer so (at once, where it has no part)."""
        self._delivery = reply

    @property
    def has_begun(self) -> bool:
        """Whether anything was begun for it that may be found on disk after a restart."""
        return bool(self._appends) or self._delivery is not None or self._told is not None

    @property
    def delivered(self) -> bool:
        """Whether it has been given to subscribers and retained, on disk where that was promised."""
        return self._delivery is not None and self._delivery.done and self._delivery.error is None

    def is_settled(self) -> bool:
        """Whether everything that was begun for it has succeeded."""
        appends = all(reply.done and reply.error is None for _, reply in self._appends)
        return appends and (self._delivery is None or self.delivered)

    def knowledge(self) -> tuple[int, bool, bool]:
        """How much is known of it; rises only."""
        return (len(self.stored), self.delivered, self.accepted)

    def is_told(self) -> bool:
        """Whether the session store knows all of this."""
        return self._told == self.knowledge()

    def told(self, knowledge: tuple[int, bool, bool]) -> None:
        """The session store knows so much of it."""
        self._told = knowledge

    @classmethod
    def restored(
        cls, number: int, stored: tuple[TopicPartition, ...], *, delivered: bool, accepted: bool
    ) -> OpenMessage:
        """As it was found at the start of the daemon."""
        message = cls(number)
        for partition in stored:
            there: Reply[int] = Reply()
            there.set(0)
            message.appended(partition, there)
        if delivered:
            done: Reply[None] = Reply()
            done.set(None)
            message.delivered_with(done)
        message.accepted = accepted
        return message


class Incoming:
    """By packet id, the open messages of one session; made when it publishes with QoS 2 for the first time.

    For each PUBLISH with QoS 2:

    - `message = incoming.take(packet_id)`. If `message.accepted`: answer PUBREC, do nothing else.
    - For each target partition: where `message.append_of(partition)` is there, wait for that answer; otherwise append
      a record (with the header `incoming.header(packet_id)` where the session is persistent) and say
      `message.appended(partition, reply)`.
    - Where `message.delivery` is there, wait for that answer. Otherwise deliver and retain, write `incoming.opened(
      packet_id, delivered=True)` with the same journal write, and say `message.delivered_with(reply)`.
    - When all these answers are there: `message.accepted = True` and PUBREC. Where one failed, leave it: the client
      sends it again.

    A message that is refused (PUBREC with 0x80 or above) is given up: its packet id is free. Where `give_up` returns a
    change, PUBREC leaves once that is on disk.

    For each PUBREL: `number = incoming.release(packet_id)`; None: not known (reason 0x92), answer at once. Otherwise
    write `Released`, and once it is on disk `forget(packet_id, number)` and PUBCOMP.
    """

    __slots__ = ("__weakref__", "_incarnation", "_last", "_open", "_used")

    def __init__(self, incarnation: str, used: MutableSet[Incoming] | None = None) -> None:
        """For a session of this incarnation; `used` is the broker's note of who has open messages to be kept.

        It holds nobody: what ends with its session is gone from there. A session that is not persistent gives none:
        its open messages are in memory alone.
        """
        self._incarnation = incarnation
        self._used = used
        self._open: dict[int, OpenMessage] = {}
        self._last = 0

    @property
    def incarnation(self) -> str:
        """Whose they are."""
        return self._incarnation

    def __len__(self) -> int:
        """How many are open: there are never more than packet ids."""
        return len(self._open)

    def take(self, packet_id: int) -> OpenMessage:
        """The open message of a packet id; a new one where none is open (or its PUBREL has come)."""
        message = self._open.get(packet_id)
        if message is None or message.releasing:
            self._last += 1
            message = self._open[packet_id] = OpenMessage(self._last)
            if self._used is not None:
                self._used.add(self)
        return message

    def get(self, packet_id: int) -> OpenMessage | None:
        """The open message of a packet id, if there is one."""
        return self._open.get(packet_id)

    def header(self, packet_id: int) -> Header:
        """The header of the records of an open message."""
        return Mark(self._incarnation, packet_id, self._open[packet_id].number).header()

    def opened(self, packet_id: int, *, delivered: bool = False) -> OpenIncoming:
        """What is known of an open message, for the journal; `delivered`: it is, once this change is on disk."""
        message = self._open[packet_id]
        return OpenIncoming(
            self._incarnation,
            packet_id,
            message.number,
            message.stored,
            delivered=delivered or message.delivered,
            accepted=message.accepted,
        )

    def release(self, packet_id: int) -> int | None:
        """PUBREL has come: the message's number; None where none is open. It stays until `forget`."""
        message = self._open.get(packet_id)
        if message is None:
            return None
        message.releasing = True
        return message.number

    def forget(self, packet_id: int, number: int) -> None:
        """The release is on disk; a newer message of that packet id stays open."""
        message = self._open.get(packet_id)
        if message is not None and message.number == number:
            del self._open[packet_id]

    def give_up(self, packet_id: int) -> Released | None:
        """The message is refused, its packet id is free; returns what a kept session has to write down of that."""
        message = self._open.pop(packet_id, None)
        if message is None or self._used is None or not message.has_begun:
            return None
        return Released(self._incarnation, packet_id, message.number)

    def restore(self, packet_id: int, message: OpenMessage) -> None:
        """It was open when the daemon ended; of two with one packet id the later one counts."""
        present = self._open.get(packet_id)
        if present is None or present.number <= message.number:
            self._open[packet_id] = message
        self.number_from(message.number)

    def number_from(self, last: int) -> None:
        """So many numbers have been given out before."""
        self._last = max(self._last, last)

    def untold(self) -> list[int]:
        """The packet ids of messages of which the session store does not know all that is known here.

        Without those whose release is on its way there: it must not find them open again behind it.
        """
        return [
            packet_id for packet_id, message in self._open.items() if not message.releasing and not message.is_told()
        ]
