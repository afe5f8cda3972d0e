"""Answers made smaller where their callers take it."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import AsyncIterator

import pytest
import trio
import zstandard

from actors.gateway_route import compression
from actors.gateway_route.compression import Compressor
from actors.wire.http.messages import HeaderFields, Request, Response
from config.resources import Compression

TEXT = (b'{"lot": "north", "free": 17}' * 200)[:5000]
JSON: HeaderFields = (("Content-Type", "application/json"),)


@pytest.fixture
def compressor() -> Compressor:
    return Compressor(Compression(min_bytes=1000), trio.CapacityLimiter(1))


def accepting(*values: str) -> Request:
    return Request("GET", "/", headers=[("accept-encoding", value) for value in values])


def decoded(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    match dict(response.headers).get("Content-Encoding"):
        case "gzip":
            return gzip.decompress(response.body)
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(response.body)
        case _:
            return response.body


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_long_text_is_compressed(compressor: Compressor, coding: str) -> None:
    """Smaller, the same once decoded, and marked in Content-Encoding and Vary."""
    small = await compressor.compress(accepting(coding), Response(200, JSON, TEXT))
    assert dict(small.headers) == {**dict(JSON), "Content-Encoding": coding, "Vary": "Accept-Encoding"}
    assert len(small.body) < len(TEXT) / 5
    assert decoded(small) == TEXT


async def test_a_client_that_takes_none_gets_it_plain(compressor: Compressor) -> None:
    """And caches on the way are told that others may get it otherwise."""
    for request in (accepting(), accepting("br"), accepting("gzip;q=0", "zstd;q=0")):
        plain = await compressor.compress(request, Response(200, JSON, TEXT))
        assert (plain.body, plain.headers) == (TEXT, (*JSON, ("Vary", "Accept-Encoding")))


@pytest.mark.parametrize(
    "response",
    [
        Response(200, JSON, b"x" * 999),
        Response(200, (), TEXT),
        Response(204, JSON),
        Response(304, JSON),
        Response(206, JSON, TEXT),
        Response(200, (*JSON, ("content-encoding", "br")), TEXT),
        Response(200, (*JSON, ("Cache-Control", "public, no-transform")), TEXT),
        Response(200, (("Content-Type", "image/png"),), TEXT),
        Response(200, (("Content-Type", "Application/ZIP"),), TEXT),
        Response(200, (("Content-Type", "video/mp4"),), TEXT),
        Response(200, (("Content-Type", "application/octet-stream"),), TEXT),
    ],
)
async def test_what_gains_nothing_stays_as_it_is(compressor: Compressor, response: Response) -> None:
    """Short, coded, partial, forbidden, without a type, or of a type that is compressed already."""
    assert await compressor.compress(accepting("gzip"), response) == response


async def test_plain_pictures_are_compressed(compressor: Compressor) -> None:
    """SVG is text."""
    svg = Response(200, (("Content-Type", "image/svg+xml; charset=utf-8"),), TEXT)
    assert decoded(await compressor.compress(accepting("gzip"), svg)) == TEXT


async def test_vary_is_not_said_twice_and_etags_become_weak(compressor: Compressor) -> None:
    """Other bytes are another representation (RFC 9110 8.8.3.3)."""
    headers = (*JSON, ("Vary", "Origin, Accept-Encoding"), ("ETag", '"a"'))
    small = await compressor.compress(accepting("gzip"), Response(200, headers, TEXT))
    assert [value for name, value in small.headers if name == "Vary"] == ["Origin, Accept-Encoding"]
    assert dict(small.headers)["ETag"] == 'W/"a"'
    weak = await compressor.compress(accepting("gzip"), Response(200, (*JSON, ("ETag", 'W/"a"')), TEXT))
    assert dict(weak.headers)["ETag"] == 'W/"a"'


async def test_a_large_answer_is_compressed_in_a_thread(
    compressor: Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else waits for it; a small one is not worth a thread."""
    threads: list[int] = []

    def encode(body: bytes) -> bytes:
        threads.append(threading.get_ident())
        return gzip.compress(body)

    monkeypatch.setitem(compression._ENCODERS, "gzip", encode)
    for body in (TEXT, TEXT * 100):
        assert decoded(await compressor.compress(accepting("gzip"), Response(200, JSON, body))) == body
    assert (threads[0] == threading.get_ident(), threads[1] == threading.get_ident()) == (True, False)


class Pieces:
    """A body piece by piece, which tells whether it was closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_stream_is_compressed_as_it_comes(compressor: Compressor, coding: str) -> None:
    """What was sent can be read at once, before the next piece is there; closing reaches the body."""
    body = Pieces(b"first " * 10, b"second " * 30_000, b"third")
    answer = await compressor.compress(accepting(coding), Response(200, JSON, body))
    decoder = zstandard.ZstdDecompressor().decompressobj() if coding == "zstd" else zlib.decompressobj(31)
    read = [decoder.decompress(piece) async for piece in answer.body]
    assert read[0] == b"first " * 10
    assert b"".join(read) == b"first " * 10 + b"second " * 30_000 + b"third"
    await answer.body.aclose()
    assert body.closed


async def test_a_stream_that_nobody_reads_is_closed(compressor: Compressor) -> None:
    """A client that leaves before the first piece leaves no open body behind."""
    body = Pieces(b"x")
    answer = await compressor.compress(accepting("gzip"), Response(200, JSON, body))
    await answer.body.aclose()
    assert body.closed
