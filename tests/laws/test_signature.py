"""Whatever is signed is taken, and whatever is changed afterwards is not."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.directory.signing import SigningKey
from actors.gateway_route.auth import signature
from actors.gateway_route.auth.signature import EMPTY_PAYLOAD, SignatureError
from actors.wire.http.messages import Request

NOW = 1_700_000_000
DATE = ("x-sdk-date", "20231114T221320Z")
KEY = SigningKey(b"secret")

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PATHS = st.lists(TEXTS.filter(lambda text: text not in {".", ".."}), min_size=1, max_size=4).map(
    lambda segments: "/" + "/".join(quote(segment, safe="") for segment in segments)
)
QUERIES = st.lists(st.tuples(TEXTS.filter(bool), TEXTS), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
NAMES = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True).filter(lambda name: not name.startswith("x-sdk"))
HEADERS = st.dictionaries(NAMES, VALUES.map(str.strip), max_size=4).map(lambda found: list(found.items()))


@st.composite
def signed_requests(draw: st.DrawFn) -> Request:
    body = draw(st.binary(max_size=16))
    headers = [*draw(HEADERS), DATE]
    asked = Request(draw(METHODS), draw(PATHS), draw(QUERIES), headers, body)
    names = tuple(name for name, _ in headers)
    authorization = signature.sign(asked, "key", KEY, names, sha256(body).hexdigest())
    return Request(asked.method, asked.path, asked.query, [*headers, ("authorization", authorization)], body)


def is_taken(request: Request) -> bool:
    assert isinstance(request.body, bytes)
    try:
        return signature.read(request, NOW).matches(KEY, sha256(request.body).hexdigest())
    except SignatureError:
        return False


@given(signed_requests())
def test_what_is_signed_is_taken(request_: Request) -> None:
    """Every request that is signed as the algorithm says is taken, whatever is in it."""
    assert is_taken(request_)


@given(signed_requests(), st.randoms(use_true_random=False))
def test_the_order_of_parameters_does_not_matter(request_: Request, shuffle: Random) -> None:
    """Parameters may come in any order, and percent-encoding in any case and where it need not be."""
    pairs = request_.query.split("&")
    shuffle.shuffle(pairs)
    query = "&".join(pairs).replace("a", "%61")
    assert is_taken(Request(request_.method, request_.path, query, request_.headers, request_.body))


@given(signed_requests(), signed_requests())
def test_a_signature_opens_no_other_request(one: Request, other: Request) -> None:
    """A signature that was made for one request is worth nothing on another, part by part and as a whole."""

    def same(left: str, right: str) -> bool:
        return signature.canonical_path(left) == signature.canonical_path(right)

    moved = [
        (Request(other.method, one.path, one.query, one.headers, one.body), one.method == other.method),
        (Request(one.method, other.path, one.query, one.headers, one.body), same(one.path, other.path)),
        (
            Request(one.method, one.path, other.query, one.headers, one.body),
            signature.canonical_queries(one.query)[0] == signature.canonical_queries(other.query)[0],
        ),
        (Request(one.method, one.path, one.query, one.headers, other.body), one.body == other.body),
    ]
    for request, taken in moved:
        assert is_taken(request) == taken


@given(signed_requests(), st.data())
def test_no_signed_header_may_change(request_: Request, data: st.DataObject) -> None:
    """Another value of a header that is signed, and its absence, make the signature worthless."""
    at = data.draw(st.integers(0, len(request_.headers) - 2))
    name, value = request_.headers[at]
    for changed in ([], [(name, value + "x")], [(name, value), (name, value)]):
        headers = [*request_.headers[:at], *changed, *request_.headers[at + 1 :]]
        assert not is_taken(Request(request_.method, request_.path, request_.query, headers, request_.body))


@given(st.text(max_size=200))
def test_nonsense_is_refused_and_nothing_else(text: str) -> None:
    """Any text in Authorization is either a signature or refused with a reason."""
    asked = Request("GET", "/", "", [DATE, ("authorization", signature.ALGORITHM + text)])
    with pytest.raises(SignatureError):
        signature.read(asked, NOW)
    assert not is_taken(asked)


@given(QUERIES)
def test_reading_a_query_twice_changes_nothing(query: str) -> None:
    """The canonical query is its own canonical query."""
    for canonical in signature.canonical_queries(query):
        assert canonical in signature.canonical_queries(canonical)


def test_an_empty_body_has_the_hash_of_nothing() -> None:
    """The constant is what it says."""
    assert sha256().hexdigest() == EMPTY_PAYLOAD
