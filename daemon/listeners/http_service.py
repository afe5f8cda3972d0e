"""What the connections of one HTTP listener share: handler, limits, counters, the coarse clock of their deadlines."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from actors.wire.http.errors import INTERNAL_ERROR
from actors.wire.http.messages import Head, Request, Response
from actors.wire.http.responses import DateHeader

log = structlog.get_logger()

Handler = Callable[[Request], Awaitable[Response]]
"""A request in, a response out.

ASGI's shape (one callable, nothing of sockets in it), without a dictionary per request and an event per piece of it:
those cost more than all else that the gateway does with a request.
"""
Refusal = Callable[[int, str], Response]
"""The answer, with status and reason, to a request that never reaches the handler."""


class HttpLimits(Protocol):
    """Bounds of a connection and its requests. Sizes in bytes, times in seconds."""

    @property
    def max_connections(self) -> int:
        """Connections at a time."""

    @property
    def header_line_bytes(self) -> int:
        """One header line."""

    @property
    def header_bytes(self) -> int:
        """Request line and headers together."""

    @property
    def uri_bytes(self) -> int:
        """The request URI."""

    @property
    def body_bytes(self) -> int:
        """One body."""

    @property
    def bodies_bytes(self) -> int:
        """All request bodies that are in memory at a time, and likewise all long answers."""

    @property
    def header_timeout(self) -> float:
        """From the first byte of a request, or from connecting, to the end of its head."""

    @property
    def body_timeout(self) -> float:
        """For a whole body."""

    @property
    def keep_alive_timeout(self) -> float:
        """From an answer to the next request."""

    @property
    def write_timeout(self) -> float:
        """For the client to take a piece of the answer, of 256 KiB at most."""


class HttpStream(Protocol):
    """What a connection needs of its stream: any `trio.abc.HalfCloseableStream` will do."""

    async def receive_some(self, max_bytes: int, /) -> bytes | bytearray:
        """At most that many bytes; none at the end of the stream."""

    async def send_all(self, data: bytes | memoryview, /) -> None:
        """Send everything."""

    async def send_eof(self) -> None:
        """Nothing more is sent; receiving goes on."""

    async def aclose(self) -> None:
        """Close it."""


@dataclass(slots=True)
class HttpStatistics:
    """What the connections of one listener have seen; `connections` and the bytes are those of this moment.

    `abandoned` requests were given up since their client hung up before it had its answer; `failed_handshakes` are
    connections that never came to be under TLS.
    """

    connections: int = 0
    accepted: int = 0
    requests: int = 0
    refused: int = 0
    timed_out: int = 0
    crashed: int = 0
    abandoned: int = 0
    failed_handshakes: int = 0
    bodies_bytes: int = 0
    answers_bytes: int = 0


def plain_refusal(status: int, reason: str) -> Response:
    """A refusal as plain text."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), f"{reason}\n".encode())


@dataclass(slots=True)
class HttpService:
    """What the connections of one listener share.

    `now` is trio's time as of the last sweep, which is all the precision that deadlines of seconds need.
    """

    handler: Handler
    limits: HttpLimits
    refuse: Refusal = plain_refusal
    now: float = 0.0
    date: DateHeader = field(default_factory=DateHeader)
    statistics: HttpStatistics = field(default_factory=HttpStatistics)

    def crashed(self, event: str, error: Exception, head: Head, peer: str) -> Response:
        """Count and log a handler's error, and answer for it."""
        self.statistics.crashed += 1
        log.error(event, method=head.method, path=head.path, peer=peer, exc_info=error)
        return self.refuse(INTERNAL_ERROR, "an unexpected error occurred")


class Deadline:
    """The one deadline of a connection: moved by plain assignment, looked at by the listener's sweep.

    A timer or a cancel scope for each request would cost more than the request. `late` is what the client is told when
    the deadline passes; nothing where no request has begun. `since` is when it was moved last: when the connection fell
    idle, or began to owe the rest of a request.
    """

    __slots__ = ("_service", "at", "late", "since")

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self.at = math.inf
        self.late = ""
        self.since = math.inf

    def allow(self, seconds: float, late: str = "") -> None:
        """So much time from now."""
        self.late = late
        self.at = self._service.now + seconds
        self.since = self._service.now

    def lift(self) -> None:
        """As much time as it takes."""
        self.late = ""
        self.at = math.inf
