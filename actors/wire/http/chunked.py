"""The chunked transfer coding (RFC 9112 7.1), in both directions."""

from __future__ import annotations

import re

from actors.wire.http.errors import BAD_REQUEST, CONTENT_TOO_LARGE, RequestRefusedError

LAST_CHUNK = b"0\r\n\r\n"

# Extensions are ignored, as they must be; blanks before them are refused, because servers read them differently.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t !-~]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_SIZE_LINE_BYTES = 1024
# As Go's net/http has it: so much may be said beside the data, past 16 bytes a chunk and as much again as its data.
# A body in many small chunks is honest; extensions that outweigh it are there to keep a server busy.
_EXCESS_BYTES = 16 * 1024
_FREE_BYTES = 16
# RFC 9110 6.5.1: what says where a message ends, or where it goes, cannot come after it.
_NO_TRAILERS = frozenset({b"content-length", b"transfer-encoding", b"host"})


def chunk(data: bytes) -> bytes:
    """One chunk; `data` is not empty, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedDecoder:
    """Cuts one chunked body out of a buffer; trailers are checked and dropped (RFC 9110 6.5.1).

    `complete` once the body and its trailers are read.
    """

    __slots__ = ("_body_bytes", "_excess", "_left", "_seen", "_trailer_bytes", "_trailers", "complete")

    def __init__(self, body_bytes: int, trailer_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._trailer_bytes = trailer_bytes
        self._seen = 0
        self._excess = 0
        # Bytes of the present chunk that are to come, its CRLF included; 0: a size line comes next.
        self._left = 0
        self._trailers = False
        self.complete = False

    def decode(self, buffer: bytes, start: int) -> tuple[bytes, int]:
        """What of the body lies in `buffer` from `start` on, and where the rest begins.

        Raises:
            RequestRefusedError: 400 for a malformed chunk, 413 for too large a body.
        """
        pieces: list[bytes] = []
        while not self.complete:
            step = self._data(buffer, start, pieces) if self._left else self._line(buffer, start)
            if not step:
                break
            start += step
        return b"".join(pieces), start

    def _data(self, buffer: bytes, start: int, pieces: list[bytes]) -> int:
        """Take what there is of the chunk; its CRLF only in one piece."""
        data = min(self._left - 2, len(buffer) - start)
        if data > 0:
            pieces.append(buffer[start : start + data])
            self._left -= data
            return data
        end = buffer[start : start + 2]
        if end != b"\r\n"[: len(end)]:
            raise RequestRefusedError(BAD_REQUEST, "a chunk is longer than its size says (RFC 9112 7.1)")
        if len(end) < 2:  # noqa: PLR2004 - CR and LF
            return 0
        self._left = 0
        return 2

    def _line(self, buffer: bytes, start: int) -> int:
        end = buffer.find(b"\n", start)
        limit = self._trailer_bytes if self._trailers else _SIZE_LINE_BYTES
        if (end if end >= 0 else len(buffer)) - start > limit:
            raise RequestRefusedError(BAD_REQUEST, "a chunk size line or trailer section is too long")
        if end < 0:
            return 0
        line = buffer[start:end]
        if not line.endswith(b"\r"):
            raise RequestRefusedError(BAD_REQUEST, "lines of a chunked body end with CRLF (RFC 9112 7.1)")
        if self._trailers:
            self._trailer(line[:-1])
        else:
            self._size(line[:-1])
        return end + 1 - start

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise RequestRefusedError(BAD_REQUEST, "a chunk must begin with its size in hexadecimal (RFC 9112 7.1)")
        size = int(match[1], 16)
        self._seen += size
        if self._seen > self._body_bytes:
            raise RequestRefusedError(CONTENT_TOO_LARGE, f"the body is larger than {self._body_bytes} bytes")
        self._excess = max(0, self._excess + len(line) - _FREE_BYTES - 2 * size)
        if self._excess > _EXCESS_BYTES:
            raise RequestRefusedError(BAD_REQUEST, "the chunks have more to say beside their data than in it")
        self._trailers = size == 0
        self._left = size + 2 if size else 0

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        if _TRAILER.fullmatch(line) is None:
            raise RequestRefusedError(BAD_REQUEST, "a trailer field is malformed (RFC 9112 7.1.2)")
        if line.partition(b":")[0].lower() in _NO_TRAILERS:
            raise RequestRefusedError(BAD_REQUEST, "a trailer cannot frame its message (RFC 9110 6.5.1)")
        self._trailer_bytes -= len(line) + 2
