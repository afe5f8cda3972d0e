"""The chunked transfer coding."""

from __future__ import annotations

import pytest

from actors.wire.http.chunked import LAST_CHUNK, ChunkedDecoder, chunk
from tests.actors.wire.http.driver import Cut, bytewise, read

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b'5;name="a value";b\r\nhello\r\n0\r\n\r\n', b"hello"),
        (b"2\r\n\r\n\r\n0\r\nTrailer: x\r\nOther:\r\n\r\n", b"\r\n"),
    ],
)
def test_chunks_become_the_body(body: bytes, expected: bytes, cut: Cut) -> None:
    """Sizes are hexadecimal, extensions and trailers are dropped (RFC 9112 7.1)."""
    assert read(cut(HEAD + body)) == [("POST", "/", expected)]


@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 ;a\r\nhello\r\n",
        b"5_0\r\nhello\r\n",
        b"\r\n5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\r\nhello\r\n",
        b"5\r\nhelloo\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"5;\x00\r\nhello\r\n",
        b"5;a\x0bb\r\nhello\r\n",
        b"5;" + b"a" * 2_000,
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\nX: a\x00\r\n\r\n",
        b"0\r\nX: a\n\r\n",
        b"0\r\n" + b"X: " + b"a" * 140_000,
        b"0\r\n" + b"X: a\r\n" * 30_000,
    ],
)
def test_malformed_chunks_are_refused(body: bytes, cut: Cut) -> None:
    """A chunk or trailer that two servers may read differently ends the connection with 400."""
    assert read(cut(HEAD + body)) == [("refused", 400)]


def test_chunks_that_are_written_can_be_read() -> None:
    """What `chunk` writes is what the decoder reads."""
    decoder = ChunkedDecoder(body_bytes=100, trailer_bytes=100)
    data = chunk(b"one") + chunk(b"a longer piece of data") + LAST_CHUNK + b"next"
    assert decoder.decode(data, 0) == (b"onea longer piece of data", len(data) - 4)
    assert decoder.complete
