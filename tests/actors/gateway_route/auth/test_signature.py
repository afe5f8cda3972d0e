from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest

from actors.directory.signing import SigningKey
from actors.gateway_route.auth import signature
from actors.gateway_route.auth.signature import EMPTY_PAYLOAD, MAX_SKEW, SignatureError
from actors.wire.http.messages import Request

KEY = "QTWAOYTTINDUT2QVKYUC"
SECRET = SigningKey(b"MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc")
PATH = "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs"
QUERY = "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0"
PUBLISHED = "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
NOW = datetime(2019, 11, 15, 3, 36, 55, tzinfo=UTC).timestamp()
HEADERS = {
    "content-type": "application/json",
    "host": "service.region.example.com",
    "x-sdk-date": "20191115T033655Z",
}


def request(
    *,
    method: str = "GET",
    path: str = PATH,
    query: str = QUERY,
    headers: list[tuple[str, str]] | None = None,
    authorization: str = f"SDK-HMAC-SHA256 Access={KEY}, SignedHeaders=content-type;host;x-sdk-date, "
    f"Signature={PUBLISHED}",
) -> Request:
    fields = list(HEADERS.items()) if headers is None else headers
    return Request(method, path, query, [*fields, ("authorization", authorization)])


def test_the_published_example() -> None:
    """The published example's key, secret and request make exactly its signature."""
    signed = signature.read(request(), NOW)
    assert signed.key == KEY
    assert signed.payload is None
    assert signed.matches(SECRET, EMPTY_PAYLOAD)
    assert not signed.matches(SigningKey(b"another"), EMPTY_PAYLOAD)
    assert not signed.matches(SECRET, sha256(b"a body").hexdigest())


def test_signing_makes_the_published_example() -> None:
    """What `sign` writes is what `read` reads, and what the field's signers write."""
    asked = Request("GET", PATH, QUERY, list(HEADERS.items()))
    assert signature.sign(asked, KEY, SECRET, tuple(HEADERS), EMPTY_PAYLOAD).endswith(PUBLISHED)


@pytest.mark.parametrize(
    "moved",
    [
        request(method="POST"),
        request(path=PATH + "x"),
        request(path=PATH.replace("/vpcs", "%2Fvpcs")),
        request(query=QUERY.replace("2", "3", 1)),
        request(query=QUERY + "&marker="),
        request(query=""),
        request(headers=list((HEADERS | {"host": "other.example.com"}).items())),
        request(headers=list((HEADERS | {"content-type": "text/plain"}).items())),
        request(headers=list((HEADERS | {"x-sdk-date": "20191115T033656Z"}).items())),
    ],
    ids=["method", "path", "slash", "query", "query+", "no query", "host", "header", "date"],
)
def test_a_moved_signature_does_not_match(moved: Request) -> None:
    """A signature is for one method, path, query, set of headers and date."""
    assert not signature.read(moved, NOW).matches(SECRET, EMPTY_PAYLOAD)


def test_headers_that_are_not_listed_are_not_signed() -> None:
    """Exactly the headers listed count: others may come along, as proxies add them."""
    more = [*HEADERS.items(), ("x-forwarded-for", "10.0.0.1")]
    assert signature.read(request(headers=more), NOW).matches(SECRET, EMPTY_PAYLOAD)


