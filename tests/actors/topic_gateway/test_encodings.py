"""Compressed bodies."""

from __future__ import annotations

import gzip
import os
import time
from typing import get_args

import pytest
import zstandard

from actors.http_calls.errors import CallRefusedError
from actors.topic_gateway.encodings import Encoding, accepted_encoding, compress, content_encoding, decompress

BODY = b'{"content":1}\n' * 1000 + os.urandom(5000)
COMPRESSED: tuple[Encoding, ...] = ("gzip", "zstd")


def refused(encoding: Encoding, body: bytes, limit: int = 1_000_000) -> CallRefusedError:
    with pytest.raises(CallRefusedError) as caught:
        decompress(body, encoding, limit)
    return caught.value


@pytest.mark.parametrize("encoding", get_args(Encoding))
def test_what_is_compressed_comes_back(encoding: Encoding) -> None:
    """Whole, also of several members or frames, and up to the limit to the byte."""
    body = compress(BODY, encoding)
    assert decompress(body, encoding, len(BODY)) == BODY
    assert decompress(body + body, encoding, 2 * len(BODY)) == BODY + BODY
    assert refused(encoding, body, len(BODY) - 1).error.status == 413


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_body_that_ends_early_is_refused(encoding: Encoding) -> None:
    """A cut body is never taken for a shorter one, wherever it is cut."""
    body = compress(BODY, encoding)
    for cut in [*range(1, 40), len(body) // 2, *range(len(body) - 12, len(body))]:
        assert refused(encoding, body[:cut]).error.status == 400


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_what_is_not_compressed_is_refused(encoding: Encoding) -> None:
    """Also behind something that is."""
    for junk in (b"junk that is long enough to look like something", bytes(100), compress(BODY, encoding) + b"junk!"):
        error = refused(encoding, junk)
        assert error.error.status == 400
        assert encoding in error.detail


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_bomb_is_refused_before_it_is_large(encoding: Encoding) -> None:
    """Little that becomes much is given up at the limit."""
    bomb = gzip.compress(bytes(64_000_000), 9) if encoding == "gzip" else zstandard.compress(bytes(500_000_000))
    assert len(bomb) < 100_000
    assert refused(encoding, bomb).error.status == 413


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_body_of_empty_pieces_keeps_nobody_busy(encoding: Encoding) -> None:
    """However small each is: a body in thousands of pieces is read, one in hundreds of thousands is not."""
    empty = compress(b"", encoding)
    assert decompress(empty * 9_000 + compress(BODY, encoding), encoding, len(BODY)) == BODY
    began = time.process_time()
    assert refused(encoding, empty * 600_000).error.status == 400
    assert time.process_time() - began < 2


def test_a_frame_that_wants_a_large_window_is_refused() -> None:
    """A producer cannot make the daemon reserve more than the window that every decoder supports."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = compressor.compress(bytes(20_000_000)) + compressor.flush()
    assert refused("zstd", body, 100_000_000).error.status == 400


def test_content_encodings_are_known_or_refused() -> None:
    """415 names what is taken, also in Accept-Encoding (RFC 9110 15.5.16)."""
    assert [content_encoding(value) for value in (None, "", "identity", " GZIP", "x-gzip", "Zstd")] == [
        "identity",
        "identity",
        "identity",
        "gzip",
        "gzip",
        "zstd",
    ]
    for value in ("br", "gzip, gzip", "deflate"):
        with pytest.raises(CallRefusedError) as caught:
            content_encoding(value)
        assert caught.value.error.status == 415
        assert ("Accept-Encoding", "gzip, zstd") in caught.value.headers


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, gzip;q=0.1", "gzip"),
        ("gzip;q=0", "identity"),
        ("*", "gzip"),
        ("*, gzip; q=0", "identity"),
        ("br", "identity"),
    ],
)
def test_answers_come_as_the_reader_takes_them(value: str | None, encoding: Encoding) -> None:
    """What a reader does not admit is never used."""
    assert accepted_encoding(value) == encoding
