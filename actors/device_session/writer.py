"""The helper of a session: the only task that sends, once the client has logged in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from actors.device_session.inflight import Inflight
from actors.device_session.receiving import Receiver
from actors.device_session.signal import Signal
from actors.errors import CircuitOpenError
from actors.wire.mqtt import encode

if TYPE_CHECKING:
    from actors.device_session.broker import Broker

# Answers that a client has not read; past that it is not read either.
_REPLY_BYTES: Final = 16 * 1024


class Refused(NamedTuple):
    """When a topic's backlog policy refused a report, in trio's seconds, and what it said."""

    since: float
    error: CircuitOpenError


class Writer:
    """Sends acknowledgements in order, answers, and deliveries; as much as there is with one call.

    `inflight` and `receiver` are the session's own: what they hold leaves through here.
    """

    __slots__ = (
        "_broker",
        "_drained",
        "_replies",
        "_room",
        "_stream",
        "_wakeup",
        "inflight",
        "receiver",
        "refused",
        "stuck_since",
    )

    def __init__(self, stream: trio.abc.Stream, broker: Broker) -> None:
        self._stream = stream
        self._broker = broker
        self._replies = bytearray()
        self._wakeup = Signal()
        self._room = Signal()
        self._drained = False
        self.inflight = Inflight()
        self.receiver: Receiver | None = None
        self.stuck_since = math.inf
        """Since when the client has not taken what is being sent; infinity while nothing is."""
        self.refused: Refused | None = None
        """When a topic refused a report, from which on nothing may be acknowledged; None while none did."""

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

    def is_full(self) -> bool:
        """Whether so much is outstanding that the client is not to be read."""
        return self.inflight.size >= self._broker.settings.inflight_bytes or len(self._replies) >= _REPLY_BYTES

    async def wait_room(self) -> None:
        """Wait until the client may be read again."""
        while self.is_full():
            await self._room.wait()

    async def run(self) -> None:
        """Send until drained.

        Raises:
            PenstockError: an append failed; nothing from it on may be acknowledged.
            trio.BrokenResourceError: the connection is lost.
        """
        while True:
            data = self._collect()
            if data:
                await self.send(data)
            elif self._drained and (self.refused is not None or not self.inflight):
                return
            else:
                await self._wakeup.wait()

    async def send(self, data: bytes) -> None:
        """Send these bytes; besides `run`, only to be called while that does not run."""
        self.stuck_since = trio.current_time()
        await self._stream.send_all(data)
        self.stuck_since = math.inf
        self._broker.counters.bytes_sent += len(data)

    def _take(self) -> list[int]:
        """What may be acknowledged; once a report that was refused is the oldest, nothing."""
        try:
            return self.inflight.take()
        except CircuitOpenError:
            return []

    def _collect(self) -> bytes:
        data = b""
        if self.inflight.is_ready():
            packet_ids = self._take()
            self._broker.counters.acknowledged += len(packet_ids)
            data = encode.pubacks(packet_ids)
        deliveries = self.receiver.collect() if self.receiver is not None else None
        if self._replies or deliveries:
            data = b"".join((data, self._replies, *(deliveries or ())))
            self._replies.clear()
        if not self.is_full():
            self._room.set()
        return data
