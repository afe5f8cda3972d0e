from __future__ import annotations

from typing import Any

import pytest

from config.errors import ManifestError
from config.identity_checks import identity_findings
from config.manifest import load
from config.resources import (
    AccessKey,
    AccessList,
    AnyResource,
    Auth,
    Backend,
    Jwt,
    MockBackend,
    Route,
    RouteBackend,
    RouteGrant,
    RouteRequest,
    User,
)
from config.resources.identity import identity
from config.soundness import unsound

URL = "https://id.example.com/keys"


def route(auth: Any = "app", *, backend: str | None = None, **more: Any) -> Route:
    behind = RouteBackend(mock=MockBackend()) if backend is None else RouteBackend(name=backend)
    return Route(name="r", app="a", request=RouteRequest(path="/r"), backend=behind, auth=auth, **more)


def wrong(auth: Any) -> list[str]:
    return [flaw.path for flaw in unsound(route(auth)) if not flaw.warning]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "RS128", ""])
def test_algorithms_without_a_public_key_are_refused(algorithm: str) -> None:
    """A token's algorithm must be one that only its issuer can sign with (RFC 8725 3.1, 3.2)."""
    settings = Jwt(jwks_url=URL, algorithms=("RS256", algorithm))
    assert wrong(Auth(jwt=settings)) == ["$.auth.jwt.algorithms[1]"]


@pytest.mark.parametrize(
    "url", ["http://id.example.com/keys", "ftp://a/b", "keys.json", "https://", "https://u:p@h/k", "https://[x/k"]
)
def test_keys_come_over_https(url: str) -> None:
    """Keys that others could change on their way are refused; this machine's own are taken."""
    assert wrong(Auth(jwt=Jwt(jwks_url=url))) == ["$.auth.jwt.jwks_url"]
    assert wrong(Auth(jwt=Jwt(jwks_url=URL))) == []
    assert wrong(Auth(jwt=Jwt(jwks_url="http://127.0.0.1:8000/keys"))) == []


def test_a_token_without_issuer_or_audience_is_a_warning() -> None:
    """Who leaves them out is told what that means."""
    flaws = list(unsound(route(Auth(jwt=Jwt(jwks_url=URL)))))
    assert [(flaw.path, flaw.warning) for flaw in flaws] == [
        ("$.auth.jwt.issuer", True),
        ("$.auth.jwt.audience", True),
    ]
    assert not list(unsound(route(Auth(jwt=Jwt(jwks_url=URL, issuer="i", audience=("a",))))))


def test_what_allows_nothing_is_refused() -> None:
    """A permission for a way of showing oneself that the route does not take is a mistake."""
    assert wrong(Auth(app=("basic",), appcode_over_http=True)) == ["$.auth.appcode_over_http"]
    assert wrong(Auth(app=("basic",), unsigned_payload=True)) == ["$.auth.unsigned_payload"]
    assert wrong(Auth(app=("appcode", "signature"), appcode_over_http=True, unsigned_payload=True)) == []
    assert wrong(Auth(iam=True, unsigned_payload=True)) == []


def test_exactly_one_way() -> None:
    """A route asks for apps, users or tokens, and says so once."""
    for auth in ("{}", "{iam: true, app: [basic]}", "{app: []}", "{app: [cookie]}", "{jwt: {}}"):
        text = f"{{kind: route, name: r, app: a, request: {{path: /r}}, backend: {{mock: {{}}}}, auth: {auth}}}"
        with pytest.raises(ManifestError):
            load(text.encode())


def test_addresses_and_keys() -> None:
    """What is no address is refused, what means more than it says is told; a key names one thing."""
    addresses = ("192.0.2.1", "10.0.0.0/8", "10.1.2.3/8", "2001:db8::/32", "here", "1.2.3.4/33")
    flaws = list(unsound(AccessList(name="l", app="a", action="deny", addresses=addresses)))
    assert [(flaw.path, flaw.warning) for flaw in flaws] == [
        ("$.addresses[2]", True),
        ("$.addresses[4]", False),
        ("$.addresses[5]", False),
    ]
    twice = User(name="u", access_keys=(AccessKey(key="k"), AccessKey(key="k")))
    assert [flaw.path for flaw in unsound(twice)] == ["$.access_keys[1].key"]
    own = RouteGrant(name="g", app="a", to="a", routes=("r",))
    assert [flaw.warning for flaw in unsound(own)] == [True]


def findings(*new: AnyResource, old: tuple[AnyResource, ...] = ()) -> list[tuple[str, str]]:
    world = {identity(one): one for one in (*old, *new)}
    fresh = {identity(one): one for one in new}
    return [(str(one.identity), one.path) for one in identity_findings(world, fresh)]


def test_a_backend_with_a_key_takes_only_routes_bound_to_it() -> None:
    """Whichever of the two is applied last hears of it; one that has no key takes any route."""
    backend = Backend(name="b", app="a", path="/b", mock=MockBackend(), signature_key="k")
    unbound, bound = route(backend="b"), route(backend="b", signature_key="k")
    assert findings(unbound, old=(backend,)) == [("route r", "$.signature_key")]
    assert findings(backend, old=(unbound,)) == [("backend b", "$.signature_key")]
    assert findings(backend, bound) == []
    keyless = Backend(name="b", app="a", path="/b", mock=MockBackend())
    assert findings(keyless, bound) == []
    assert findings(route(backend="b", signature_key="other"), old=(backend,)) == [("route r", "$.signature_key")]


def test_an_access_key_names_one_user() -> None:
    """Two users cannot have the same access key."""
    ada, bob = (User(name=name, access_keys=(AccessKey(key="k"),)) for name in ("ada", "bob"))
    assert findings(bob, old=(ada,)) == [("user bob", "$.access_keys[0].key")]
    assert findings(ada) == []
