"""MQTT over WebSocket (MQTT-6.0.0): a stream of bytes in binary messages, however they are cut.

The protocol is wsproto's. It is asked only when the session reads: no task and no queue of its own stand between a
socket and its session, so that pressure goes back to the client as it does over TCP.
"""

from __future__ import annotations

from typing import Final

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from daemon.listeners.mqtt_streams import SocketBytes, TlsBytes

SUBPROTOCOL: Final = "mqtt"
# What clients of MQTT 3.1 call it.
_OLD_SUBPROTOCOL: Final = "mqttv3.1"
# Small, so that a thousand empty frames in one read do not hold up others.
_READ_BYTES: Final = 16 * 1024
# A message may join so many bytes on top of the largest packet.
_JOINED_BYTES: Final = 1024 * 1024


async def upgrade(transport: SocketBytes, path: str, max_packet_bytes: int) -> WebSocketBytes:
    """Take a client's WebSocket handshake; a request for something else is answered with what is wrong.

    Raises:
        BrokenResourceError: there is no WebSocket here; says why.
    """
    handshake = H11Handshake(ConnectionType.SERVER)
    request = await _request(transport, handshake)
    refusal = _refusal(request, path)
    if refusal is not None:
        status, reason = refusal
        head = RejectConnection(
            status_code=status,
            headers=[(b"content-type", b"text/plain"), (b"connection", b"close")],
            has_body=True,
        )
        await transport.send_all(handshake.send(head) + handshake.send(RejectData(data=f"{reason}\n".encode())))
        raise trio.BrokenResourceError(f"WebSocket handshake: {reason}")
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in request.subprotocols else _OLD_SUBPROTOCOL
    await transport.send_all(handshake.send(AcceptConnection(subprotocol=subprotocol)))
    assert handshake.connection is not None, "it was just accepted"  # noqa: S101
    return WebSocketBytes(transport, handshake.connection, max_packet_bytes + _JOINED_BYTES)


async def _request(transport: SocketBytes, handshake: H11Handshake) -> Request:
    """The request for a WebSocket; its head is bounded by h11 (16 KiB)."""
    while True:
        data = await transport.receive_some(_READ_BYTES)
        if not data:
            raise trio.BrokenResourceError("WebSocket handshake: the client has gone")
        try:
            handshake.receive_data(data)
            for event in handshake.events():
                if isinstance(event, Request):
                    return event
        except RemoteProtocolError as error:
            answer = error.event_hint or RejectConnection()
            assert isinstance(answer, RejectConnection)  # noqa: S101 - what wsproto hints at before there is a WebSocket
            await transport.send_all(handshake.send(answer))
            raise trio.BrokenResourceError(f"WebSocket handshake: {error}") from error
        except ValueError as error:  # a host or target that is no text
            raise trio.BrokenResourceError(f"WebSocket handshake: {error}") from error


def _refusal(request: Request, path: str) -> tuple[int, str] | None:
    """Status and reason where this is no request for MQTT; None where it is."""
    if request.target.partition("?")[0] != path:
        return 404, f"MQTT is at {path}"
    if not {SUBPROTOCOL, _OLD_SUBPROTOCOL}.intersection(request.subprotocols):
        return 400, "the subprotocol `mqtt` is missing: Sec-WebSocket-Protocol: mqtt [MQTT-6.0.0-3]"
    return None


class WebSocketBytes(trio.abc.Stream):
    """What is in the binary messages of a WebSocket, over TCP or TLS.

    Packets may be split over messages, and messages hold several packets (MQTT-6.0.0-2). Pings are answered. A text
    message ends the connection with 1003 (MQTT-6.0.0-1), and one of more than `max_message_bytes` with 1009.
    """

    __slots__ = ("_connection", "_max_message_bytes", "_message_bytes", "_pong", "_sending", "_transport")

    def __init__(self, transport: SocketBytes, connection: Connection, max_message_bytes: int) -> None:
        self._transport = transport
        self._connection = connection
        self._max_message_bytes = max_message_bytes
        self._message_bytes = 0
        self._sending = trio.Lock()
        self._pong = b""

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """The devices that a believed certificate of the client speaks for."""
        return self._transport.certificate_names if isinstance(self._transport, TlsBytes) else ()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end of the stream."""
        while self._connection.state is ConnectionState.OPEN:
            raw = await self._transport.receive_some(min(max_bytes or _READ_BYTES, _READ_BYTES))
            if not raw:
                break
            self._connection.receive_data(raw)
            data, ending = self._take()
            if self._pong and not self._sending.locked():
                await self._send(self._next_pong())
            if ending is not None:
                await self._end(ending)
            if data:
                return data
        return b""

    def _take(self) -> tuple[bytes, CloseConnection | None]:
        """The bytes of what has come, and the close frame that answers it where it is to be the end."""
        pieces: list[bytes | bytearray] = []
        for event in self._connection.events():
            match event:
                case BytesMessage():
                    pieces.append(event.data)
                    self._message_bytes += len(event.data)
                    if self._message_bytes > self._max_message_bytes:
                        return b"", CloseConnection(CloseReason.MESSAGE_TOO_BIG, "a message is too big")
                    if event.message_finished:
                        self._message_bytes = 0
                case Ping():
                    # Of several only the last need be answered (RFC 6455 5.5.3).
                    self._pong = self._connection.send(event.response())
                case CloseConnection():
                    return b"".join(pieces), event.response()
                case TextMessage():
                    return b"", CloseConnection(CloseReason.UNSUPPORTED_DATA, "MQTT is binary [MQTT-6.0.0-1]")
                case _:
                    pass  # a pong that nobody asked for
        return b"".join(pieces), None

    async def _end(self, answer: CloseConnection) -> None:
        ours = self._connection.state is ConnectionState.OPEN
        await self._say(answer)
        if ours:
            raise trio.BrokenResourceError(f"WebSocket closed with {int(answer.code)}: {answer.reason}")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything as one binary message."""
        await self._say(BytesMessage(data=bytes(data)))

    async def _say(self, event: Event) -> None:
        try:
            frame = self._connection.send(event)
        except LocalProtocolError as error:
            raise trio.BrokenResourceError("the WebSocket is closed") from error
        await self._send(frame)

    async def _send(self, frame: bytes) -> None:
        """Send a frame whole; the one task sends, the other may have a ping to answer."""
        if self._sending.locked():
            await self._sending.acquire()
        else:
            self._sending.acquire_nowait()
        try:
            await self._transport.send_all(frame)
            while self._pong:
                await self._transport.send_all(self._next_pong())
        finally:
            self._sending.release()

    def _next_pong(self) -> bytes:
        pong, self._pong = self._pong, b""
        return pong

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes something again."""
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the connection; a close frame goes first where there is room for it."""
        try:
            if self._connection.state is ConnectionState.OPEN and not self._sending.locked():
                # Without the lock, which is a checkpoint: where this is cancelled, what the kernel takes is still sent.
                await self._transport.send_all(self._connection.send(CloseConnection(CloseReason.NORMAL_CLOSURE)))
        except trio.BrokenResourceError:
            pass
        finally:
            await self._transport.aclose()
