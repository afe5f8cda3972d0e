"""One HTTP/1.1 connection: requests in, answers out, in order. It knows no routes, only a handler."""

from __future__ import annotations

import trio

from actors.wire.http.errors import MISDIRECTED, REQUEST_TIMEOUT, RequestRefusedError
from actors.wire.http.messages import Head, Request, SizeLimits
from actors.wire.http.parser import RequestParser
from actors.wire.http.tls import TlsSession
from daemon.listeners.http_body import READ_BYTES, IncomingBody
from daemon.listeners.http_service import Deadline, HttpService, HttpStream
from daemon.listeners.http_writer import STREAM_ERRORS, ResponseWriter

# After an answer to a request that was not read to its end: for so long what still comes is read and dropped, since
# closing with bytes unread would destroy the answer on its way (RFC 9112 9.6).
_LINGER_SECONDS = 2.0
_FAREWELL_SECONDS = 1.0


class HttpConnection:
    """Serves one client until it leaves, breaks the rules, is too slow, or the listener drains.

    Requests are handled one after the other in this task, so answers to pipelined requests go out in order, and a
    client that asks faster than it is answered is simply not read. Its one cancel scope lasts as long as it does.
    """

    __slots__ = (
        "_answering", "_body", "_draining", "_handling", "_parser", "_peer", "_scope", "_service", "_stream", "_tls",
        "_writer", "deadline", "hung_up", "idle",
    )  # fmt: skip

    def __init__(self, stream: HttpStream, service: HttpService, peer: str, tls: TlsSession | None = None) -> None:
        limits = service.limits
        self.hung_up = False
        self.deadline = Deadline(service)
        self.idle = True
        self._stream = stream
        self._service = service
        self._peer = peer
        self._tls = tls
        self._parser = RequestParser(
            SizeLimits(limits.header_line_bytes, limits.header_bytes, limits.uri_bytes, limits.body_bytes)
        )
        self._writer = ResponseWriter(stream, service, self.deadline, peer)
        self._scope = trio.CancelScope()
        self._body: IncomingBody | None = None
        self._answering = False
        self._handling = False
        self._draining = False

    async def run(self) -> None:
        """Serve until the connection is over, and close it."""
        self.deadline.allow(self._service.limits.header_timeout)
        try:
            with self._scope:
                await self._serve()
            if self._scope.cancelled_caught:
                await self._say_late()
        except STREAM_ERRORS:
            pass
        finally:
            self._handling = False
            self._release_body()
            await self._stream.aclose()

    def expire(self) -> None:
        """The deadline has passed: end the connection, with 408 where a request has begun."""
        self._scope.cancel()

    def hang_up(self) -> None:
        """The client sends no more: if it has sent all of a request, what that began is cancelled, and not answered.

        Else it is `hung_up`, and whoever told so may tell again.
        """
        self.hung_up = True
        if self._handling and (self._body is None or self._body.complete):
            self.hung_up = False
            self._service.statistics.abandoned += 1
            self._scope.cancel()

    def drain(self) -> None:
        """Finish the request in flight, then close; at once where there is none."""
        self._draining = True
        if self.idle:
            self.deadline.lift()
            self._scope.cancel()

    async def _serve(self) -> None:
        service = self._service
        try:
            while (head := await self._next_head()) is not None:
                self.deadline.lift()
                service.statistics.requests += 1
                if not await self._answer(head):
                    return
                self.deadline.allow(service.limits.keep_alive_timeout)
                if self._parser.buffered:
                    await trio.lowlevel.checkpoint()  # a client with many requests in the pipe takes turns with others
                else:
                    self.idle = True
        except RequestRefusedError as error:
            service.statistics.refused += 1
            await self._writer.write_refusal(service.refuse(error.status, error.reason))
            await self._linger()

    async def _next_head(self) -> Head | None:
        """The next request, or None where the client or the listener wants no more."""
        parser = self._parser
        begun = False
        while True:
            if parser.buffered:
                head = parser.next_head()
                if head is not None:
                    self.idle = False
                    return head
                if parser.buffered and not begun:
                    begun = True
                    self.idle = False
                    seconds = self._service.limits.header_timeout
                    self.deadline.allow(seconds, "the head of the request did not come in time")
            if self._draining and not begun:
                return None
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                return None
            parser.receive(bytes(data))

    async def _answer(self, head: Head) -> bool:
        """Handle one request; says whether another may follow."""
        service = self._service
        body = None
        if head.length:
            body = self._body = IncomingBody(head, self._parser, self._stream, service, self.deadline)
        request = Request(head.method, head.path, head.query, head.headers, body or b"", self._peer, self._tls)
        self._handling = True
        try:
            response = await service.handler(request)
        except RequestRefusedError as error:
            service.statistics.refused += 1
            response = service.refuse(error.status, error.reason)
        except Exception as error:  # noqa: BLE001 - a handler's crash is this request's alone
            response = service.crashed("HTTP handler crashed", error, head, self._peer)
        self._handling = False
        keep_alive = head.keep_alive and not self._draining and (body is None or body.may_be_skipped)
        if response.status == MISDIRECTED:
            keep_alive = False  # another connection is what it takes (RFC 9110 15.5.20)
        self._answering = True
        keep_alive = await self._writer.write(head, response, keep_alive=keep_alive)
        if body is not None:
            keep_alive = await self._end_body(body, keep_alive=keep_alive)
        self._answering = False
        return keep_alive

    async def _end_body(self, body: IncomingBody, *, keep_alive: bool) -> bool:
        """Deal with what was not read of an answered request's body; says whether the connection can go on."""
        if not body.complete:
            keep_alive = keep_alive and await body.skip()
            if not keep_alive:
                await self._linger()
        self._release_body()
        return keep_alive

    def _release_body(self) -> None:
        if self._body is not None:
            self._body.release()
            self._body = None

    async def _linger(self) -> None:
        self._answering = True
        self.deadline.allow(_LINGER_SECONDS)
        await self._stream.send_eof()
        while await self._stream.receive_some(READ_BYTES):
            pass

    async def _say_late(self) -> None:
        """Tell a client that was too slow with its request; one that was idle, or is being answered, hears nothing."""
        reason = self.deadline.late
        if self._answering or not reason:
            return
        self._service.statistics.timed_out += 1
        with trio.move_on_after(_FAREWELL_SECONDS):
            await self._writer.write_refusal(self._service.refuse(REQUEST_TIMEOUT, reason))
