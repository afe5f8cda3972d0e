"""Answers into bytes: a head is one bytes object, and nothing that a handler says can break out of its line."""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from actors.wire.http.errors import HEADERS_TOO_LARGE
from actors.wire.http.messages import HeaderFields

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_STATUS_LINES[HEADERS_TOO_LARGE] = f"HTTP/1.1 {HEADERS_TOO_LARGE} Request Header Too Large"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 5.5: visible characters, with blanks only between them; the rest of ISO 8859-1 is let pass as obs-text.
_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
# The server's own: they say where the answer ends and what becomes of the connection.
_RESERVED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "date"})
_NO_BODY_BELOW = 200
NO_BODY = frozenset({204, 304})


def check_header(name: str, value: str) -> None:
    """Refuse a header that would not stay on its line, or that is the server's own to send.

    Raises:
        ValueError: says which header and why.
    """
    _check_name(name)
    # Most values are plain: to see that takes a tenth of the time of the expression that allows for the others.
    plain = value.isascii() and value.isprintable() and value[:1] != " " and value[-1:] != " "
    if not plain and _VALUE.fullmatch(value) is None:
        raise ValueError(f"the value of header {name} has characters that may not be there (RFC 9110 5.5)")


@lru_cache(maxsize=256)
def _check_name(name: str) -> None:
    """Remembered, since a server says few names, and says them with every answer."""
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"the header name {name!r} has characters that may not be there (RFC 9110 5.1)")
    if name.lower() in _RESERVED:
        raise ValueError(f"the header {name} is set by the server itself")


def has_body(status: int) -> bool:
    """Whether an answer of this status may have a body at all (RFC 9112 6.3)."""
    return status >= _NO_BODY_BELOW and status not in NO_BODY


def response_head(
    status: int, headers: HeaderFields, *, length: int | None, keep_alive: bool, http_1_0: bool, date: str
) -> bytes:
    """The head of an answer, blank line included.

    With `length` None the body is chunked; an HTTP/1.0 client, which knows no chunks, gets it up to the end of the
    connection, so `keep_alive` must be false then. The answer to HEAD has the length that GET's would have.

    Raises:
        ValueError: a header that cannot be sent.
    """
    text = f"{_STATUS_LINES.get(status) or f'HTTP/1.1 {int(status)} '}\r\nDate: {date}\r\n"
    for name, value in headers:
        check_header(name, value)
        text += f"{name}: {value}\r\n"
    if has_body(status):
        if length is not None:
            text += f"Content-Length: {length}\r\n"
        elif not http_1_0:
            text += "Transfer-Encoding: chunked\r\n"
    if not keep_alive:
        text += "Connection: close\r\n"
    elif http_1_0:
        text += "Connection: keep-alive\r\n"
    return (text + "\r\n").encode("latin-1")


class DateHeader:
    """The value of the Date header, made once a second (RFC 9110 6.6.1)."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def at(self, now: float) -> str:
        """The date at `now`, in seconds since the epoch."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True)
        return self._text
