"""Requests out of a stream of bytes. The parser owns the framing; httptools reads the lines of a head."""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from actors.wire.http.checks import check_head, check_request_line
from actors.wire.http.chunked import ChunkedDecoder
from actors.wire.http.errors import (
    BAD_REQUEST,
    CONTENT_TOO_LARGE,
    HEADERS_TOO_LARGE,
    URI_TOO_LONG,
    RequestRefusedError,
)
from actors.wire.http.messages import CHUNKED, Head, SizeLimits

_END_OF_HEAD = b"\r\n\r\n"
# What a request line holds besides its URI: the longest method, two spaces and the version.
_REQUEST_LINE_SLACK = 32
# Each costs some 250 bytes once it is read, however short it was.
_MAX_HEADERS = 1_000


class _Headers:
    """What httptools calls back: it keeps the header lines, names in lower case."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower().decode("latin-1"), value.decode("latin-1").rstrip(" \t")))


class RequestParser:
    """Reads the requests of one connection, one after the other.

    `receive` bytes, then ask `next_head`; once there is one, ask `read_body` until `body_complete`, and only then for
    the next head. After an error nothing more may be read: where the next request begins is no longer known.

    httptools sees the bytes of heads alone, cut here, so that it can never take a part of a body for a request. It
    finds errors in the order of the bytes, however they were cut by the network, and so do the limits.
    """

    __slots__ = (
        "_buffer", "_chunked", "_fed", "_headers", "_left", "_limits", "_line", "_reader", "_short", "_start",
    )  # fmt: skip

    def __init__(self, limits: SizeLimits) -> None:
        self._limits = limits
        self._short = min(limits.header_line_bytes, limits.header_bytes, limits.uri_bytes)
        self._buffer = b""
        self._start = 0
        # Relative to the start of the head: what httptools has seen, and where the present line begins.
        self._fed = 0
        self._line = 0
        self._headers = _Headers()
        self._reader: HttpRequestParser | None = None
        self._left = 0
        self._chunked: ChunkedDecoder | None = None

    @property
    def body_complete(self) -> bool:
        """Whether the body of the last request is read (or it has none)."""
        return not self._left and self._chunked is None

    @property
    def body_left(self) -> int | None:
        """Bytes of the body that are still to be read; None where only the body itself will tell."""
        return self._left if self._chunked is None else None

    @property
    def buffered(self) -> bool:
        """Whether bytes wait here: the beginning of a request, or a whole one."""
        return self._start < len(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer = self._buffer[self._start :] + data if self._start < len(self._buffer) else data
        self._start = 0

    def next_head(self) -> Head | None:
        """The next request's head, or None while it is not all there.

        Raises:
            RequestRefusedError: 400, 413, 414, 417, 494 or 501, always with a reason.
        """
        buffer, start = self._buffer, self._start
        if not self._fed and buffer[start : start + 1] <= b"\r":
            if not self._skip_blank_lines():
                return None
            start = self._start
        end = buffer.find(_END_OF_HEAD, start + max(self._fed - 3, 0))
        stop = end + len(_END_OF_HEAD) if end >= 0 else len(buffer)
        self._feed(stop)
        if end < 0:
            return None
        line = check_request_line(buffer[start : buffer.find(b"\r\n", start)], self._limits.uri_bytes)
        head = check_head(line, self._take_headers())
        self._start = stop
        self._fed = self._line = 0
        if head.length:
            self._expect_body(head.length)
        elif not head.keep_alive:
            self._reader = None
        return head

    def read_body(self) -> bytes:
        """What has come of the body since the last call.

        Raises:
            RequestRefusedError: 400 for malformed chunks, 413 for too large a body.
        """
        if self._chunked is not None:
            data, self._start = self._chunked.decode(self._buffer, self._start)
            if self._chunked.complete:
                self._chunked = None
            return data
        data = self._buffer[self._start : self._start + self._left]
        self._start += len(data)
        self._left -= len(data)
        return data

    def _skip_blank_lines(self) -> bool:
        """RFC 9112 2.2: empty lines before a request line are ignored, if they are CRLF; says whether more came."""
        buffer, start = self._buffer, self._start
        while buffer.startswith(b"\r\n", start):
            start += 2
        self._start = start
        first = buffer[start : start + 2]
        if first in {b"", b"\r"}:
            return False
        if first[:1] in {b"\r", b"\n"}:
            raise RequestRefusedError(BAD_REQUEST, "lines of a head end with CRLF (RFC 9112 2.2)")
        return True

    def _feed(self, stop: int) -> None:
        """Let httptools read up to `stop`, or up to where a limit is passed."""
        buffer, start = self._buffer, self._start
        refusal = None
        if stop - start > self._short:
            stop, refusal = self._apply_limits(stop)
        reader = self._reader
        if reader is None:
            reader = self._reader = HttpRequestParser(self._headers)
        begin = start + self._fed
        self._fed = stop - start
        try:
            reader.feed_data(buffer if begin == 0 and stop == len(buffer) else buffer[begin:stop])
        except HttpParserUpgrade:
            # RFC 9110 7.8: an upgrade may be ignored. This reader is done, though.
            self._reader = None
        except HttpParserError as error:
            raise RequestRefusedError(BAD_REQUEST, f"the request is malformed: {error}") from error
        if refusal is not None:
            raise refusal
        if len(self._headers.lines) > _MAX_HEADERS:
            raise RequestRefusedError(HEADERS_TOO_LARGE, f"there are more than {_MAX_HEADERS} headers")

    def _apply_limits(self, stop: int) -> tuple[int, RequestRefusedError | None]:
        """Where reading must end: at `stop`, or at the first byte that passes a limit."""
        limits, start = self._limits, self._start
        end_of_head = start + limits.header_bytes
        while True:
            first = self._line == 0
            line = start + self._line
            allowed = limits.uri_bytes + _REQUEST_LINE_SLACK if first else limits.header_line_bytes + 1
            newline = self._buffer.find(b"\n", line, stop)
            end = newline if newline >= 0 else stop
            if end - line > allowed and line + allowed < end_of_head:
                return line + allowed, self._too_long(uri=first)
            if end > end_of_head:
                return end_of_head, self._too_long(uri=False)
            if newline < 0:
                return stop, None
            self._line = newline + 1 - start

    def _too_long(self, *, uri: bool) -> RequestRefusedError:
        limits = self._limits
        if uri:
            return RequestRefusedError(URI_TOO_LONG, f"the request URI is longer than {limits.uri_bytes} bytes")
        reason = f"a header line may have {limits.header_line_bytes} bytes, all of them {limits.header_bytes} bytes"
        return RequestRefusedError(HEADERS_TOO_LARGE, reason)

    def _take_headers(self) -> list[tuple[str, str]]:
        lines = self._headers.lines
        self._headers.lines = []
        return lines

    def _expect_body(self, length: int) -> None:
        # The reader waits for this body now, which it will not see.
        self._reader = None
        limits = self._limits
        if length == CHUNKED:
            self._chunked = ChunkedDecoder(limits.body_bytes, limits.header_bytes)
        elif length > limits.body_bytes:
            raise RequestRefusedError(CONTENT_TOO_LARGE, f"the body is larger than {limits.body_bytes} bytes")
        else:
            self._left = length
