"""The QoS 1 and 2 messages that wait for a session that outlives its connections: all on disk, some in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from actors.device_session.delivery.message import Delivery
from actors.device_session.delivery.unsent import Unsent
from actors.device_session.delivery.window import Window
from actors.device_session.journal import (
    PACKET_IDS,
    Change,
    DropQueued,
    Enqueue,
    QueuePage,
    SavedQueue,
    packet_id_of,
)

# While the client is connected its feeders are held instead, so only what they bring in one read goes beyond the
# limits; and what is to take the place of older messages stands beside them until it is on disk. Past these the oldest
# goes at once.
_HARD_BYTES: Final = 16
_HARD_MESSAGES: Final = PACKET_IDS - 5_000


class QueueLimits(NamedTuple):
    """`memory_bytes` bounds what is in memory; `messages` and `bytes` what waits, on disk and in memory.

    `refuse`: beyond them the newest is not taken; otherwise the oldest goes.
    """

    memory_bytes: int
    messages: int
    bytes: int
    refuse: bool


class Waiting(NamedTuple):
    """One delivery with its place in the queue; `dup`: it may have been sent before [MQTT-3.3.1-1]."""

    sequence: int
    delivery: Delivery
    dup: bool


class PageRequest(NamedTuple):
    """What to read of the queue on disk: about so many bytes, after a sequence."""

    after: int
    limit_bytes: int


class DurableQueue:
    """What waits, in the order of its sequences (MQTT-4.6.0-6).

    Memory holds the head of it, at most `memory_bytes`; what does not fit, and everything while there is no
    connection, is on disk only and is read back page by page as the head drains. A session that comes back, also
    after a restart, reads its queue like that from the start: what it had been sent and has not acknowledged comes
    first, with DUP.
    """

    __slots__ = (
        "_dup_to",
        "_entries",
        "_is_live",
        "_last",
        "_limits",
        "_read_to",
        "_resend_to",
        "_spilled",
        "_synced",
        "_through",
        "_unsent",
        "_window",
        "dropped",
        "is_crowded",
        "session",
        "size",
    )

    def __init__(self, session: str, limits: QueueLimits, window: Window) -> None:
        self.session = session
        self._limits = limits
        self._window = window
        self._is_live = False
        self._unsent = Unsent()
        self._last = 0
        # Up to here it is on disk.
        self._synced = 0
        # Up to here it may have been sent before; up to here what is read back was sent, and does not count as waiting.
        self._dup_to = 0
        self._resend_to = 0
        self._entries: deque[Waiting] = deque()
        # Up to here it is in memory, or was.
        self._through = 0
        self._spilled = False
        # Up to here it will have been read when the page comes that was asked for; None while none was.
        self._read_to: int | None = None
        self.size = 0
        """Bytes in memory."""
        self.dropped = 0
        """How many were dropped, or not taken, since whoever counts them set it to 0."""
        self.is_crowded = False
        """Whether those who feed it are to be held; only while there is a connection."""

    def __len__(self) -> int:
        """How many wait in memory."""
        return len(self._entries)

    @property
    def waiting(self) -> int:
        """How many wait that were never sent, wherever they are."""
        return self._unsent.count

    @property
    def waiting_bytes(self) -> int:
        """Bytes of those (`Message.size`)."""
        return self._unsent.bytes

    @property
    def is_caught_up(self) -> bool:
        """Whether everything that waits is in memory."""
        return not self._spilled

    @property
    def last(self) -> int:
        """The highest sequence given out."""
        return self._last

    @property
    def sent(self) -> int:
        """Up to here it may have been sent."""
        return max(self._dup_to, self._unsent.first - 1)

    # --- in -----------------------------------------------------------------------------------------------------------

    def offer(self, deliveries: Sequence[Delivery], changes: list[Change]) -> int:
        """Take deliveries without waiting; `changes` gets what is to be written. Returns how many were not taken.

        What has to go for them goes once they are on disk, see `keep_limits`: a disk that takes nothing costs nothing.
        """
        refused = 0
        for delivery in deliveries:
            if self._make_room(delivery.size, changes):
                self._append(delivery, changes)
            else:
                refused += 1
        self.dropped += refused
        limits, unsent = self._limits, self._unsent
        if self._is_live and (unsent.count > limits.messages // 2 or unsent.bytes > limits.bytes // 2):
            self.is_crowded = True
        return refused

    def written(self, last: int) -> None:
        """Everything up to that sequence is on disk."""
        self._synced = max(self._synced, last)

    def not_written(self, first: int, last: int) -> None:
        """These could not be written: whoever published them was told nothing, and sends them again."""
        self._keep_only(lambda entry: not first <= entry.sequence <= last)
        for sequence in range(first, last + 1):
            self._unsent.remove(sequence)
        self._relax()

    def keep_limits(self, changes: list[Change]) -> None:
        """Drop the oldest of what is too much; while there is a connection its feeders are held instead."""
        limits, unsent = self._limits, self._unsent
        if self._is_live or limits.refuse:
            return
        while unsent.count > limits.messages or (unsent.count > 1 and unsent.bytes > limits.bytes):
            self._drop_oldest(changes)

    # --- out ----------------------------------------------------------------------------------------------------------

    def head(self) -> Waiting | None:
        """The oldest that may be sent now; one of QoS 2 only once it is on disk, so that its id is not used again."""
        if not self._entries:
            return None
        entry = self._entries[0]
        return None if entry.delivery.qos > 1 and entry.sequence > self._synced else entry

    def pop(self) -> Waiting:
        """Take the oldest out: it is sent, or given up."""
        entry = self._entries.popleft()
        self.size -= entry.delivery.size
        self._unsent.pass_by(entry.sequence)
        self._relax()
        return entry

    def discard(self, unwanted: Callable[[Delivery], bool]) -> list[int]:
        """Drop those in memory that are not to be sent any more; returns their sequences."""
        lost = {entry.sequence for entry in self._entries if unwanted(entry.delivery)}
        if lost:
            self._keep_only(lambda entry: entry.sequence not in lost)
        for sequence in lost:
            self._unsent.remove(sequence)
        self._relax()
        return sorted(lost)

    # --- the connection -----------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """There is a connection: what waits is to be read back."""
        self._is_live = True
        self._resend_to = self._unsent.first - 1
        self._dup_to = max(self._dup_to, self._resend_to)

    def detach(self, changes: list[Change], *, resend: bool) -> None:
        """The connection is gone: nothing stays in memory, and the limits hold again.

        `resend`: something that was sent is to be sent again.
        """
        self._is_live = self.is_crowded = False
        self._entries.clear()
        self.size = self._through = 0
        self._read_to = None
        self._spilled = resend or self._unsent.count > 0
        self.keep_limits(changes)

    def restore(self, saved: SavedQueue, sent: int | None) -> None:
        """What the store knew when the daemon started; `sent`: up to where it may have been sent, None: anywhere."""
        self._unsent = Unsent.of(saved.waiting, saved.last)
        self._last = self._synced = saved.last
        self._dup_to = saved.last if sent is None else sent
        self._spilled = bool(saved.waiting)

    def next_page(self) -> PageRequest | None:
        """What to read now, and then to hand to `page`; None while there is no need, or no room."""
        room = self._limits.memory_bytes - self.size
        if not self._is_live or not self._spilled or self._read_to is not None or room < self._limits.memory_bytes // 2:
            return None
        self._read_to = self._last
        return PageRequest(self._through, room)

    def page(self, page: QueuePage) -> None:
        """Take what was read; what was dropped meanwhile is passed over."""
        read_to, self._read_to = self._read_to, None
        if read_to is None:
            return
        for sequence, qos, retain, ids, message in page.entries:
            if sequence <= self._through:
                continue
            self._through = sequence
            if sequence <= self._resend_to or sequence in self._unsent:
                delivery = Delivery(message, qos, retain=retain, subscription_ids=ids)
                self._remember(Waiting(sequence, delivery, dup=sequence <= self._dup_to))
                self._synced = max(self._synced, sequence)
        if page.complete:
            self._through = max(self._through, read_to)
            self._spilled = self._last > read_to

    def page_failed(self) -> None:
        """It could not be read."""
        self._read_to = None

    # --- parts --------------------------------------------------------------------------------------------------------

    def _append(self, delivery: Delivery, changes: list[Change]) -> None:
        sequence = self._last + 1
        while packet_id_of(sequence) in self._window:
            sequence += 1
        self._last = sequence
        self._unsent.append(sequence, delivery.size)
        changes.append(
            Enqueue(self.session, sequence, delivery.qos, delivery.retain, delivery.subscription_ids, delivery.message)
        )
        fits = self.size + delivery.size <= self._limits.memory_bytes or not self._entries
        if self._is_live and not self._spilled and fits:
            self._remember(Waiting(sequence, delivery, dup=False))
        else:
            self._spilled = True

    def _remember(self, entry: Waiting) -> None:
        self._entries.append(entry)
        self.size += entry.delivery.size
        self._through = entry.sequence

    def _make_room(self, size: int, changes: list[Change]) -> bool:
        """Drop what has to go at once for so many bytes; False where they are not to be taken."""
        limits, unsent = self._limits, self._unsent
        is_soft = limits.refuse and not self._is_live
        messages = limits.messages if is_soft else _HARD_MESSAGES
        most = limits.bytes if is_soft else limits.bytes * _HARD_BYTES
        while unsent.count and (unsent.count + 1 > messages or unsent.bytes + size > most):
            if limits.refuse:
                return False
            self._drop_oldest(changes)
        return True

    def _relax(self) -> None:
        unsent, limits = self._unsent, self._limits
        if self.is_crowded and unsent.count <= limits.messages // 4 and unsent.bytes <= limits.bytes // 4:
            self.is_crowded = False

    def _drop_oldest(self, changes: list[Change]) -> None:
        sequence = self._unsent.pop_oldest()
        self.dropped += 1
        for index, entry in enumerate(self._entries):
            if entry.sequence >= sequence:
                if entry.sequence == sequence:
                    self.size -= entry.delivery.size
                    del self._entries[index]
                break
        before = changes[-1] if changes else None
        if isinstance(before, DropQueued) and before.session == self.session:
            changes[-1] = before._replace(last=sequence)
        else:
            changes.append(DropQueued(self.session, sequence, sequence))

    def _keep_only(self, wanted: Callable[[Waiting], bool]) -> None:
        self._entries = deque(entry for entry in self._entries if wanted(entry))
        self.size = sum(entry.delivery.size for entry in self._entries)
