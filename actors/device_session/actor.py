"""One connected client: the thin shell around what `core`, `publishing`, `inflight` and `outbox` decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, assert_never

import trio

from actors.device_session.broker import Broker
from actors.device_session.core import (
    CLIENT_ID_CHARACTERS,
    KEEP_ALIVE_FACTOR,
    Admission,
    ClientLeftError,
    Control,
    ProtocolViolationError,
    Refusal,
    admit,
    violation,
)
from actors.device_session.publishing import PartitionBatch, Publisher
from actors.device_session.receiving import Receiver
from actors.device_session.sessions import Standing
from actors.device_session.statuses import DeviceStatus
from actors.device_session.writer import Refused, Writer
from actors.errors import CircuitOpenError, PenstockError
from actors.runtime.reply import Reply
from actors.topic_partition.messages import Append
from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import (
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
)
from actors.wire.mqtt.reader import PacketReader

_RECEIVE_BYTES: Final = 32 * 1024
# One read; an idle session holds no buffer.
# Before it has logged in, a client gets to store no more than this here; no CONNECT that anybody needs is larger.
_CONNECT_BYTES: Final = 64 * 1024
# The first byte of the first packet (MQTT-3.1.0-1), flags included.
_CONNECT: Final = 0x10
# A client whose oldest report waits so long to be stored counts as held.
_HELD_SECONDS: Final = 1.0


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
        "_heard",
        "_holding",
        "_login",
        "_publisher",
        "_reader",
        "_reason",
        "_reassure_at",
        "_scope",
        "_silence",
        "_status",
        "_stream",
        "_writer",
        "address",
    )

    def __init__(self, stream: trio.abc.Stream, address: str, broker: Broker) -> None:
        self.address = address
        """Where the client comes from, as host:port."""
        self._stream = stream
        self._broker = broker
        self._reader = PacketReader(broker.settings.max_packet_bytes)
        self._writer = Writer(stream, broker)
        self._heard = trio.current_time()
        self._silence = broker.settings.connect_timeout
        self._holding = False
        self._reassure_at = math.inf
        self._drained = False
        self._reason = ""
        # Made when they are first needed: most sessions need few of them.
        self._scope: trio.CancelScope | None = None
        self._login: Admission | None = None
        self._status: DeviceStatus | None = None
        self._publisher: Publisher | None = None
        self._ended: trio.Event | None = None

    @property
    def client_id(self) -> str:
        """As the client chose it, or as it was generated; empty before it has logged in."""
        return self._login.key.client_id if self._login is not None else ""

    def standing(self) -> Standing | None:
        """What of its reports is not acknowledged yet; None where all are."""
        inflight = self._writer.inflight
        if not inflight or self._login is None:
            return None
        waited = trio.current_time() - inflight.oldest()
        client, refused = self._login.key.account.name, self._writer.refused is not None
        return Standing(client, self.client_id, self.address, inflight.size, waited, self._holding, refused)

    async def run(self) -> None:
        """Serve the connection until it ends."""
        self._broker.sessions.opened(self)
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                if self._reason:
                    nursery.cancel_scope.cancel()
                await self._serve(nursery)
                nursery.cancel_scope.cancel()
        except* Exception:
            # Whatever it is, it stays this session's: logged once, counted, not passed on.
            self._end("the server made a mistake; its log has the details")
            self._broker.counters.crashes += 1
            self._broker.log.exception("Session crashed", **self._facts())
        finally:
            await self._leave()

    def close(self, reason: str) -> None:
        """End at once; the first reason given is the one that is kept."""
        if not self._reason:
            self._broker.log.info("Session closed", reason=reason, **self._facts())
        self._end(reason)

    def drain(self) -> None:
        """Take nothing new, acknowledge what gets stored, then end."""
        if self._login is None:
            self._end("shutdown")
        self._drained = True
        self._writer.drain()

    def check(self, now: float) -> None:
        """End if the client has been silent, or has not taken what was sent to it, for too long."""
        if now - self._heard > self._silence:
            self._broker.counters.keep_alive_expired += 1
            what = "no CONNECT" if self._login is None else "nothing (keep alive)"
            self.close(f"{what} from the client for {self._silence:g} s")
        elif now - self._writer.stuck_since > self._broker.settings.write_timeout:
            self.close(f"the client has not read anything for {self._broker.settings.write_timeout:g} s")
        elif self._writer.refused is not None:
            self._check_refused(now, self._writer.refused)
        elif self._holding and now >= self._reassure_at:
            self._reassure(now)

    def _reassure(self, now: float) -> None:
        """Answer in advance the PINGREQ of a client that is not read: it lies behind its reports, and it would leave.

        One that is answered twice notices nothing.
        """
        self._reassure_at = now + self._silence / KEEP_ALIVE_FACTOR / 2
        self._writer.reply(encode.PINGRESP)

    def _check_refused(self, now: float, refused: Refused) -> None:
        timeout = self._broker.settings.refused_timeout
        if now - refused.since >= timeout:
            self._broker.counters.refused_disconnects += 1
            self.close(f"its reports are refused, and were not acknowledged for {timeout:g} s: {refused.error}")

    def recheck(self) -> None:
        """End, or give up subscriptions, where the client has no right to them any more."""
        if self._login is None:
            return
        if not self._broker.directory.admits(self._login.identity):
            self.close("it was deleted or disabled")
        elif self._writer.receiver is not None:
            self._writer.receiver.recheck()

    async def wait_ended(self) -> None:
        """Wait until nothing of the session is left."""
        if self._ended is None:
            self._ended = trio.Event()
        await self._ended.wait()

    # --- the owner: reads ---------------------------------------------------------------------------------------------

    async def _serve(self, nursery: trio.Nursery) -> None:
        try:
            packets = await self._first_packets()
            if not await self._log_in(packets[0]):
                return
            nursery.start_soon(self._write, name="mqtt session writer")
            del packets[0]
            while True:
                self._take(packets)
                if self._writer.is_full():
                    await self._hold()
                packets = self._reader.feed(await self._receive())
        except ClientLeftError as left:
            self._gone(str(left))
        except trio.BrokenResourceError as broken:
            self._gone(f"connection lost: {broken}")
        except ProtocolViolationError as error:
            self._broker.counters.protocol_errors += 1
            self.close(str(error))
        except PenstockError as error:
            self._not_stored(error)

    async def _receive(self) -> bytes:
        data = await self._stream.receive_some(_RECEIVE_BYTES)
        if not data:
            raise ClientLeftError("the client closed the connection without DISCONNECT")
        while self._drained:
            await trio.sleep_forever()
        self._heard = trio.current_time()
        self._holding = False
        self._broker.counters.bytes_received += len(data)
        return bytes(data)

    async def _first_packets(self) -> list[Packet]:
        began, received = self._heard, 0
        while True:
            data = await self._receive()
            if not received and data[0] != _CONNECT:
                raise ProtocolViolationError("the first packet is not CONNECT [MQTT-3.1.0-1]: another protocol?")
            # One deadline for CONNECT, which dribbling does not move.
            self._heard = began
            packets = self._reader.feed(data)
            if packets:
                return packets
            received += len(data)
            if received > _CONNECT_BYTES:
                raise ProtocolViolationError(f"no CONNECT within the first {_CONNECT_BYTES} bytes")

    async def _log_in(self, packet: Packet) -> bool:
        if isinstance(packet, Malformed):
            raise ProtocolViolationError(violation(packet))
        assert isinstance(packet, Connect)  # noqa: S101 - its first byte said so
        broker = self._broker
        answer = admit(packet, broker.directory, broker.settings.max_keep_alive)
        if isinstance(answer, Refusal):
            await self._refuse(answer, packet)
            return False
        self._login = answer
        if not await broker.sessions.join(self, answer.key):
            refusal = Refusal(encode.SERVER_UNAVAILABLE, "the session with this client id did not end in time")
            await self._refuse(refusal, packet)
            return False
        if answer.key.account.kind == "device":
            self._status = broker.statuses.of(answer.key.account.name)
            self._status.joined(self)
        broker.counters.connected += 1
        self._silence = answer.silence
        self._heard = trio.current_time()
        await self._writer.send(encode.connack(encode.ACCEPTED))
        return True

    async def _refuse(self, refusal: Refusal, connect: Connect) -> None:
        self._broker.counters.refused_connects += 1
        username = (connect.username or "")[:CLIENT_ID_CHARACTERS]
        facts = {"code": refusal.code, "username": username, "client_id": connect.client_id[:CLIENT_ID_CHARACTERS]}
        self._broker.log.warning("CONNECT refused", reason=refusal.reason, address=self.address, **facts)
        self._end(refusal.reason, cancel=False)
        await self._writer.send(encode.connack(refusal.code))

    def _take(self, packets: Sequence[Packet]) -> None:
        """Everything of one read, in order; the PUBLISH packets that stand together are taken together."""
        start = 0
        for index, packet in enumerate(packets):
            if isinstance(packet, Publish):
                continue
            if index > start:
                self._publish(packets[start:index])  # type: ignore[arg-type]  # all between are Publish
            start = index + 1
            self._take_other(packet)
        if start < len(packets):
            self._publish(packets[start:] if start else packets)  # type: ignore[arg-type]  # likewise

    def _publish(self, publishes: Sequence[Publish]) -> None:
        if self._publisher is None:
            assert self._login is not None  # noqa: S101 - nothing is published before the log-in
            self._publisher = Publisher(self._broker, self._login.identity, self._status)
        intake = self._publisher.take(publishes)
        replies: list[Reply[int]] = []
        for batch in intake.batches:
            reply: Reply[int] = Reply(self._writer.answered)
            try:
                self._submit(batch, reply)
            except CircuitOpenError as error:
                self._refused(batch, error, acknowledged=bool(intake.packet_ids))
                if not intake.packet_ids:
                    continue
                reply.fail(error)
            replies.append(reply)
        if replies or intake.packet_ids:
            self._writer.inflight.add(intake.packet_ids, replies, intake.size, self._heard)
            self._writer.answered()
        if intake.violation is not None:
            raise ProtocolViolationError(intake.violation)

    def _submit(self, batch: PartitionBatch, reply: Reply[int]) -> None:
        if self._writer.refused is not None:
            # Stored now it could not be acknowledged, and would come a second time.
            raise self._writer.refused.error
        batch.partition.submit(Append(batch.records, batch.size, reply))
        self._broker.counters.records += len(batch.records)

    def _refused(self, batch: PartitionBatch, error: CircuitOpenError, *, acknowledged: bool) -> None:
        """A topic's policy refuses reports. MQTT 3.1.1 cannot say so: their PUBACK is withheld, see `check`."""
        self._broker.counters.refused_reports += len(batch.records)
        if acknowledged and self._writer.refused is None:
            self._writer.refused = Refused(trio.current_time(), error)

    def _take_other(self, packet: Control) -> None:
        match packet:
            case Puback(packet_id):
                if self._writer.receiver is not None:
                    self._writer.receiver.acknowledge(packet_id)
            case Pingreq():
                self._writer.reply(encode.PINGRESP)
            case Subscribe(packet_id, filters):
                self._writer.reply(encode.suback(packet_id, self._receiving().subscribe(filters)))
            case Unsubscribe(packet_id, filters):
                self._receiving().unsubscribe(filters)
                self._writer.reply(encode.unsuback(packet_id))
            case Disconnect():
                raise ClientLeftError("the client disconnected")
            case Connect() | Pubrec() | Pubrel() | Pubcomp() | Malformed():
                raise ProtocolViolationError(violation(packet))
            case _:
                assert_never(packet)

    def _receiving(self) -> Receiver:
        writer = self._writer
        if writer.receiver is None:
            assert self._login is not None  # noqa: S101 - nothing is subscribed to before the log-in
            writer.receiver = Receiver(self._broker, self._login.identity, self._login.level, writer.wake)
        return writer.receiver

    async def _hold(self) -> None:
        """Read nothing while too much is outstanding; the keep alive's clock stands still meanwhile."""
        self._broker.counters.pauses += 1
        self._holding = True
        self._reassure_at = self._heard + self._silence / KEEP_ALIVE_FACTOR / 2
        self._heard = math.inf
        self._broker.sessions.held += 1
        try:
            await self._writer.wait_room()
        finally:
            self._broker.sessions.held -= 1
        self._heard = trio.current_time()
        self._reassure_at = math.inf

    async def _write(self) -> None:
        try:
            await self._writer.run()
            self._end("shutdown")
        except trio.BrokenResourceError as broken:
            self._gone(f"connection lost: {broken}")
        except PenstockError as error:
            self._not_stored(error)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _gone(self, reason: str) -> None:
        """The client left; one that was held may have lost its patience."""
        if self._holding or trio.current_time() - self._writer.inflight.oldest() >= _HELD_SECONDS:
            self._broker.counters.held_disconnects += 1
        self._end(reason)

    def _not_stored(self, error: PenstockError) -> None:
        """Close unacknowledged: the client keeps its reports and sends them again."""
        self._broker.counters.failed_appends += 1
        self.close(f"its reports could not be stored, and were not acknowledged: {error}")

    def _end(self, reason: str, *, cancel: bool = True) -> None:
        self._reason = self._reason or reason
        if cancel and self._scope is not None:
            self._scope.cancel()

    async def _leave(self) -> None:
        """Close the connection and take the session off every list."""
        try:
            await trio.aclose_forcefully(self._stream)
        finally:
            if self._writer.receiver is not None:
                self._writer.receiver.close()
            if self._status is not None:
                self._status.left(self, self._reason or "shutdown")
            if self._login is not None:
                self._broker.sessions.leave(self, self._login.key)
            self._broker.sessions.closed(self)
            if self._ended is not None:
                self._ended.set()

    def _facts(self) -> dict[str, str]:
        who = self._login.key if self._login is not None else None
        return {
            "client": who.account.name if who is not None else "",
            "client_id": self.client_id,
            "address": self.address,
        }
