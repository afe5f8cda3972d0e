"""What waits to be sent to whoever follows a topic: bounded, and what does not fit is counted. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from actors.records import StoredRecord
from actors.topic_query.scan import weight


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent next: first how many messages were missed before these, then notices, then messages by partition."""

    missed: int = 0
    notices: tuple[str, ...] = ()
    messages: tuple[tuple[int, StoredRecord], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.missed or self.notices or self.messages)


class TailBuffer:
    """Messages on their way to one reader, bounded by number and bytes; one that is larger than all fits alone.

    Where a new message does not fit, the oldest ones give way: whoever looks at what happens now wants the newest.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_records", "_messages", "_missed", "_notices")

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._messages: deque[tuple[int, StoredRecord]] = deque()
        self._notices: deque[str] = deque(maxlen=16)
        self._bytes = 0
        self._missed = 0

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._messages or self._missed or self._notices)

    def fits(self, record: StoredRecord) -> bool:
        """Whether a message can be added without another one giving way."""
        return not self._messages or (
            len(self._messages) < self._max_records and self._bytes + weight(record) <= self._max_bytes
        )

    def push(self, partition: int, record: StoredRecord) -> None:
        """Add a message; the oldest ones give way, and are counted as missed."""
        while not self.fits(record):
            _, oldest = self._messages.popleft()
            self._bytes -= weight(oldest)
            self._missed += 1
        self._messages.append((partition, record))
        self._bytes += weight(record)

    def miss(self, messages: int) -> None:
        """So many messages were gone before they could be read."""
        self._missed += messages

    def notice(self, text: str) -> None:
        """Tell the reader something; of many such things the newest."""
        self._notices.append(text)

    def take(self, max_records: int, max_bytes: int) -> Batch:
        """The next things to send; a message larger than `max_bytes` comes alone."""
        taken: list[tuple[int, StoredRecord]] = []
        room = max_bytes
        while self._messages and len(taken) < max_records:
            size = weight(self._messages[0][1])
            if taken and size > room:
                break
            room -= size
            self._bytes -= size
            taken.append(self._messages.popleft())
        batch = Batch(self._missed, tuple(self._notices), tuple(taken))
        self._missed = 0
        self._notices.clear()
        return batch
