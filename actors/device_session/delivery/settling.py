"""What a client answers to messages of QoS 1 and 2, and what of that is written down before anybody hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.device_session.delivery.window import Window
from actors.device_session.journal import Change, Done, Received, packet_id_of
from actors.runtime.reply import Reply
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.registry.state import Link, SessionState


class Settlement:
    """The exchanges of one session that are under way.

    `durable`: the session outlives its connection. Then what is finished, and what the client has received, is
    gathered and handed over by `flush`, one write for all that one read of the socket brought.
    """

    __slots__ = ("_broker", "_done", "_durable", "_receiving", "_releases", "_state", "progress", "window")

    def __init__(self, broker: Broker, state: SessionState, *, durable: bool) -> None:
        self._broker = broker
        self._state = state
        self._durable = durable
        self.window = Window()
        # Sequences to write as done, packet ids to write as receiving, packet ids whose PUBREL is to leave.
        self._done: list[int] = []
        self._receiving: list[int] = []
        self._releases: list[int] = []
        self.progress = 0
        """Rises whenever the client takes something of QoS 1 or 2."""

    def acknowledged(self, packet_id: int) -> bool:
        """PUBACK, of success or not: the message is finished (MQTT5-4.3.2-3); whether there was one."""
        return self._finished(self.window.acknowledge(packet_id))

    def completed(self, packet_id: int) -> bool:
        """PUBCOMP: the message is finished; whether there was one."""
        return self._finished(self.window.complete(packet_id))

    def refused(self, packet_id: int) -> bool:
        """PUBREC of a failure: the message is finished; whether there was one."""
        return self._finished(self.window.refuse(packet_id))

    def received(self, packet_id: int, link: Link) -> bytes:
        """PUBREC. Returns what is to be answered at once; where it has to be written down first, PUBREL comes later."""
        window = self.window
        if window.receive(packet_id) is not None:
            self.progress += 1
            if self._durable:
                self._receiving.append(packet_id)
                link.wake()
                return b""
            window.release(packet_id)
            return link.dialect.pubrel(packet_id)
        if window.is_received(packet_id):
            return link.dialect.pubrel(packet_id)
        if window.is_receiving(packet_id):
            return b""
        return link.dialect.pubrel(packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND)

    def give_up(self, sequence: int) -> None:
        """A message that is written down is not sent, or not any more."""
        self._done.append(sequence)
        self.window.give_up(packet_id_of(sequence))

    def releases(self) -> Sequence[int]:
        """The packet ids whose PUBREL is to leave now."""
        releases, self._releases = self._releases, []
        return releases

    def attach(self) -> None:
        """There is a new connection: what the old one was told to release is released again."""
        self._releases = list(self.window.received())

    def detach(self) -> bool:
        """The connection is gone, and the session stays; whether anything has to be sent again."""
        self._releases = []
        self.flush()
        return self.window.interrupt()

    def flush(self) -> None:
        """Hand over what the client has acknowledged, and what it has received."""
        session, changes = self._state.incarnation, list[Change]()
        if self._done:
            changes.append(Done(session, tuple(self._done)))
            self._done = []
        if not self._receiving:
            if changes:
                self._broker.journal.write(changes, None)
            return
        packet_ids, self._receiving = self._receiving, []
        sequences = tuple(self.window.sequence(packet_id) for packet_id in packet_ids)
        reply: Reply[None] = Reply(lambda: self._written(packet_ids, reply.error))
        self._broker.journal.write([*changes, Received(session, sequences)], reply)

    def _written(self, packet_ids: Sequence[int], error: BaseException | None) -> None:
        """That the client has these is on disk: their PUBRELs may leave; or it could not be written."""
        link = self._state.link
        if error is None:
            for packet_id in packet_ids:
                self.window.release(packet_id)
            self._releases += packet_ids
            if link is not None:
                link.wake()
            return
        for packet_id in packet_ids:
            self.window.forget_receiving(packet_id)
        if link is not None:
            link.close(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "what the client has received could not be written down")

    def _finished(self, sequence: int | None) -> bool:
        if sequence is None:
            return False
        self.progress += 1
        if self._durable:
            self._done.append(sequence)
        return True
