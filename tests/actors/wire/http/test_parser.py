"""Requests out of bytes: what is read, and what is refused because two servers may read it differently."""

from __future__ import annotations

import pytest

from actors.wire.http.errors import RequestRefusedError
from actors.wire.http.messages import CHUNKED, Head, SizeLimits
from actors.wire.http.parser import RequestParser
from tests.actors.wire.http import corpus
from tests.actors.wire.http.driver import LIMITS, Cut, Seen, bytewise, read

SMALL = SizeLimits(header_line_bytes=64, header_bytes=200, uri_bytes=32, body_bytes=10)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("data", corpus.REFUSED.values(), ids=corpus.REFUSED.keys())
@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
def test_ambiguous_requests_are_refused(data: bytes, cut: Cut) -> None:
    """What two servers may read differently is refused with 400, and nothing after it is read."""
    assert read(cut(data + SMUGGLED)) == [("refused", 400)]


@pytest.mark.parametrize(("data", "body"), corpus.ALLOWED.values(), ids=corpus.ALLOWED.keys())
@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
def test_unusual_requests_are_read_as_they_are_meant(data: bytes, body: bytes, cut: Cut) -> None:
    """What has one meaning alone is taken, and the next request begins where the body ends."""
    assert read(cut(data + SMUGGLED)) == [("POST", "/", body), ("GET", "/smuggled", b"")]


@pytest.mark.parametrize("line", ["TRACE /", "CONNECT a:80", "CONNECT /", "CONNECT [::1]:80"])
@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
def test_methods_that_no_server_should_answer_are_refused(line: str, cut: Cut) -> None:
    """TRACE and CONNECT are refused with 405, whatever they ask for (RFC 9110 9.3.6 and 9.3.8)."""
    request = f"{line} HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n".encode()
    assert read(cut(request + SMUGGLED)) == [("refused", 405)]


@pytest.mark.parametrize("method", ["PROPFIND", "M-SEARCH"])
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
