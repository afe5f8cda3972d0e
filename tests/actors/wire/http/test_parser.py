"""Requests out of bytes: what is read, and what is refused because two servers may read it differently."""

from __future__ import annotations

import pytest

from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import CHUNKED, Head, SizeLimits
from actors.wire.http.parser import RequestParser
from tests.actors.wire.http.driver import LIMITS, Cut, Seen, bytewise, read

SMALL = SizeLimits(header_line_bytes=64, header_bytes=200, uri_bytes=32, body_bytes=10)

# Every one of these has been used to smuggle a request past some pair of servers, or is its near relative.
CODED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "

SMUGGLED = {
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same Host twice": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with user information": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "two hosts in one": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "absolute form": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority form": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk without OPTIONS": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk and more": b"OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 and headers": b"GET /\r\nHost: a\r\n\r\n",
    "another protocol": b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case version": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces before the version": b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "space at the end of the line": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "tab for a space": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character in the target": b"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw UTF-8 in the target": "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "NUL in the target": b"GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare LF before the request": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare CR before the request": b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    "bare CR at the end of a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
    "control character in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
    "tab before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n",
    "space before the first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "folded with a tab": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "two lengths": LENGTH + b"5\r\nContent-Length: 6\r\n\r\nhello!",
    "the same length twice": LENGTH + b"5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths in one": LENGTH + b"5, 5\r\n\r\nhello",
    "length with a plus": LENGTH + b"+5\r\n\r\nhello",
    "negative length": LENGTH + b"-5\r\n\r\nhello",
    "hexadecimal length": LENGTH + b"0x5\r\n\r\nhello",
    "empty length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
    "length with a space": LENGTH + b"1 2\r\n\r\nhello",
    "huge length": LENGTH + b"99999999999999999999999\r\n\r\n",
    "length and coding": LENGTH + b"5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": CODED + b"chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": CODED + b"gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, gzip": CODED + b"chunked, gzip\r\n\r\n0\r\n\r\n",
    "identity": CODED + b"identity\r\n\r\n",
    "chunked twice": CODED + b"chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": CODED + b"xchunked\r\n\r\n0\r\n\r\n",
    "quoted coding": CODED + b'"chunked"\r\n\r\n0\r\n\r\n',
    "empty coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "vertical tab and coding": CODED + b"\x0bchunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
def test_ambiguous_requests_are_refused(data: bytes, cut: Cut) -> None:
    """What two servers may read differently is refused with 400, and nothing after it is read."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    assert read(cut(data + smuggled)) == [("refused", 400)]


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "M-SEARCH"])
def test_methods_that_are_not_served_are_said_to_be_so(method: str) -> None:
    """A method that is known but not served is refused with 501 (RFC 9110 9.1)."""
    assert read([f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()]) == [("refused", 501)]


@pytest.mark.parametrize(
    "host", ["a", "a.example:8080", "127.0.0.1:80", "[::1]:8080", "xn--bcher-kva.example", "a:", "under_score"]
)
def test_hosts_as_they_are_written_are_taken(host: str) -> None:
    """A Host header is a name or an address and perhaps a port."""
    assert read([f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()]) == [("GET", "/", b"")]


def test_pipelined_requests_come_out_in_order() -> None:
    """Requests in one piece are read one by one, each with its own body."""
    data = (
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"
        b"\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    expected = [("GET", "/1", b""), ("POST", "/2", b"hello"), ("POST", "/3", b"abcde"), ("GET", "/4", b"")]
    assert read([data]) == expected
    assert read(bytewise(data)) == expected


def test_a_request_inside_a_body_stays_a_body() -> None:
    """Bytes that belong to a body are never read as a request."""
    inner = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(inner), inner)
    assert read([data]) == [("POST", "/", inner)]


def test_nothing_is_read_after_close() -> None:
    """After a request that closes the connection, what follows is no request."""
    data = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    assert read([data]) == [("GET", "/1", b"")]


def test_an_upgrade_is_ignored() -> None:
    """RFC 9110 7.8: a request that would change the protocol is an ordinary one, and so is the next."""
    data = (
        b"GET /1 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert read([data]) == [("GET", "/1", b""), ("GET", "/2", b"")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("HTTP/1.1\r\nHost: a", True),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close", False),
        ("HTTP/1.1\r\nHost: a\r\nConnection: X, Close", False),
        ("HTTP/1.0", False),
        ("HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive", True),
        ("HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close", False),
    ],
)
def test_keep_alive_follows_version_and_connection(lines: str, expected: object) -> None:
    """RFC 9112 9.3: HTTP/1.1 goes on unless told to close, HTTP/1.0 closes unless told to go on."""
    assert head(f"GET / {lines}\r\n\r\n").keep_alive is expected


def test_a_head_says_what_the_request_is() -> None:
    """Path and query are cut but not decoded; names come in lower case, values without blanks around them."""
    seen = head(
        "PUT /a%2Fb/c?x=1?&y=%20 HTTP/1.1\r\nHost: a\r\nX-One:  \t 1 2\t \r\nx-two:\r\nContent-Length: 3\r\n\r\n"
    )
    assert (seen.method, seen.path, seen.query, seen.length) == ("PUT", "/a%2Fb/c", "x=1?&y=%20", 3)
    assert seen.headers == [("host", "a"), ("x-one", "1 2"), ("x-two", ""), ("content-length", "3")]
    assert head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").length == CHUNKED


def test_only_100_continue_is_expected() -> None:
    """RFC 9110 10.1.1: 100-continue is met where there is a body, ignored in HTTP/1.0, and anything else refused."""
    post = "POST / HTTP/{}\r\nHost: a\r\nContent-Length: {}\r\nExpect: {}\r\n\r\n"
    assert head(post.format("1.1", 5, "100-Continue")).expects_continue
    assert not head(post.format("1.1", 0, "100-continue")).expects_continue
    assert not head(post.format("1.0", 5, "100-continue")).expects_continue
    with pytest.raises(RequestRefusedError) as refused:
        head(post.format("1.1", 5, "200-ok"))
    assert refused.value.status == 417


@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET /" + b"a" * 31 + b" HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/" + "a" * 31, b"")),
        (b"GET /" + b"a" * 32 + b" HTTP/1.1\r\nHost: a\r\n\r\n", ("refused", 414)),
        (b"GET /" + b"a" * 300, ("refused", 414)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 61 + b"\r\n\r\n", ("GET", "/", b"")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 62 + b"\r\n\r\n", ("refused", 494)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b" " * 300, ("refused", 494)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: b\r\n" * 28 + b"\r\n", ("GET", "/", b"")),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: b\r\n" * 29 + b"\r\n", ("refused", 494)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789", ("POST", "/", b"0123456789")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", ("refused", 413)),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n", ("refused", 413)),
    ],
)
def test_limits_hold_to_the_byte(data: bytes, expected: Seen, cut: Cut) -> None:
    """What just fits is taken, one byte more is refused with the status of its limit, however the bytes are cut."""
    assert read(cut(data), SMALL) == [expected]


def test_the_limits_of_the_gateway() -> None:
    """32 KiB a header line, 128 KiB of headers, 32 KiB of URI: what just fits is taken, a byte more is not."""
    line = b"X: " + b"b" * (32 * 1024 - 3) + b"\r\n"
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert read([start + line * 3 + b"\r\n"]) == [("GET", "/", b"")]
    assert read([start + line * 4 + b"\r\n"]) == [("refused", 494)]
    assert read([start + line.replace(b"X", b"XX") + b"\r\n"]) == [("refused", 494)]
    uri = b"/" + b"a" * (32 * 1024 - 1)
    assert read([b"GET " + uri + b" HTTP/1.1\r\nHost: a\r\n\r\n"]) == [("GET", uri.decode(), b"")]
    assert read([b"GET " + uri + b"a HTTP/1.1\r\nHost: a\r\n\r\n"]) == [("refused", 414)]


@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
def test_a_uri_within_its_limit_may_pass_that_of_all_headers(cut: Cut) -> None:
    """Where all headers together may be less than a URI, it is their limit that is passed: 494."""
    limits = SizeLimits(header_line_bytes=64, header_bytes=50, uri_bytes=100, body_bytes=10)
    assert read(cut(b"GET /" + b"a" * 200), limits) == [("refused", 494)]


def test_too_many_headers_are_refused() -> None:
    """Headers are bounded in number too, since each costs memory however short it is."""
    assert read([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X:\r\n" * 1_000 + b"\r\n"]) == [("refused", 494)]


def test_the_rest_of_a_body_is_known() -> None:
    """A parser tells how much of a body is to come, where the head has said so."""
    parser = RequestParser(LIMITS)
    parser.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    assert parser.next_head() is not None
    assert parser.read_body() == b"he"
    assert (parser.body_complete, parser.body_left, parser.buffered) == (False, 3, False)


def head(text: str) -> Head:
    parser = RequestParser(LIMITS)
    parser.receive(text.encode())
    found = parser.next_head()
    assert found is not None
    return found
