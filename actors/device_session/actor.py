"""One connected client: the thin shell around what `handshake`, `conversation` and `writer` decide."""

from __future__ import annotations

from typing import Final

import trio

from actors.device_session.broker import Broker
from actors.device_session.connection import handshake
from actors.device_session.connection.deadlines import overdue
from actors.device_session.connection.ending import Ending
from actors.device_session.connection.entry import Entry
from actors.device_session.connection.keep_alive import KeepAlive
from actors.device_session.connection.writer import Writer
from actors.device_session.core import Refusal
from actors.device_session.errors import ClientLeftError, ProtocolViolationError
from actors.device_session.profile import ListenerProfile, certificate_names
from actors.device_session.registry.sessions import Standing
from actors.errors import AppendRefusedError, PenstockError
from actors.wire.mqtt.dialect import PINGRESP
from actors.wire.mqtt.packets import Connect, Malformed, Packet
from actors.wire.mqtt.reader import PacketReader
from actors.wire.mqtt.reasons import Reason

# One read; an idle session holds no buffer.
_RECEIVE_BYTES: Final = 32 * 1024
# A client whose oldest report waits so long to be stored counts as held.
_HELD_SECONDS: Final = 1.0
# How long the last word may take to leave.
_FAREWELL_SECONDS: Final = 1.0


