"""Drives the request parser without I/O: bytes in, what was read out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import SizeLimits
from actors.wire.http.parser import RequestParser

LIMITS = SizeLimits(header_line_bytes=32 * 1024, header_bytes=128 * 1024, uri_bytes=32 * 1024, body_bytes=12 * 1024**2)

Seen = tuple[str, str, bytes] | tuple[str, int]
Cut = Callable[[bytes], list[bytes]]


def read(pieces: Iterable[bytes], limits: SizeLimits = LIMITS) -> list[Seen]:
    """Each request as (method, path, body) once it is complete; last of all ("refused", status) if it came to that."""
    parser = RequestParser(limits)
    seen: list[Seen] = []
    head, body = None, b""
    try:
        for piece in pieces:
            parser.receive(piece)
            while True:
                if head is None:
                    head = parser.next_head()
                    body = b""
                if head is None:
                    break
                body += parser.read_body()
                if not parser.body_complete:
                    break
                seen.append((head.method, head.path, body))
                if not head.keep_alive:
                    return seen
                head = None
    except RequestRefusedError as error:
        seen.append(("refused", error.status if error.reason else 0))
    return seen


def bytewise(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[at : at + 1] for at in range(len(data))]
