"""What waits to be delivered to one subscriber: bounded, and never waited for."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

# Until the subscriber has acknowledged some, no more than so many QoS 1 deliveries are under way (as mosquitto's
# max_inflight_messages bounds them).
WINDOW: Final = 100
# One write to the socket brings about so much, so that what stands in the outbox keeps being counted there.
SEND_BYTES: Final = 64 * 1024
# What a delivery weighs beside its topic and payload.
OVERHEAD: Final = 64
_MAX_PACKET_ID: Final = 65_535


class Delivery(NamedTuple):
    """One message on its way to subscribers: shared by all of them, so that it is encoded once for QoS 0."""

    topic: str
    payload: bytes
    packet: bytes
    """The whole PUBLISH packet at QoS 0."""

    @property
    def size(self) -> int:
        """Its weight in an outbox in bytes."""
        return len(self.packet) + OVERHEAD


class Outbox:
    """Deliveries of one subscriber, at most `capacity` bytes of them; a heavier one is taken when nothing waits.

    Overflow: a QoS 0 delivery pushes out the oldest ones of QoS 0 (`drop_oldest`: a reader of live values wants the
    newest); one of QoS 1 pushes out QoS 0 as well, and is itself dropped when only QoS 1 stands there
    (`drop_newest`: what was queued first stays in order). Within a QoS the order stays (MQTT-4.6.0-5).
    """

    __slots__ = ("_at_least_once", "_at_most_once", "_capacity", "_next_id", "_size", "_unacknowledged")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._at_most_once: deque[Delivery] = deque()
        self._at_least_once: deque[Delivery] = deque()
        self._unacknowledged: set[int] = set()
        self._next_id = 1

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def offer(self, delivery: Delivery, qos: int) -> tuple[int, int]:
        """Take a delivery without waiting; returns how many of QoS 0 and of QoS 1 were dropped for it (or instead)."""
        dropped = self._make_room(delivery.size)
        if self._size and self._size + delivery.size > self._capacity:
            return (dropped, 1) if qos else (dropped + 1, 0)
        (self._at_least_once if qos else self._at_most_once).append(delivery)
        self._size += delivery.size
        return dropped, 0

    def is_ready(self) -> bool:
        """Whether something may be sent now."""
        return bool(self._at_most_once) or (bool(self._at_least_once) and len(self._unacknowledged) < WINDOW)

    def take(self) -> tuple[list[bytes], list[tuple[Delivery, int]]]:
        """What may be sent now, about SEND_BYTES: ready packets of QoS 0, and deliveries of QoS 1 with packet ids."""
        size = 0
        packets: list[bytes] = []
        while self._at_most_once and size < SEND_BYTES:
            delivery = self._at_most_once.popleft()
            packets.append(delivery.packet)
            size += delivery.size
        numbered: list[tuple[Delivery, int]] = []
        while self._at_least_once and len(self._unacknowledged) < WINDOW and size < SEND_BYTES:
            delivery = self._at_least_once.popleft()
            numbered.append((delivery, self._number()))
            size += delivery.size
        self._size -= size
        return packets, numbered

    def acknowledge(self, packet_id: int) -> bool:
        """The subscriber has it; False where no delivery of that id is under way (a stray PUBACK does no harm)."""
        if packet_id not in self._unacknowledged:
            return False
        self._unacknowledged.remove(packet_id)
        return True

    def _make_room(self, size: int) -> int:
        dropped = 0
        while self._at_most_once and self._size + size > self._capacity:
            self._size -= self._at_most_once.popleft().size
            dropped += 1
        return dropped

    def _number(self) -> int:
        while self._next_id in self._unacknowledged:
            self._next_id = self._next_id % _MAX_PACKET_ID + 1
        packet_id = self._next_id
        self._unacknowledged.add(packet_id)
        self._next_id = packet_id % _MAX_PACKET_ID + 1
        return packet_id