class Session:
    """One connection from its first byte to its end.

    Two tasks: the owner reads, decides and hands over; the helper only writes. `run` ends when the client leaves, when
    it breaks a rule, when its reports cannot be stored (then unacknowledged, so that it sends them again), when it is
    silent for too long, or when somebody calls `close` or `drain`. It never raises for any of these.
    """

    __slots__ = (
        "_broker",
        "_drained",
        "_ended",
        "_ending",
        "_entry",
        "_keep_alive",
        "_left",
        "_profile",
        "_reader",
        "_scope",
        "_stream",
        "_writer",
        "address",
    )

    def __init__(
        self, stream: trio.abc.Stream, address: str, broker: Broker, listener: ListenerProfile | None = None
    ) -> None:
        self.address = address
        """Where the client comes from, as host:port."""
        self._stream = stream
        self._broker = broker
        self._profile = listener or ListenerProfile(max_packet_bytes=broker.settings.max_packet_bytes)
        self._reader = PacketReader(self._profile.max_packet_bytes)
        self._writer = Writer(stream, broker)
        self._keep_alive = KeepAlive(broker.settings.connect_timeout, trio.current_time())
        self._ending = Ending()
        self._drained = False
        self._left = False
        # Made when they are first needed: most sessions need few of them.
        self._scope: trio.CancelScope | None = None
        self._entry: Entry | None = None
        self._ended: trio.Event | None = None

    @property
    def client_id(self) -> str:
        """As the client chose it, or as it was generated; empty before it has logged in."""
        return self._entry.login.key.client_id if self._entry is not None else ""

    def standing(self) -> Standing | None:
        """What of its reports is not acknowledged yet; None where all are."""
        inflight = self._writer.inflight
        if not inflight or self._entry is None:
            return None
        waited = trio.current_time() - inflight.oldest()
        client, refused = self._entry.login.key.account.name, self._writer.refused is not None
        holding = self._keep_alive.holding
        return Standing(client, self.client_id, self.address, inflight.size, waited, holding, refused)

    async def run(self) -> None:
        """Serve the connection until it ends."""
        self._broker.sessions.opened(self)
        try:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as self._scope:
                    if self._ending.reason:
                        self._scope.cancel()
                    await self._serve(nursery)
                self._leave()
                self._part(nursery)
        except* Exception:
            # Whatever it is, it stays this session's: logged once, counted, not passed on.
            self._ending.note("the server made a mistake; its log has the details")
            self._broker.counters.crashes += 1
            self._broker.log.exception("Session crashed", **self._facts())
        finally:
            try:
                await trio.aclose_forcefully(self._stream)
            finally:
                self._leave()
                self._broker.sessions.closed(self)

    def close(self, reason: str, code: Reason = Reason.ADMINISTRATIVE_ACTION) -> None:
        """End at once; the first reason given is the one that is kept. A client of MQTT 5 is told its code."""
        if not self._ending.reason:
            self._broker.log.info("Session closed", reason=reason, **self._facts())
        self._end(reason, code)

    def drain(self) -> None:
        """Take nothing new, acknowledge what gets stored, then end."""
        if not self._has_begun():
            self._end("shutdown", Reason.SERVER_SHUTTING_DOWN)
        self._drained = True
        self._writer.drain()

    def check(self, now: float) -> None:
        """End if the client has been silent, or has not taken what was sent to it, for too long."""
        over = overdue(now, self._broker, self._keep_alive, self._writer)
        if over is not None:
            self.close(*over)
        elif self._keep_alive.is_to_be_reassured(now):
            self._writer.reply(PINGRESP)

    def recheck(self) -> None:
        """End, or give up subscriptions, where the client has no right to them any more."""
        if self._entry is None:
            return
        if not self._broker.directory.admits(self._entry.login.identity):
            self.close("it was deleted or disabled")
        elif self._writer.receiver is not None:
            self._writer.receiver.recheck()

    async def wait_ended(self) -> None:
        """Wait until nothing of the session is left, save for its last word to the client."""
        if self._ended is None:
            self._ended = trio.Event()
        await self._ended.wait()

    # --- the owner: reads ---------------------------------------------------------------------------------------------

    async def _serve(self, nursery: trio.Nursery) -> None:
        try:
            packets = await handshake.first_packets(self._receive_connect, self._reader)
            entry = await self._log_in(packets[0])
            if entry is None:
                return
            conversation, pace = entry.begin(self._profile, self._writer, self._close_with)
            nursery.start_soon(self._write, name="mqtt session writer")
            del packets[0]
            size = 0
            while True:
                publishes = conversation.take(packets, self._keep_alive.heard)
                if pace is not None or self._writer.is_full():
                    pause = pace.take(publishes, size, self._keep_alive.heard) if pace is not None else 0.0
                    await self._hold(pause)
                data = await self._receive()
                size = len(data)
                packets = self._reader.feed(data)
        except ClientLeftError as left:
            self._ending.disconnect = left.disconnect
            self._gone(str(left))
        except trio.BrokenResourceError as broken:
            self._gone(f"connection lost: {broken}")
        except ProtocolViolationError as error:
            self._broker.counters.protocol_errors += 1
            self.close(str(error), error.code)
        except PenstockError as error:
            self._not_stored(error)

    async def _receive(self) -> bytes:
        data = await self._stream.receive_some(_RECEIVE_BYTES)
        if not data:
            raise ClientLeftError("the client closed the connection without DISCONNECT")
        while self._drained:
            await trio.sleep_forever()
        self._keep_alive.hear(trio.current_time())
        self._broker.counters.bytes_received += len(data)
        return bytes(data)

    async def _receive_connect(self) -> bytes:
        """One deadline for CONNECT, which dribbling does not move."""
        began = self._keep_alive.heard
        data = await self._receive()
        self._keep_alive.hear(began)
        return data

    async def _log_in(self, packet: Packet) -> Entry | None:
        if isinstance(packet, Malformed):
            await self._writer.send(handshake.refuse_malformed(packet, self._reader.level))
            raise ProtocolViolationError(packet.reason, packet.code)
        assert isinstance(packet, Connect)  # noqa: S101 - its first byte said so
        self._writer.dialect = handshake.dialect_for(packet)
        names, now = certificate_names(self._stream), trio.current_time()
        answer = handshake.decide(packet, self._broker, self._profile, address=self.address, names=names, now=now)
        if isinstance(answer, Refusal):
            await self._refuse(answer, packet)
            return None
        self._entry = entry = Entry(self._broker, self, answer)
        present = await entry.join()
        if isinstance(present, Refusal):
            await self._refuse(present, packet)
            return None
        self._broker.counters.connected += 1
        self._keep_alive.silence = answer.silence
        self._keep_alive.hear(trio.current_time())
        await self._writer.send(handshake.accept(self._writer.dialect, answer, self._profile, session_present=present))
        return entry

    async def _refuse(self, refusal: Refusal, connect: Connect) -> None:
        self._ending.note(refusal.reason)
        await self._writer.send(handshake.refuse(refusal, connect, self._broker, self.address))

    async def _hold(self, pause: float) -> None:
        """Read nothing for so many seconds, or while too much is outstanding; the keep alive's clock stands still."""
        if not pause and not self._writer.is_full():
            return
        self._broker.counters.pauses += 1
        self._keep_alive.hold(trio.current_time())
        self._broker.sessions.held += 1
        try:
            await trio.sleep(pause)
            await self._writer.wait_room()
        finally:
            self._broker.sessions.held -= 1
        self._keep_alive.resume(trio.current_time())

    async def _write(self) -> None:
        try:
            try:
                await self._writer.run()
                self._end("shutdown", Reason.SERVER_SHUTTING_DOWN)
            except PenstockError as error:
                self._not_stored(error)
            await self._writer.part()
        except trio.BrokenResourceError as broken:
            self._gone(f"connection lost: {broken}")

    # --- the end ------------------------------------------------------------------------------------------------------

    def _gone(self, reason: str) -> None:
        """The client left; one that was held may have lost its patience."""
        now = trio.current_time()
        if self._keep_alive.holding or now - self._writer.inflight.oldest() >= _HELD_SECONDS:
            self._broker.counters.held_disconnects += 1
        self._end(reason)

    def _not_stored(self, error: PenstockError) -> None:
        """Close unacknowledged: the client keeps its reports and sends them again."""
        self._broker.counters.failed_appends += 1
        code = Reason.QUOTA_EXCEEDED if isinstance(error, AppendRefusedError) else Reason.IMPLEMENTATION_SPECIFIC_ERROR
        self.close(f"its reports could not be stored, and were not acknowledged: {error}", code)

    def _close_with(self, code: Reason, reason: str) -> None:
        self.close(reason, code)

    def _end(self, reason: str, code: Reason | None = None) -> None:
        self._ending.note(reason, code)
        if self._scope is not None:
            self._scope.cancel()

    def _part(self, nursery: trio.Nursery) -> None:
        """Give the last word to the client a moment to leave, where there is one."""
        farewell = self._ending.farewell(self._writer.dialect) if self._has_begun() else b""
        if farewell:
            nursery.cancel_scope.deadline = trio.current_time() + _FAREWELL_SECONDS
            self._writer.finish(farewell)
        else:
            nursery.cancel_scope.cancel()

    def _leave(self) -> None:
        """Take the session off every list; only once."""
        if self._left:
            return
        self._left = True
        if self._entry is not None:
            self._entry.leave(self._ending)
        if self._writer.feeding is not None:
            self._writer.feeding.close()
        if self._ended is not None:
            self._ended.set()

    def _has_begun(self) -> bool:
        """Whether the client has heard that it is logged in."""
        return self._entry is not None and self._entry.has_begun

    def _facts(self) -> dict[str, str]:
        client = self._entry.login.key.account.name if self._entry is not None else ""
        return {"client": client, "client_id": self.client_id, "address": self.address}
