"""Answers into bytes."""

from __future__ import annotations

import pytest

from actors.wire.http.messages import HeaderFields, Request
from actors.wire.http.responses import DateHeader, check_header, response_head

DATE = "Thu, 01 Jan 1970 00:00:00 GMT"


def render(
    status: int = 200,
    headers: HeaderFields = (),
    length: int | None = 5,
    *,
    keep_alive: bool = True,
    http_1_0: bool = False,
) -> bytes:
    return response_head(status, headers, length=length, keep_alive=keep_alive, http_1_0=http_1_0, date=DATE)


def test_a_head_is_one_piece_of_bytes() -> None:
    """Status line, date, the handler's headers, framing, blank line."""
    assert render(headers=(("X-A", "1"), ("X-A", "2"))) == (
        b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\n"
    )


def test_statuses_without_a_body_announce_none() -> None:
    """RFC 9112 6.3: neither 204 nor 304 says a length or a coding."""
    for status in (204, 304):
        assert b"Content-Length" not in render(status)
        assert b"Transfer-Encoding" not in render(status, length=None)


def test_a_body_of_unknown_length_is_chunked_for_those_who_know_chunks() -> None:
    """HTTP/1.0 gets neither a length nor a coding: the end of the connection ends the body."""
    assert b"Transfer-Encoding: chunked\r\n" in render(length=None)
    old = render(length=None, http_1_0=True, keep_alive=False)
    assert b"Transfer-Encoding" not in old
    assert b"Connection: close\r\n" in old


def test_the_connection_header_says_what_becomes_of_it() -> None:
    """Closing is always said; going on only to HTTP/1.0, which does not expect it."""
    assert b"Connection" not in render()
    assert b"Connection: close\r\n" in render(keep_alive=False)
    assert b"Connection: keep-alive\r\n" in render(http_1_0=True)


def test_any_status_can_be_sent() -> None:
    """A status without a registered phrase has an empty one (RFC 9112 4)."""
    assert render(494).startswith(b"HTTP/1.1 494 Request Header Too Large\r\n")
    assert render(599).startswith(b"HTTP/1.1 599 \r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\0"),
        ("X", " a"),
        ("X", "a "),
        ("X", "\u2028"),
        ("X\r\nY", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("CONNECTION", "close"),
        ("Date", DATE),
    ],
)
def test_no_header_breaks_out_of_its_line(name: str, value: str) -> None:
    """Header injection is impossible, and the framing is the server's alone."""
    with pytest.raises(ValueError, match="header"):
        check_header(name, value)
    with pytest.raises(ValueError, match="header"):
        render(headers=((name, value),))


def test_the_date_is_made_once_a_second() -> None:
    """RFC 9110 5.6.7, and the same text object within a second."""
    date = DateHeader()
    assert date.at(784111777.2) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert date.at(784111777.9) is date.at(784111777.1)
    assert date.at(784111778.0) == "Sun, 06 Nov 1994 08:49:38 GMT"


def test_headers_of_a_request_are_found_by_name() -> None:
    """The first of a name, or all of them."""
    request = Request("GET", "/", headers=[("x", "1"), ("y", "2"), ("x", "3")])
    assert (request.header("x"), request.header("z")) == ("1", None)
    assert request.header_values("x") == ["1", "3"]


async def test_a_body_in_hand_is_read_at_once() -> None:
    """A request can be made without a connection."""
    assert await Request("POST", "/", body=b"abc").read() == b"abc"
