"""A request's body on its way in."""

from __future__ import annotations

from actors.wire.http.errors import BAD_REQUEST, SERVICE_UNAVAILABLE, RequestRefusedError
from actors.wire.http.messages import Head
from actors.wire.http.parser import RequestParser
from actors.wire.http.responses import CONTINUE
from daemon.listeners.http_service import Deadline, HttpService, HttpStream

READ_BYTES = 64 * 1024
# How much of a body that nobody read is worth reading for the sake of the connection (RFC 9112 9.3).
_SKIP_BYTES = 64 * 1024


class IncomingBody:
    """The body of the request in hand, read when its handler asks for it (RFC 9110 10.1.1)."""

    __slots__ = ("_data", "_deadline", "_failed", "_parser", "_service", "_stream", "_unasked", "_whole")

    def __init__(
        self, head: Head, parser: RequestParser, stream: HttpStream, service: HttpService, deadline: Deadline
    ) -> None:
        self._parser = parser
        self._stream = stream
        self._service = service
        self._deadline = deadline
        self._data = bytearray()
        self._whole: bytes | None = None
        self._unasked = head.expects_continue
        self._failed = False

    @property
    def complete(self) -> bool:
        """Whether nothing of it is left to come."""
        return self._parser.body_complete

    @property
    def may_be_skipped(self) -> bool:
        """Whether the next request on this connection can be reached at a fair price."""
        if self._failed or self._unasked:
            return False
        left = self._parser.body_left
        return self.complete or (left is not None and left <= _SKIP_BYTES)

    async def read(self) -> bytes:
        """The whole body (see Request.read)."""
        if self._failed:
            raise RequestRefusedError(BAD_REQUEST, "the body could not be read")
        if self._whole is None:
            self._failed = True  # until it is read: a cancelled read has lost its place
            await self._read()
            self._whole = bytes(self._data)
            self._data = bytearray()
            self._failed = False
        return self._whole

    async def skip(self) -> bool:
        """Read on to its end and keep nothing; says whether the end was found."""
        self._deadline.allow(self._service.limits.body_timeout)
        try:
            self._parser.read_body()
            while not self.complete:
                await self._receive()
                self._parser.read_body()
        except RequestRefusedError:
            return False  # its request has been answered
        return True

    def release(self) -> None:
        """It is in nobody's hands any more."""
        self._service.statistics.bodies_bytes -= len(self._data) if self._whole is None else len(self._whole)
        self._data = bytearray()
        self._whole = b""

    async def _read(self) -> None:
        self._keep(self._parser.read_body())
        if not self.complete:
            await self._read_on()

    async def _read_on(self) -> None:
        self._deadline.allow(self._service.limits.body_timeout, "the body of the request did not come in time")
        if self._unasked:
            self._unasked = False
            await self._stream.send_all(CONTINUE)
        while not self.complete:
            await self._receive()
            self._keep(self._parser.read_body())
        self._deadline.lift()

    async def _receive(self) -> None:
        data = await self._stream.receive_some(READ_BYTES)
        if not data:
            raise RequestRefusedError(BAD_REQUEST, "the body ended before it was complete (RFC 9112 8)")
        self._parser.receive(bytes(data))

    def _keep(self, data: bytes) -> None:
        statistics = self._service.statistics
        statistics.bodies_bytes += len(data)
        self._data += data
        if statistics.bodies_bytes > self._service.limits.bodies_bytes:
            raise RequestRefusedError(SERVICE_UNAVAILABLE, "there is no room for more bodies now; try again later")
