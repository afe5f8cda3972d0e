"""What waits in memory to be delivered to one subscriber: bounded, and never waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from actors.device_session.delivery.message import Delivery

# One that is fed by many gets a read of each before they are held; past so many times its bound it is let go.
_HARD: Final = 8


class Outbox:
    """Deliveries of QoS 0 for one subscriber, at most `capacity` bytes of them; a heavier one is taken alone.

    Overflow pushes out the oldest: a reader of live values wants the newest. The order stays (MQTT-4.6.0-5).
    """

    __slots__ = ("_capacity", "_queue", "size")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: deque[Delivery] = deque()
        self.size = 0
        """Bytes that wait."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def offer(self, deliveries: Iterable[Delivery]) -> int:
        """Take deliveries without waiting; returns how many (the oldest) were dropped for it."""
        queue = self._queue
        for delivery in deliveries:
            queue.append(delivery)
            self.size += delivery.size
        dropped = 0
        while self.size > self._capacity and len(queue) > 1:
            self.size -= queue.popleft().size
            dropped += 1
        return dropped

    def pop(self) -> Delivery:
        """The oldest."""
        delivery = self._queue.popleft()
        self.size -= delivery.size
        return delivery

    def discard(self, unwanted: Callable[[Delivery], bool]) -> int:
        """Drop those that are not to be sent any more; returns how many."""
        before = len(self._queue)
        self._queue = deque(delivery for delivery in self._queue if not unwanted(delivery))
        self.size = sum(delivery.size for delivery in self._queue)
        return before - len(self._queue)


class MemoryQueue:
    """Deliveries of QoS 1 and 2 for a session that ends with its connection; in their order (MQTT-4.6.0-6).

    Nothing is dropped: past `capacity` bytes the queue is crowded and whoever feeds it is to be held, until half of
    it has drained. Past several times that it has overflowed: the connection is to be ended.
    """

    __slots__ = ("_capacity", "_queue", "is_crowded", "size")

    # Nothing is written down, so there are no sequences, and nothing has to be read back.
    last: Final = 0
    sent: Final = 0
    is_caught_up: Final = True

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: deque[Delivery] = deque()
        self.size = 0
        """Bytes that wait."""
        self.is_crowded = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of those."""
        return self.size

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def has_overflowed(self) -> bool:
        """Whether more waits than may ever wait; one delivery may be as large as it likes."""
        return self.size > _HARD * self._capacity and len(self._queue) > 1

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Take deliveries without waiting."""
        for delivery in deliveries:
            self._queue.append(delivery)
            self.size += delivery.size
        if self.size > self._capacity:
            self.is_crowded = True

    def head(self) -> Delivery | None:
        """The oldest, if there is one."""
        return self._queue[0] if self._queue else None

    def pop(self) -> Delivery:
        """Take the oldest out."""
        delivery = self._queue.popleft()
        self.size -= delivery.size
        if self.size <= self._capacity // 2:
            self.is_crowded = False
        return delivery

    def discard(self, unwanted: Callable[[Delivery], bool]) -> int:
        """Drop those that are not to be sent any more; returns how many."""
        before = len(self._queue)
        self._queue = deque(delivery for delivery in self._queue if not unwanted(delivery))
        self.size = sum(delivery.size for delivery in self._queue)
        self.is_crowded = self.size > self._capacity
        return before - len(self._queue)
