"""The QoS 1 and 2 messages on their way to a client, from PUBLISH to PUBACK or PUBCOMP (MQTT 5, 4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.device_session.journal import PACKET_IDS

# Until the client has acknowledged some, no more are under way, however many it would take (mosquitto's default of
# max_inflight_messages was 100 for long).
WINDOW: Final = 100


class Window:
    """By packet id, what is under way, with its place (sequence) in the queue.

    States: sent with QoS 1, until PUBACK; sent with QoS 2, until PUBREC; receiving: PUBREC came and is being written
    down; received: PUBREL may leave, until PUBCOMP. Each takes one of the client's receive maximum (MQTT5-4.9.0-1).
    """

    __slots__ = ("_at_least_once", "_exactly_once", "_interrupted", "_last_id", "_received", "_receiving")

    def __init__(self) -> None:
        self._at_least_once: dict[int, int] = {}
        self._exactly_once: dict[int, int] = {}
        self._receiving: dict[int, int] = {}
        self._received: dict[int, int] = {}
        # Sent on an earlier connection, and to be sent again: no other message may have their ids.
        self._interrupted: set[int] = set()
        self._last_id = 0

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._at_least_once) + len(self._exactly_once) + len(self._receiving) + len(self._received)

    def __contains__(self, packet_id: int) -> bool:
        """Whether a packet id is in use."""
        return (
            packet_id in self._at_least_once
            or packet_id in self._exactly_once
            or packet_id in self._receiving
            or packet_id in self._received
            or packet_id in self._interrupted
        )

    def next_id(self) -> int:
        """A packet id that is not in use (MQTT-2.3.1-2, MQTT5-2.2.1-4); one of them comes again as late as possible."""
        packet_id = self._last_id % PACKET_IDS + 1
        while packet_id in self:
            packet_id = packet_id % PACKET_IDS + 1
        self._last_id = packet_id
        return packet_id

    def sent(self, packet_id: int, qos: int, sequence: int = 0) -> None:
        """A PUBLISH leaves."""
        (self._at_least_once if qos == 1 else self._exactly_once)[packet_id] = sequence
        self._interrupted.discard(packet_id)

    def acknowledge(self, packet_id: int) -> int | None:
        """PUBACK: the sequence of what it finishes; None for a stray one."""
        return self._at_least_once.pop(packet_id, None)

    def refuse(self, packet_id: int) -> int | None:
        """PUBREC with a failure finishes the message (MQTT5-4.3.3-4): its sequence; None for a stray one."""
        return self._exactly_once.pop(packet_id, None)

    def receive(self, packet_id: int) -> int | None:
        """PUBREC: the sequence of what is receiving now, see `release`; None for a repeated or a stray one."""
        sequence = self._exactly_once.pop(packet_id, None)
        if sequence is not None:
            self._receiving[packet_id] = sequence
        return sequence

    def release(self, packet_id: int) -> None:
        """That PUBREC came is written down, where that is promised: PUBREL may leave."""
        self._received[packet_id] = self._receiving.pop(packet_id)

    def forget_receiving(self, packet_id: int) -> None:
        """That PUBREC came could not be written down: on the next connection the message is sent once more."""
        if self._receiving.pop(packet_id, None) is not None:
            self._interrupted.add(packet_id)

    def sequence(self, packet_id: int) -> int:
        """The sequence of what is receiving."""
        return self._receiving[packet_id]

    def is_receiving(self, packet_id: int) -> bool:
        """Whether PUBREC came and PUBREL may not leave yet."""
        return packet_id in self._receiving

    def is_received(self, packet_id: int) -> bool:
        """Whether PUBREL may leave, or has left."""
        return packet_id in self._received

    def complete(self, packet_id: int) -> int | None:
        """PUBCOMP: the sequence of what it finishes; None for a stray one."""
        return self._received.pop(packet_id, None)

    def received(self) -> tuple[int, ...]:
        """The packet ids that wait for PUBCOMP, in the order of their PUBRECs (MQTT-4.6.0-4)."""
        return tuple(self._received)

    def restore(self, packet_id: int, sequence: int) -> None:
        """One that waits for PUBCOMP since before the daemon started."""
        self._received[packet_id] = sequence

    def interrupt(self, packet_ids: Iterable[int] = ()) -> bool:
        """The connection is gone (`packet_ids` were under way when the daemon ended); where PUBREC came, that stays so.

        Returns whether anything has to be sent again.
        """
        self._interrupted.update(self._at_least_once, self._exactly_once, packet_ids)
        self._at_least_once.clear()
        self._exactly_once.clear()
        return bool(self._interrupted)

    def give_up(self, packet_id: int) -> None:
        """What was to be sent again is not sent again: it has expired, or its right was taken away."""
        self._interrupted.discard(packet_id)
