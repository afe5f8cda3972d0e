"""Open QoS 2 messages and the log: where the tails of the partitions were last known, and what stands in them since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableSet
from contextlib import suppress
from typing import Final

import structlog

from actors.device_session.intake.incoming import Incoming, Mark, OpenMessage, read_mark
from actors.device_session.journal import OpenIncoming
from actors.errors import ActorGone, DamagedLogError, OffsetOutOfRangeError, PenstockError
from actors.log.batch import BadBatchError, read_records
from actors.records import QOS2_HEADER, TopicPartition
from actors.runtime.reply import Reply
from actors.session_store.messages import Checkpoint
from actors.topic_partition.reference import PartitionReference
from actors.topic_partition.topic import TopicReference

log = structlog.get_logger()

_FETCH_BYTES: Final = 1024 * 1024
_HEADER_KEY: Final = QOS2_HEADER.encode()
# A log that ends before the checkpoint has lost its tail with the power, or is another one: so much of it is looked at.
_UNKNOWN_OFFSETS: Final = 100_000


class TailWatch:
    """Says what a checkpoint is to write: how far each partition has come, and what is open that the store knows not.

    Both are taken at the same moment. A record below these offsets belongs to a message that was released before, or
    is written down here as open with this partition; so only records above them have to be looked for at the start.
    """

    def __init__(self, topics: Iterable[TopicReference], used: MutableSet[Incoming]) -> None:
        """For the partitions of all topics there are, and the broker's note of who has open messages."""
        self._topics = topics
        self._used = used
        self._written: dict[TopicPartition, int] = {}

    def due(self) -> Checkpoint | None:
        """What is to be written now; None where nothing has changed since the last one that was."""
        offsets = self._moved()
        opened: list[OpenIncoming] = []
        told: list[tuple[OpenMessage, tuple[int, bool, bool]]] = []
        for incoming in tuple(self._used):
            for packet_id in incoming.untold():
                message = incoming.get(packet_id)
                if message is not None:
                    opened.append(incoming.opened(packet_id))
                    told.append((message, message.knowledge()))
            if not incoming:
                self._used.discard(incoming)
        if not offsets and not opened:
            return None

        def answered() -> None:
            if reply.error is None:
                self._written |= offsets
                for message, knowledge in told:
                    message.told(knowledge)

        reply: Reply[None] = Reply(answered)
        return Checkpoint(offsets, opened, reply)

    def _moved(self) -> dict[TopicPartition, int]:
        offsets: dict[TopicPartition, int] = {}
        for topic in self._topics:
            for partition in topic.partitions:
                with suppress(ActorGone):  # it has not opened yet: nobody has written anything there
                    end = partition.high_watermark
                    if self._written.get(partition.partition) != end:
                        offsets[partition.partition] = end
        return offsets


class Found:
    """What the tails say: for each session and packet id the last message, and the partitions that have its record."""

    def __init__(self) -> None:
        self._marks: dict[str, dict[int, tuple[int, list[TopicPartition]]]] = {}

    def add(self, mark: Mark, partition: TopicPartition) -> None:
        """A record with that mark stands in a partition."""
        of_session = self._marks.setdefault(mark.incarnation, {})
        number, partitions = of_session.get(mark.packet_id, (0, []))
        if mark.number > number:
            of_session[mark.packet_id] = (mark.number, [partition])
        elif mark.number == number and partition not in partitions:
            partitions.append(partition)

    def of(self, session: str) -> Mapping[int, tuple[int, list[TopicPartition]]]:
        """Of one session, by packet id: the number of its last message, and where that stands."""
        return self._marks.get(session, {})


def rebuild(
    session: str,
    known: Iterable[OpenIncoming],
    released: Iterable[int],
    found: Found,
    used: MutableSet[Incoming],
) -> Incoming | None:
    """The open messages of a session: what the store knows, and what the tails show that was not released.

    None where none is open, and no number is to be remembered.
    """
    marks, known, released = found.of(session), tuple(known), frozenset(released)
    if not marks and not known and not released:
        return None
    incoming = Incoming(session, used)
    incoming.number_from(max(released, default=0))
    by_packet_id = {one.packet_id: one for one in known if one.number not in released}
    for packet_id, (number, partitions) in marks.items():
        incoming.number_from(number)
        before = by_packet_id.get(packet_id)
        if number in released or (before is not None and before.number > number):
            continue
        if before is None or before.number < number:
            before = OpenIncoming(session, packet_id, number, (), delivered=False)
        stored = dict.fromkeys((*before.stored, *partitions))
        by_packet_id[packet_id] = before._replace(stored=tuple(stored))
    for packet_id, one in by_packet_id.items():
        message = OpenMessage.restored(one.number, one.stored, delivered=one.delivered, accepted=one.accepted)
        incoming.restore(packet_id, message)
    if incoming:
        used.add(incoming)
    return incoming


async def scan(partition: PartitionReference, known: int | None, found: Found) -> int:
    """Look for marks in a partition's tail, from a checkpoint's offset on (None: from its beginning).

    Returns how many records were looked at. What is damaged is passed over, and told.

    Raises:
        PenstockError: the partition does not run, or the disk does not give it.
    """
    end = partition.high_watermark
    offset = _begin(partition, known, end)
    began = offset
    while offset < end:
        try:
            fetched = await partition.fetch(offset, _FETCH_BYTES)
            for batch in fetched.batches:
                _look(bytes(batch), offset, partition.partition, found)
            offset = fetched.next_offset
        except OffsetOutOfRangeError as gone:
            offset = max(gone.start, offset + 1)
        except (DamagedLogError, BadBatchError) as damaged:
            log.warning("A damaged part of a log was not searched for open messages", reason=str(damaged))
            offset = damaged.resume if isinstance(damaged, DamagedLogError) else end
    return end - began


def _begin(partition: PartitionReference, known: int | None, end: int) -> int:
    start = partition.start_offset
    if known is None:
        return start
    if known > end:
        return max(start, end - _UNKNOWN_OFFSETS)
    return max(start, known)


def _look(batch: bytes, start: int, partition: TopicPartition, found: Found) -> None:
    # Most batches have none: to look for the bytes of the header's name costs a hundredth of reading the records.
    if _HEADER_KEY not in batch:
        return
    for record in read_records(batch, start):
        for name, value in record.headers:
            mark = read_mark(value) if name == QOS2_HEADER else None
            if mark is not None:
                found.add(mark, partition)


async def scan_all(topics: Iterable[TopicReference], known: Mapping[TopicPartition, int]) -> Found:
    """Look through the tails of all partitions; one that does not run is told, and left out."""
    found, records = Found(), 0
    for topic in topics:
        for partition in topic.partitions:
            try:
                records += await scan(partition, known.get(partition.partition), found)
            except PenstockError as error:
                log.warning(
                    "A partition was not searched for open QoS 2 messages: one that is sent again may be stored twice",
                    partition=str(partition.partition),
                    reason=str(error),
                )
    log.info("Partitions searched for open QoS 2 messages", records=records)
    return found
