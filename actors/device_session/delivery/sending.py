"""What one session has to send: what waits for it, and what leaves when its client can take more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from actors.device_session.delivery.durable_queue import DurableQueue, QueueLimits, Waiting
from actors.device_session.delivery.outbox import MemoryQueue, Outbox
from actors.device_session.delivery.packing import Packing
from actors.device_session.delivery.settling import Settlement
from actors.device_session.delivery.window import WINDOW
from actors.device_session.journal import Change, QueuePage, SavedQueue, packet_id_of
from actors.device_session.registry.statuses import milliseconds
from actors.runtime.reply import Reply
from actors.wire.mqtt.reasons import FAILURE, Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.message import Delivery
    from actors.device_session.registry.state import Link, SessionState

# One write to the socket brings about so much of QoS 0, and of QoS 1 and 2: the rest stays where it is counted.
SEND_BYTES: Final = 32 * 1024


class Sender:
    """The deliveries of one session; made when there is the first one.

    `durable`: the session outlives its connection, so QoS 1 and 2 are written down; `collect` hands over what is to be
    written of acknowledgements.
    """

    __slots__ = (
        "_broker",
        "_outbox",
        "_packing",
        "_queue",
        "_settlement",
        "_state",
    )

    def __init__(self, broker: Broker, state: SessionState, *, durable: bool) -> None:
        settings = broker.settings
        self._broker = broker
        self._state = state
        self._settlement = Settlement(broker, state, durable=durable)
        self._outbox = Outbox(settings.outbox_bytes)
        self._queue: MemoryQueue | DurableQueue = MemoryQueue(settings.outbox_bytes)
        if durable:
            limits = QueueLimits(
                settings.outbox_bytes,
                settings.offline_queue_messages,
                settings.offline_queue_bytes,
                settings.offline_queue_policy == "refuse",
            )
            self._queue = DurableQueue(state.incarnation, limits, self._settlement.window)
        self._packing: Packing | None = None

    @property
    def progress(self) -> int:
        """Rises whenever the client takes something of QoS 1 or 2."""
        return self._settlement.progress

    @property
    def is_crowded(self) -> bool:
        """Whether those who feed it with QoS 1 and 2 are to be held."""
        return self._queue.is_crowded

    @property
    def is_waiting(self) -> bool:
        """Whether anything of QoS 1 and 2 waits to be sent."""
        return self._queue.waiting > 0

    @property
    def queued(self) -> tuple[int, int]:
        """How many of QoS 1 and 2 wait that were never sent, and their bytes."""
        return self._queue.waiting, self._queue.waiting_bytes

    @property
    def has_room(self) -> bool:
        """Whether retained messages may be put behind what waits."""
        queue = self._queue
        half = self._broker.settings.outbox_bytes // 2
        return queue.size <= half and self._outbox.size <= half and queue.is_caught_up and not queue.is_crowded

    @property
    def last(self) -> int:
        """The highest sequence given out; 0 where nothing is written down."""
        return self._queue.last

    @property
    def sent(self) -> int:
        """The highest sequence that may have been sent; 0 where nothing is written down."""
        return self._queue.sent

    # --- in -----------------------------------------------------------------------------------------------------------

    def offer(self, at_most_once: Sequence[Delivery], otherwise: Sequence[Delivery], changes: list[Change]) -> int:
        """Take deliveries without waiting; `changes` gets what is to be written down.

        QoS 0 is only for who is connected. Returns how many of QoS 1 and 2 were refused.
        """
        refused = 0
        if at_most_once and self._state.link is not None:
            dropped = self._outbox.offer(at_most_once)
            if dropped:
                self._broker.counters.dropped_deliveries_qos0 += dropped
        if otherwise:
            queue = self._queue
            if isinstance(queue, DurableQueue):
                refused = queue.offer(otherwise, changes)
                self._count_dropped(queue)
            else:
                queue.offer(otherwise)
                if queue.has_overflowed:
                    self._overflow()
        return refused

    def written(self, first: int, last: int, error: BaseException | None) -> None:
        """What was offered is on disk, or could not be written."""
        assert isinstance(self._queue, DurableQueue)  # noqa: S101 - nothing is written of any other
        if error is None:
            self._queue.written(last)
            self._keep_limits(self._queue)
        else:
            self._queue.not_written(first, last)
        if self._state.link is not None:
            self._state.link.wake()

    def _overflow(self) -> None:
        if self._state.link is not None:
            self._broker.counters.slow_subscribers += 1
            self._state.link.close(Reason.QUOTA_EXCEEDED, "more messages wait for the client than there is room for")

    def _keep_limits(self, queue: DurableQueue) -> None:
        changes: list[Change] = []
        queue.keep_limits(changes)
        self._count_dropped(queue)
        if changes:
            self._broker.journal.write(changes, None)

    def _count_dropped(self, queue: DurableQueue) -> None:
        if queue.dropped:
            self._broker.counters.dropped_deliveries_queue += queue.dropped
            queue.dropped = 0
            self._broker.log.warning("Deliveries dropped: the queue of a session is full", client=str(self._state.key))

    # --- out ----------------------------------------------------------------------------------------------------------

    def collect(self, link: Link) -> list[bytes]:
        """What may leave now, in pieces of packets; about one write's worth. Hands over what is to be written down."""
        if self._packing is None:
            self._packing = Packing(link)
        pieces: list[bytes] = []
        releases = self._settlement.releases()
        if releases:
            pieces.append(link.dialect.pubrels(releases))
        delivered = 0
        now = milliseconds()
        if len(self._outbox):
            delivered += self._collect_at_most_once(self._packing, now, pieces)
        if len(self._queue):
            delivered += self._collect_otherwise(self._packing, now, min(link.receive_maximum, WINDOW), pieces)
        self._broker.counters.delivered += delivered
        if isinstance(self._queue, DurableQueue):
            self._read_on(self._queue)
            self._settlement.flush()
        return pieces

    def _collect_at_most_once(self, packing: Packing, now: int, pieces: list[bytes]) -> int:
        outbox, counters = self._outbox, self._broker.counters
        size = count = 0
        while len(outbox) and size < SEND_BYTES:
            delivery = outbox.pop()
            if delivery.message.is_expired(now):
                counters.dropped_deliveries_expired += 1
                continue
            packet = packing.at_most_once(delivery, now)
            if packet is None:
                counters.dropped_deliveries_too_large += 1
                continue
            pieces.append(packet)
            size += len(packet)
            count += 1
        return count

    def _collect_otherwise(self, packing: Packing, now: int, most: int, pieces: list[bytes]) -> int:
        queue, window = self._queue, self._settlement.window
        durable = isinstance(queue, DurableQueue)
        size = count = 0
        room = most - len(window)
        while count < room and size < SEND_BYTES:
            head = queue.head()
            if head is None:
                break
            queue.pop()
            if isinstance(head, Waiting):
                sequence, delivery, dup = head
                packet_id = packet_id_of(sequence)
            else:
                sequence, delivery, dup = 0, head, False
                packet_id = window.next_id()
            packet = self._packet(packing, delivery, packet_id, now, dup=dup)
            if packet is None:
                if durable:
                    self._settlement.give_up(sequence)
                continue
            window.sent(packet_id, delivery.qos, sequence)
            pieces += packet
            size += delivery.size
            count += 1
        self._settlement.progress += count
        return count

    def _packet(
        self, packing: Packing, delivery: Delivery, packet_id: int, now: int, *, dup: bool
    ) -> tuple[bytes, bytes, bytes] | None:
        """The packet in pieces; None where it is not to be sent: expired [MQTT5-3.3.2-5], or too large.

        What was sent once expires no more: its client may hold on to the packet id [MQTT5-4.3.3-7, MQTT5-4.4.0-1].
        """
        if not dup and delivery.message.is_expired(now):
            self._broker.counters.dropped_deliveries_expired += 1
            return None
        packet = packing.otherwise(delivery, packet_id, now, dup=dup)
        if packet is None:
            self._broker.counters.dropped_deliveries_too_large += 1
        return packet

    # --- what the client answers --------------------------------------------------------------------------------------

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK."""
        if self._settlement.acknowledged(packet_id):
            self._go_on()

    def received(self, packet_id: int, reason: int) -> bytes:
        """PUBREC. Returns what is to be answered at once."""
        link = self._state.link
        assert link is not None  # noqa: S101 - somebody sent it
        if reason < FAILURE:
            return self._settlement.received(packet_id, link)
        if self._settlement.refused(packet_id):
            self._go_on()
        return b""

    def completed(self, packet_id: int) -> None:
        """PUBCOMP."""
        if self._settlement.completed(packet_id):
            self._go_on()

    def _go_on(self) -> None:
        """Something is finished: more may leave, or that is to be written down."""
        if self._state.link is not None and (isinstance(self._queue, DurableQueue) or len(self._queue)):
            self._state.link.wake()

    # --- the queue on disk --------------------------------------------------------------------------------------------

    def _read_on(self, queue: DurableQueue) -> None:
        """Read the next page of the queue where it is needed."""
        wanted = queue.next_page()
        if wanted is None:
            return
        link = self._state.link
        reply: Reply[QueuePage] = Reply(lambda: self._page(queue, link, reply))
        self._broker.journal.read_queue(queue.session, wanted.after, wanted.limit_bytes, reply)

    def _page(self, queue: DurableQueue, link: Link | None, reply: Reply[QueuePage]) -> None:
        if link is None or self._state.link is not link:
            return  # for a connection that is gone
        if reply.error is not None:
            queue.page_failed()
            link.close(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "the session's queue could not be read")
            return
        queue.page(reply.value())
        self.recheck(self._broker.directory.rights(self._state.identity).may_receive)
        link.wake()

    # --- the connection, and rights -----------------------------------------------------------------------------------

    def attach(self) -> None:
        """There is a new connection: what the old one had under way is sent again (MQTT-4.4.0-1, MQTT5-4.4.0-1)."""
        self._packing = None
        self._settlement.attach()
        if isinstance(self._queue, DurableQueue):
            self._queue.attach()

    def detach(self) -> None:
        """The connection is gone, and the session stays."""
        self._packing = None
        self._outbox = Outbox(self._broker.settings.outbox_bytes)
        if isinstance(self._queue, DurableQueue):
            changes: list[Change] = []
            self._queue.detach(changes, resend=self._settlement.detach())
            self._count_dropped(self._queue)
            if changes:
                self._broker.journal.write(changes, None)

    def restore(self, saved: SavedQueue, sent: int | None) -> None:
        """What the store knew when the daemon started, see `DurableQueue.restore`."""
        assert isinstance(self._queue, DurableQueue)  # noqa: S101 - only those are restored
        self._queue.restore(saved, sent)
        for sequence in saved.received:
            self._settlement.window.restore(packet_id_of(sequence), sequence)

    def recheck(self, may_receive: Callable[[str], bool]) -> None:
        """Drop what waits in memory and the client has no right to any more."""
        dropped = self._outbox.discard(lambda delivery: not may_receive(delivery.message.topic))
        lost = self._queue.discard(lambda delivery: not may_receive(delivery.message.topic))
        if isinstance(lost, list):
            for sequence in lost:
                self._settlement.give_up(sequence)
            dropped += len(lost)
        else:
            dropped += lost
        self._broker.counters.dropped_deliveries_no_right += dropped
        if dropped and self._state.link is not None:
            self._state.link.wake()
