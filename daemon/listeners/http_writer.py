"""Answers on their way out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import trio

from actors.wire.http.chunked import LAST_CHUNK, chunk
from actors.wire.http.errors import SERVICE_UNAVAILABLE
from actors.wire.http.messages import Head, Response
from actors.wire.http.responses import has_body, response_head
from daemon.listeners.http_service import Deadline, HttpService, HttpStream

_WRITE_BYTES = 256 * 1024

STREAM_ERRORS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""The client is gone, and with it whoever would want an answer."""


class ResponseWriter:
    """Writes the answers of one connection, each piece within the time that clients are given to take it."""

    __slots__ = ("_deadline", "_peer", "_service", "_stream")

    def __init__(self, stream: HttpStream, service: HttpService, deadline: Deadline, peer: str) -> None:
        self._stream = stream
        self._service = service
        self._deadline = deadline
        self._peer = peer

    async def write(self, head: Head, response: Response, *, keep_alive: bool) -> bool:
        """Send the answer to a request; says whether the connection can go on."""
        if not isinstance(response.body, bytes):
            return await self._write_stream(head, response, response.body, keep_alive=keep_alive)
        try:
            start = self._head(response, len(response.body), keep_alive=keep_alive, http_1_0=head.http_1_0)
        except ValueError as error:
            await self.write_refusal(self._service.crashed("HTTP response cannot be sent", error, head, self._peer))
            return False
        if head.method == "HEAD" or not has_body(response.status):
            await self._send(start)
        elif len(response.body) <= _WRITE_BYTES:
            await self._send(start + response.body)
        else:
            return await self._write_long(start, response.body) and keep_alive
        return keep_alive

    async def write_refusal(self, response: Response) -> None:
        """Send the last answer of a connection; its body must be bytes."""
        body = response.body if isinstance(response.body, bytes) else b""
        await self._send(self._head(response, len(body), keep_alive=False, http_1_0=False) + body)

    async def _write_long(self, start: bytes, body: bytes) -> bool:
        """Send an answer piece by piece; its memory is held for as long as its client takes, so all are bounded."""
        statistics = self._service.statistics
        if statistics.answers_bytes + len(body) > self._service.limits.bodies_bytes:
            reason = "there is no room for more long answers now; try again later"
            await self.write_refusal(self._service.refuse(SERVICE_UNAVAILABLE, reason))
            return False
        statistics.answers_bytes += len(body)
        try:
            await self._send(start)
            with memoryview(body) as view:
                for at in range(0, len(view), _WRITE_BYTES):
                    await self._send(view[at : at + _WRITE_BYTES])
        finally:
            statistics.answers_bytes -= len(body)
        return True

    async def _write_stream(
        self, head: Head, response: Response, pieces: AsyncIterator[bytes], *, keep_alive: bool
    ) -> bool:
        """Send an answer of unknown length; one that breaks off ends the connection without a last chunk."""
        keep_alive = keep_alive and not head.http_1_0
        try:
            start = self._head(response, None, keep_alive=keep_alive, http_1_0=head.http_1_0)
            await self._send(start)
            if head.method != "HEAD" and has_body(response.status):
                await self._send_pieces(pieces, chunked=not head.http_1_0)
        except STREAM_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - an answer's body is its handler's code too
            self._service.crashed("HTTP response broke off", error, head, self._peer)
            return False
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        return keep_alive

    async def _send_pieces(self, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        self._deadline.lift()
        async for piece in pieces:
            if piece:
                await self._send(chunk(piece) if chunked else piece)
            self._deadline.lift()
        if chunked:
            await self._send(LAST_CHUNK)

    async def _send(self, data: bytes | memoryview) -> None:
        self._deadline.allow(self._service.limits.write_timeout)
        await self._stream.send_all(data)

    def _head(self, response: Response, length: int | None, *, keep_alive: bool, http_1_0: bool) -> bytes:
        return response_head(
            response.status,
            response.headers,
            length=length,
            keep_alive=keep_alive,
            http_1_0=http_1_0,
            date=self._service.date.at(time.time()),
        )
