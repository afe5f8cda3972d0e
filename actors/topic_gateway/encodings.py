"""Bodies that are compressed on their way (RFC 9110 8.4), with a bound against bodies that grow without end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

import zstandard

from actors.http_calls.errors import UNSUPPORTED_ENCODING, CallRefusedError
from actors.topic_gateway.errors import TOO_LARGE, bad

Encoding = Literal["identity", "gzip", "zstd"]

# What decompressing takes and brings at a time.
_PIECE_BYTES = 64 * 1024
# A body of nothing but empty members, of 20 bytes each, would keep a thread busy for a long time over no content.
_MAX_MEMBERS = 10_000
# This library bounds what goes in instead: four bytes may become a block of 128 KiB, so this may become 16 MiB.
_ZSTD_PIECE_BYTES = 512
# A decoder need not take larger windows (RFC 8878 3.1.1.1.2).
_WINDOW_BYTES = 8 * 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS
# The quickest: what is saved beyond it is not worth the producer's or the daemon's time.
_LEVEL = 1


def content_encoding(value: str | None) -> Encoding:
    """What a request's Content-Encoding asks for.

    Raises:
        CallRefusedError: 415, it is not one of gzip and zstd.
    """
    match (value or "identity").strip().lower():
        case "identity" | "":
            return "identity"
        case "gzip" | "x-gzip":
            return "gzip"
        case "zstd":
            return "zstd"
        case other:
            detail = f"Content-Encoding {other!r} is not one of gzip, zstd"
            raise CallRefusedError(UNSUPPORTED_ENCODING, detail, (("Accept-Encoding", "gzip, zstd"),))


def accepted_encoding(value: str | None) -> Encoding:
    """The encoding to answer with, of those that an Accept-Encoding admits (RFC 9110 12.5.3)."""
    admitted = {}
    for part in (value or "").lower().split(","):
        coding, _, parameters = part.partition(";")
        admitted[coding.strip()] = parameters.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    if admitted.get("zstd"):
        return "zstd"
    return "gzip" if admitted.get("gzip", admitted.get("*", False)) else "identity"


def decompress(body: bytes, encoding: Encoding, limit: int) -> bytes:
    """The body as its sender had it; it blocks, for as long as decompressing takes.

    Raises:
        CallRefusedError: 413, it is more than `limit` bytes; 400, it is not what it is said to be.
    """
    if encoding == "identity":
        return _within(body, limit)
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _gunzipped(body) if encoding == "gzip" else _unzstd(body):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
    except (zlib.error, zstandard.ZstdError) as error:
        raise bad(f"the body is not {encoding}: {error}") from error
    return b"".join(pieces)


def compress(body: bytes, encoding: Encoding) -> bytes:
    """The body as it goes out; it blocks, for as long as compressing takes."""
    match encoding:
        case "identity":
            return body
        case "gzip":
            return zlib.compress(body, _LEVEL, wbits=_GZIP)
        case "zstd":
            return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> CallRefusedError:
    return CallRefusedError(TOO_LARGE, f"the body is more than {limit} bytes, decompressed")


def _gunzipped(body: bytes) -> Iterator[bytes]:
    """Member after member (RFC 1952 2.2)."""
    at, rest, members = 0, b"", 0
    while rest or at < len(body):
        members = _counted(members)
        decoder = zlib.decompressobj(wbits=_GZIP)
        while not decoder.eof:
            if not rest:
                # A piece at a time: what lies behind a member's end is copied for each member.
                rest = body[at : at + _PIECE_BYTES]
                at += len(rest)
                if not rest:
                    raise zlib.error("it ends before its end")
            yield decoder.decompress(rest, _PIECE_BYTES)
            rest = decoder.unconsumed_tail
        rest = decoder.unused_data


def _unzstd(body: bytes) -> Iterator[bytes]:
    """Frame after frame (RFC 8878 3.1)."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    at = frames = 0
    while at < len(body):
        frames = _counted(frames)
        decoder = decompressor.decompressobj()
        while not decoder.eof:
            if at >= len(body):
                raise zstandard.ZstdError("it ends before its end")
            yield decoder.decompress(body[at : at + _ZSTD_PIECE_BYTES])
            at += _ZSTD_PIECE_BYTES
        at = min(at, len(body)) - len(decoder.unused_data)


def _counted(members: int) -> int:
    if members == _MAX_MEMBERS:
        raise bad(f"the body is compressed in more than {_MAX_MEMBERS} pieces")
    return members + 1
