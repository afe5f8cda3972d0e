"""The two words that a server and its handlers share: a request and its response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

import msgspec

from actors.wire.http.tls import TlsSession

HeaderFields = tuple[tuple[str, str], ...]


class BodyReader(Protocol):
    """A request's body that has not come in yet."""

    async def read(self) -> bytes:
        """The whole body; a second call returns the same bytes.

        Raises:
            RequestRefusedError: it is too large or malformed, or the client left.
        """


class SizeLimits(NamedTuple):
    """How large a request may be, in bytes; `header_bytes` is the whole head, request line and blank line included."""

    header_line_bytes: int
    header_bytes: int
    uri_bytes: int
    body_bytes: int


class Head(msgspec.Struct, frozen=True):
    """A request without its body, checked.

    `length` is the length of the body in bytes, or CHUNKED. `path` and `query` are as they were sent: still
    percent-encoded, ASCII. Names of headers are in lower case, their values decoded as ISO 8859-1.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    length: int
    keep_alive: bool
    http_1_0: bool
    expects_continue: bool


CHUNKED = -1
"""Length of a body that tells its end by itself."""


class Request(msgspec.Struct, frozen=True):
    """What a handler is asked; `path` and `query` are still percent-encoded, names of headers are in lower case.

    A handler is cancelled once its client hangs up, so what it waits for is never handed to nobody.
    """

    method: str
    path: str
    query: str = ""
    headers: list[tuple[str, str]] = []
    body: bytes | BodyReader = b""
    peer: str = ""
    tls: TlsSession | None = None

    def header(self, name: str) -> str | None:
        """The value of a header, or None; `name` in lower case. Of a repeated header, the first."""
        for one, value in self.headers:
            if one == name:
                return value
        return None

    def header_values(self, name: str) -> list[str]:
        """Every value of a header, in order; `name` in lower case."""
        return [value for one, value in self.headers if one == name]

    async def read(self) -> bytes:
        """The whole body.

        Only this asks the client for its body (RFC 9110 10.1.1): a handler that refuses on the head alone need not
        wait for it.

        Raises:
            RequestRefusedError: it is too large or malformed, or the client left; to be let through.
        """
        return self.body if isinstance(self.body, bytes) else await self.body.read()


class Response(msgspec.Struct, frozen=True):
    """An answer. The server adds Date and whatever frames the body; a handler must not.

    An iterator is sent piece by piece, chunked; it is closed when the answer ends, for whatever reason.
    """

    status: int
    headers: HeaderFields = ()
    body: bytes | AsyncIterator[bytes] = b""
