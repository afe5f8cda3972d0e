"""The QoS 2 messages that a client has sent and not released yet (MQTT 5, 4.3.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from actors.records import QOS2_HEADER, Header, TopicPartition

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
    """One message that is taken and not released.

    `number` counts the messages of the session's incarnation, so that a packet id that comes again later is not taken
    for the same message. What is said of it here is what a repetition (DUP) must not do again.
    """

    __slots__ = ("accepted", "delivered", "number", "releasing", "stored", "written")

    def __init__(self, number: int, stored: tuple[TopicPartition, ...] = (), *, delivered: bool = False) -> None:
        self.number = number
        self.stored = stored
        """The partitions that have its record on disk."""
        self.delivered = delivered
        """Whether it has been given to subscribers and retained, on disk where that was promised."""
        self.accepted = False
        """Whether all of it is done: PUBREC has left or may leave; a repetition is answered and changes nothing."""
        self.releasing = False
        """Whether PUBREL has come; the release is perhaps not on disk yet."""
        self.written = False
        """Whether the session store knows it as open, beside what the log's tail says."""


class Incoming:
    """By packet id, the open messages of one session; made when it publishes with QoS 2 for the first time.

    How one is used, for each PUBLISH with QoS 2:

    - `message = incoming.take(packet_id)`. If `message.accepted`: answer PUBREC, do nothing else.
    - Otherwise append a record to each target partition that is not in `message.stored`, with the header
      `incoming.header(packet_id)` where the session is persistent; deliver and retain only unless `message.delivered`,
      and then put `OpenIncoming` into the same journal write.
    - As answers come: `stored_in(packet_id, partition)`, `delivered(packet_id)`; when all are there `accept(packet_id)`
      and PUBREC. Where one failed, leave it: the client sends it again.

    For each PUBREL: `number = incoming.release(packet_id)`; None: not known (reason 0x92), answer at once. Otherwise
    write `Released`, and once it is on disk `forget(packet_id, number)` and PUBCOMP.
    """

    __slots__ = ("_incarnation", "_last", "_open", "_used")

    def __init__(self, incarnation: str, used: set[Incoming] | None = None) -> None:
        """For a session of this incarnation; `used` is the broker's note of who has open messages to be kept.

        A session that is not persistent gives none: its open messages are in memory alone.
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

    def stored_in(self, packet_id: int, partition: TopicPartition) -> None:
        """A partition has its record on disk."""
        message = self._open.get(packet_id)
        if message is not None and partition not in message.stored:
            message.stored = (*message.stored, partition)

    def delivered(self, packet_id: int) -> None:
        """It has been given to subscribers and retained, and that is on disk where it was promised."""
        message = self._open.get(packet_id)
        if message is not None:
            message.delivered = True

    def accept(self, packet_id: int) -> None:
        """All of it is done: PUBREC leaves."""
        message = self._open.get(packet_id)
        if message is not None:
            message.accepted = True

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

    def restore(self, packet_id: int, message: OpenMessage) -> None:
        """It was open when the daemon ended; of two with one packet id the later one counts."""
        present = self._open.get(packet_id)
        if present is None or present.number <= message.number:
            self._open[packet_id] = message
        self.number_from(message.number)

    def number_from(self, last: int) -> None:
        """So many numbers have been given out before."""
        self._last = max(self._last, last)

    def unwritten(self) -> list[tuple[int, OpenMessage]]:
        """Those that the session store has not been told of, with their packet ids."""
        return [(packet_id, message) for packet_id, message in self._open.items() if not message.written]