@pytest.mark.parametrize("away", [-MAX_SKEW - 1, MAX_SKEW + 1])
def test_an_old_or_early_date_is_refused(away: int) -> None:
    """A signature is taken within 15 minutes of its date, either way."""
    with pytest.raises(SignatureError, match="15 minutes"):
        signature.read(request(), NOW + away)
    assert signature.read(request(), NOW + away // abs(away) * MAX_SKEW)


@pytest.mark.parametrize("date", ["", "20191115", "20191115T033655", "2019-11-15T03:36:55Z", "20191315T033655Z"])
def test_a_date_of_another_form_is_refused(date: str) -> None:
    """A date that cannot be read is an error of the caller's, not a crash."""
    with pytest.raises(SignatureError, match="YYYYMMDDTHHMMSSZ"):
        signature.read(request(headers=[("x-sdk-date", date)]), NOW)


@pytest.mark.parametrize(
    "authorization",
    [
        "SDK-HMAC-SHA256",
        f"SDK-HMAC-SHA256 Access={KEY}, SignedHeaders=host",
        f"SDK-HMAC-SHA256 Access={KEY}, SignedHeaders=host, Signature={PUBLISHED[1:]}",
        f"SDK-HMAC-SHA256 Access={KEY}, SignedHeaders=host, Signature={PUBLISHED.upper()}",
        f"SDK-HMAC-SHA256 Access=, SignedHeaders=host, Signature={PUBLISHED}",
        f"SDK-HMAC-SHA256 Access={KEY}, SignedHeaders=host, Signature={PUBLISHED}, Access=other",
        f"SDK-HMAC-SHA1 Access={KEY}, SignedHeaders=host, Signature={PUBLISHED}",
    ],
)
def test_another_form_is_refused(authorization: str) -> None:
    """Anything but the one form is refused, whatever it may mean."""
    with pytest.raises(SignatureError, match="Access=KEY"):
        signature.read(request(authorization=authorization), NOW)


@pytest.mark.parametrize("names", ["Host;x-sdk-date", "x-sdk-date;host", "host;host", "host;", ";host"])
def test_a_list_of_another_order_is_refused(names: str) -> None:
    """The list of signed headers has one spelling."""
    with pytest.raises(SignatureError, match="sorted"):
        signature.read(
            request(authorization=f"SDK-HMAC-SHA256 Access=k, SignedHeaders={names}, Signature={PUBLISHED}"), NOW
        )


def test_a_listed_header_must_be_there_once() -> None:
    """A header that is listed but missing, or there twice, says nothing that could be signed."""
    with pytest.raises(SignatureError, match="content-type is missing"):
        signature.read(request(headers=[("x-sdk-date", HEADERS["x-sdk-date"])]), NOW)
    with pytest.raises(SignatureError, match="host is there twice"):
        signature.read(request(headers=[*HEADERS.items(), ("host", "other.example.com")]), NOW)
    twice = [*HEADERS.items(), ("x-sdk-content-sha256", "a"), ("x-sdk-content-sha256", "b")]
    with pytest.raises(SignatureError, match="x-sdk-content-sha256 is there twice"):
        signature.read(request(headers=twice), NOW)


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("/a/b", "/a/b/"),
        ("/a/b/", "/a/b/"),
        ("/a%20b/c%2Fd", "/a%20b/c%2Fd/"),
        ("/%7Ea/!b", "/~a/%21b/"),
        ("/caf%c3%a9", "/caf%C3%A9/"),
        ("/a%252Fb", "/a%252Fb/"),
    ],
)
def test_paths(path: str, canonical: str) -> None:
    """Segments are decoded once and encoded again; a slash in a segment stays in it."""
    assert signature.canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ("",)),
        ("b=2&a=1", ("a=1&b=2",)),
        ("a=2&a=1&a-=0", ("a=1&a=2&a-=0",)),
        ("a", ("a=",)),
        ("a&b=", ("a=&b=",)),
        ("a=b=c", ("a=b%3Dc",)),
        ("a=x+y", ("a=x%2By",)),
        ("a=%e4%bd%a0", ("a=%E4%BD%A0",)),
        ("z=1&%C3%A9=2", ("z=1&%C3%A9=2", "%C3%A9=2&z=1")),
    ],
)
def test_queries(query: str, canonical: tuple[str, ...]) -> None:
    """Parameters are decoded once, sorted and encoded; both orders of sorting where they differ."""
    assert signature.canonical_queries(query) == canonical
