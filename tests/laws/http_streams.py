"""Streams of HTTP requests for laws: well-formed ones, and what becomes of them when bytes change on their way."""

from __future__ import annotations

from hypothesis import strategies as st

from actors.wire.http.chunked import LAST_CHUNK, chunk
from tests.actors.wire.http import corpus

token = st.text("abcXYZ-", min_size=1, max_size=6)
text = st.text("abc :;,=\t\"'", max_size=12).map(str.strip)
bodies = st.binary(max_size=30) | st.sampled_from([b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n", b"\r\n"])
# What breaks parsers: line ends, separators, numbers, and the words that frame a message.
FRAGMENTS = [
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"5", b"-1", b"\xff", b"f" * 16,
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"HTTP/1.1",
    b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"x" * 90, b"\\", b"#", b"_", b"http://b",
    b"Content_Length: 3\r\n", b"Transfer-Encoding: identity\r\n", b"\x0b", b"\x85", b"\xa0", b"0\r\n\r\n", b"+", b"0x",
    b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip
# What is refused for its sheer size is left to tests of its own.
STRANGE = [
    data for data in (*corpus.REFUSED.values(), *(data for data, _ in corpus.ALLOWED.values())) if len(data) < 1000
]


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, bytes]]:
    """A well-formed request, and what is to be read from it."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]))
    path = "/" + draw(st.text("ab/%2", max_size=8))
    lines = [f"{method} {path}?q HTTP/1.1", "Host: a"]
    lines += [f"X{draw(token)}: {draw(text)}" for _ in range(draw(st.integers(0, 3)))]
    body = draw(st.none() | bodies)
    if body is None:
        return "\r\n".join([*lines, "", ""]).encode(), (method, path, b"")
    if draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body, (method, path, body)
    lines.append("Transfer-Encoding: chunked")
    cut = draw(st.integers(0, len(body)))
    pieces = b"".join(chunk(piece) for piece in (body[:cut], body[cut:]) if piece)
    return "\r\n".join([*lines, "", ""]).encode() + pieces + LAST_CHUNK, (method, path, body)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A few requests, one after the other, honest ones and others, damaged in a few places."""
    one = requests().map(lambda made: made[0])
    data = b"".join(draw(st.lists(one | one | st.sampled_from(STRANGE), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        drop = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=3)) + data[at + drop :]
    return data


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in other pieces."""
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[begin:end] for begin, end in zip([0, *at], [*at, len(data)], strict=True) if end > begin]
