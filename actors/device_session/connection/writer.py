"""The helper of a session: the only task that sends, once the client has logged in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from actors.device_session.delivery.fan_out import Feeding
from actors.device_session.intake import answers as words
from actors.device_session.intake.inflight import Inflight
from actors.device_session.signal import Signal
from actors.errors import CircuitOpenError
from actors.wire.mqtt.dialect import Dialect, dialect_of
from actors.wire.mqtt.packets import MQTT_3_1_1

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.delivery.receiving import Receiver
    from actors.device_session.registry.state import SessionState

# Answers that a client has not read; past that it is not read either.
_REPLY_BYTES: Final = 16 * 1024


class Refused(NamedTuple):
    """When a topic's backlog policy refused a report, in trio's seconds, and what it said."""

    since: float
    error: CircuitOpenError


class Writer:
    """Sends acknowledgements in order, answers, and deliveries; as much as there is with one call.

    `inflight` and what `receiver` holds leave through here, in the words of `dialect`. `state` is the session's, once
    its client has logged in.
    """

    __slots__ = (
        "_broker",
        "_drained",
        "_farewell",
        "_replies",
        "_room",
        "_stream",
        "_wakeup",
        "dialect",
        "feeding",
        "inflight",
        "receiver",
        "refused",
        "state",
        "stuck_since",
        "unfinished",
    )

    def __init__(self, stream: trio.abc.Stream, broker: Broker) -> None:
        self._stream = stream
        self._broker = broker
        self._replies = bytearray()
        self._wakeup = Signal()
        self._room = Signal()
        self._drained = False
        self._farewell: bytes | None = None
        self.dialect: Dialect = dialect_of(MQTT_3_1_1)
        self.inflight = Inflight()
        self.receiver: Receiver | None = None
        self.state: SessionState | None = None
        self.feeding: Feeding | None = None
        """Which subscribers are fed faster than they take it; None while there were none."""
        self.stuck_since = math.inf
        """Since when the client has not taken what is being sent; infinity while nothing is."""
        self.refused: Refused | None = None
        """When a topic refused a report, from which on nothing may be acknowledged; None while none did."""
        self.unfinished = 0
        """How many messages of QoS 1 and 2 the client has sent that are not answered for good (MQTT 5, 4.9)."""

    def reply(self, packet: bytes) -> None:
        """Send an answer that waits for nothing."""
        self._replies += packet
        self._wakeup.set()

    def wake(self) -> None:
        """Something may leave."""
        self._wakeup.set()

    def answered(self) -> None:
        """An append has its answer; that is a reason to wake up only if it lets something leave."""
        if self.inflight.is_ready():
            self._wakeup.set()

    def drain(self) -> None:
        """Let `run` return once everything that was taken in is answered and sent."""
        self._drained = True
        self._wakeup.set()

    def finish(self, farewell: bytes) -> None:
        """Let `run` return once what it is sending is sent: then `part` sends this, and nothing else leaves."""
        self._farewell = farewell
        self._wakeup.set()

    def is_full(self) -> bool:
        """Whether so much is outstanding that the client is not to be read."""
        if self.feeding is not None and self.feeding.holds(self.receiver):
            return True
        return self.inflight.size >= self._broker.settings.inflight_bytes or len(self._replies) >= _REPLY_BYTES

    def feeds(self, crowded: Iterable[Receiver]) -> None:
        """These subscribers got more than they take: the client is not to be read until they have room again."""
        if self.feeding is None:
            self.feeding = Feeding(self._room.set)
        self.feeding.add(crowded)

    async def wait_room(self) -> None:
        """Wait until the client may be read again."""
        while self.is_full():
            await self._room.wait()

    async def run(self) -> None:
        """Send until drained, or told to finish.

        Raises:
            PenstockError: an append failed; nothing from it on may be acknowledged.
            trio.BrokenResourceError: the connection is lost.
        """
        while self._farewell is None:
            data = self._collect()
            if data:
                await self.send(data)
            elif self._drained and (self.refused is not None or not self.inflight):
                return
            else:
                await self._wakeup.wait()

    async def part(self) -> None:
        """Wait to be told to finish, and send the last word."""
        while self._farewell is None:
            await self._wakeup.wait()
        await self.send(self._farewell)

    async def send(self, data: bytes) -> None:
        """Send these bytes; besides `run`, only to be called while that does not run."""
        self.stuck_since = trio.current_time()
        await self._stream.send_all(data)
        self.stuck_since = math.inf
        self._broker.counters.bytes_sent += len(data)

    def _take(self) -> bytes:
        """The packets that answer what may be answered now; once a report that was refused is the oldest, none."""
        try:
            answers = self.inflight.take()
        except CircuitOpenError:
            return b""
        if not answers:
            return b""
        if words.are_plain(answers):
            finished, data = len(answers), self.dialect.pubacks(answers)
        else:
            finished, data = words.finished(answers), words.encode(self.dialect, answers)
            self._note_accepted(answers)
        self._broker.counters.acknowledged += finished
        self.unfinished = max(0, self.unfinished - finished)
        return data

    def _note_accepted(self, answers: list[int]) -> None:
        """PUBREC leaves for these: from now on a repetition of their messages changes nothing."""
        incoming = self.state.incoming if self.state is not None else None
        if incoming is None:
            return
        for answer in filter(words.is_received, answers):
            message = incoming.get(words.packet_id_of(answer))
            if message is not None and message.is_settled():
                message.accepted = True

    def _collect(self) -> bytes:
        data = self._take() if self.inflight.is_ready() else b""
        deliveries = self.receiver.collect() if self.receiver is not None else None
        if self._replies or deliveries:
            data = b"".join((data, self._replies, *(deliveries or ())))
            self._replies.clear()
        if not self.is_full():
            self._room.set()
        return data
