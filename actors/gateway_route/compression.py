"""Answers made smaller: gzip (RFC 1952) and zstd (RFC 8878)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec
import trio
import zstandard

from actors.wire.http.codings import choose_coding
from actors.wire.http.messages import Request, Response
from actors.wire.http.responses import has_body
from config.resources import Compression

# More is compressed in a thread: 64 KiB take a millisecond, in which nobody else would be answered.
_BYTES_HERE = 64 * 1024
_GZIP_LEVEL = 5
_ZSTD_LEVEL = 3
_GZIP_WINDOW = 31
_PARTIAL = 206
# What is compressed already, or cannot be (the rest of image, audio and video apart).
_COMPRESSED_TYPES = frozenset(
    {
        "application/gzip", "application/zip", "application/zstd", "application/x-7z-compressed", "application/x-bzip2",
        "application/x-xz", "application/x-rar-compressed", "application/vnd.rar", "application/java-archive",
        "application/pdf", "application/octet-stream", "font/woff", "font/woff2",
    }
)  # fmt: skip
_COMPRESSED_FAMILIES = ("image/", "audio/", "video/", "application/vnd.openxmlformats")
_PLAIN_IMAGES = frozenset({"image/svg+xml", "image/bmp", "image/x-icon"})


class Compressor:
    """Compresses the answers of one route where their callers take it.

    Every answer that might have been compressed says so in `Vary`. What has a Content-Encoding, is a part
    (`206`), forbids it (`Cache-Control: no-transform`, RFC 9111 5.2.2.6), is short, or is compressed by its media type
    stays as it is. A strong ETag becomes a weak one: the bytes are others (RFC 9110 8.8.1). `limiter` bounds how many
    threads compress long answers.
    """

    __slots__ = ("_limiter", "_settings")

    def __init__(self, settings: Compression, limiter: trio.CapacityLimiter) -> None:
        self._settings = settings
        self._limiter = limiter

    async def compress(self, request: Request, response: Response) -> Response:
        """The answer as this caller gets it."""
        if not self._may(response):
            return response
        coding = choose_coding(_accepted(request), self._settings.codings)
        if coding is None:
            return msgspec.structs.replace(response, headers=_varied(response))
        headers = (*_coded(response), ("Content-Encoding", coding))
        if not isinstance(response.body, bytes):
            return Response(response.status, headers, _Pieces(response.body, _STREAMS[coding](), self._limiter))
        return Response(response.status, headers, await self._whole(response.body, coding))

    def _may(self, response: Response) -> bool:
        if not has_body(response.status) or response.status == _PARTIAL:
            return False
        if isinstance(response.body, bytes) and len(response.body) < max(1, self._settings.min_bytes):
            return False
        media_type = ""
        for name, value in response.headers:
            match name.lower():
                case "content-encoding" | "content-range":
                    return False
                case "cache-control" if "no-transform" in value.lower():
                    return False
                case "content-type":
                    media_type = value.partition(";")[0].strip().lower()
                case _:
                    pass
        return compressible(media_type)

    async def _whole(self, body: bytes, coding: str) -> bytes:
        encode = _ENCODERS[coding]
        if len(body) <= _BYTES_HERE:
            return encode(body)
        return await trio.to_thread.run_sync(encode, body, limiter=self._limiter, abandon_on_cancel=True)


def compressible(media_type: str) -> bool:
    """Whether answers of a media type (lower case, without parameters) become smaller; "" does not."""
    if not media_type or media_type in _COMPRESSED_TYPES:
        return False
    return media_type in _PLAIN_IMAGES or not media_type.startswith(_COMPRESSED_FAMILIES)


class _Stream(Protocol):
    def encode(self, piece: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class _GzipStream:
    def __init__(self) -> None:
        self._encoder = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

    def encode(self, piece: bytes) -> bytes:
        return self._encoder.compress(piece) + self._encoder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._encoder.flush()


class _ZstdStream:
    def __init__(self) -> None:
        self._encoder = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()

    def encode(self, piece: bytes) -> bytes:
        return self._encoder.compress(piece) + self._encoder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._encoder.flush()


class _Pieces:
    """An answer's body on its way through a coding; each piece is flushed, to be sent on as soon as it is there."""

    def __init__(self, pieces: AsyncIterator[bytes], stream: _Stream, limiter: trio.CapacityLimiter) -> None:
        self._pieces = pieces
        self._next = pieces.__aiter__()
        self._stream = stream
        self._limiter = limiter
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            piece = await self._next.__anext__()
        except StopAsyncIteration:
            self._ended = True
            return self._stream.end()
        if len(piece) <= _BYTES_HERE:
            return self._stream.encode(piece)
        return await trio.to_thread.run_sync(self._stream.encode, piece, limiter=self._limiter)

    async def aclose(self) -> None:
        """Close what it reads from, also where nothing was read yet."""
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW)


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


_ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "zstd": _zstd}
_STREAMS: dict[str, Callable[[], _Stream]] = {"gzip": _GzipStream, "zstd": _ZstdStream}


def _accepted(request: Request) -> str | None:
    """A header that is sent twice is one list (RFC 9110 5.3)."""
    values = request.header_values("accept-encoding")
    return ",".join(values) if values else None


def _varied(response: Response) -> tuple[tuple[str, str], ...]:
    for name, value in response.headers:
        if name.lower() == "vary" and {"*", "accept-encoding"} & {one.strip().lower() for one in value.split(",")}:
            return response.headers
    return (*response.headers, ("Vary", "Accept-Encoding"))


def _coded(response: Response) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, f"W/{value}") if name.lower() == "etag" and not value.startswith("W/") else (name, value)
        for name, value in _varied(response)
    )
