from __future__ import annotations

from hashlib import sha256

import pytest

from actors.directory.signing import SigningKey
from actors.errors import ConfigurationError
from actors.gateway_route.auth import signature
from actors.gateway_route.auth.compile import check_binding
from actors.gateway_route.auth.outgoing import BackendSigner
from actors.gateway_route.published import Published
from actors.wire.http.messages import Request
from tests.actors.gateway_route.auth.people import route

NOW = 1_700_000_000.0
REQUEST = Request("POST", "/a b", "x=1", [("host", "backend"), ("content-type", "text/plain"), ("accept", "*/*")])


def test_hmac_is_what_the_gateway_itself_would_take() -> None:
    """A backend that checks as this gateway does sees that the call is signed, body included."""
    added = BackendSigner("hmac", "key", b"secret").headers(REQUEST, b"body", NOW)
    arrived = Request("POST", "/a b", "x=1", [*REQUEST.headers, *added], b"body")
    signed = signature.read(arrived, NOW)
    assert signed.key == "key"
    assert signed.matches(SigningKey(b"secret"), sha256(b"body").hexdigest())
    assert not signed.matches(SigningKey(b"secret"), sha256(b"other").hexdigest())


def test_basic_is_key_and_secret() -> None:
    """RFC 7617, with the key as the name."""
    added = BackendSigner("basic", "key", b"secret").headers(REQUEST, b"", NOW)
    assert added == (("authorization", "Basic a2V5OnNlY3JldA=="),)


def test_a_backend_with_a_key_answers_only_routes_bound_to_it() -> None:
    """A version whose route is bound to another key than its backend's, or to none, is not served."""
    bound = route("none", signature_key="k")
    check_binding(Published(route=bound, backend=bound.backend, backend_key="k"))
    check_binding(Published(route=bound, backend=bound.backend))
    for other in (route("none"), route("none", signature_key="other")):
        with pytest.raises(ConfigurationError, match="only routes bound to signature_key k"):
            check_binding(Published(route=other, backend=other.backend, backend_key="k"))
