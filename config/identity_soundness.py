"""Whether what resources say of callers makes sense by itself: users, access lists, grants, and what routes ask."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import urlsplit

from config.flaws import Flaw
from config.resources import AccessList, Auth, Jwt, Route, RouteGrant, User

# RFC 7518 3.1, RFC 8037: those with a public key. `none` and those with a shared secret stay out (RFC 8725 3.1, 3.2).
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def user_flaws(user: User) -> Iterator[Flaw]:
    """A user's access keys are told apart by their names."""
    seen: set[str] = set()
    for i, one in enumerate(user.access_keys):
        if one.key in seen:
            yield Flaw(f"$.access_keys[{i}].key", f"the access key {one.key} is there twice")
        seen.add(one.key)


def access_list_flaws(resource: AccessList) -> Iterator[Flaw]:
    """Every address must be one."""
    for i, text in enumerate(resource.addresses):
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            reason = f"'{text}' is neither an address nor a network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
            yield Flaw(f"$.addresses[{i}]", reason)
            continue
        if str(network.network_address) != text.partition("/")[0] and network.version == 4:  # noqa: PLR2004 - IPv4
            yield Flaw(f"$.addresses[{i}]", f"'{text}' means all of {network}", warning=True)


def grant_flaws(grant: RouteGrant) -> Iterator[Flaw]:
    """An app needs no grant for what is its own."""
    if grant.to == grant.app:
        yield Flaw("$.to", f"the app {grant.app} calls its own routes without a grant", warning=True)


def route_auth_flaws(route: Route) -> Iterator[Flaw]:
    """What a route asks of its callers."""
    if route.signature_key is not None and route.backend.name is None:
        reason = "nothing is signed with it: this backend is not called over HTTP, and asks for no key"
        yield Flaw("$.signature_key", reason, warning=True)
    auth = route.auth
    if not isinstance(auth, Auth):
        return
    if auth.appcode_over_http and "appcode" not in (auth.app or ()):
        yield Flaw("$.auth.appcode_over_http", "the route takes no AppCodes; add `appcode` to `app`, or leave this out")
    if auth.unsigned_payload and not auth.iam and "signature" not in (auth.app or ()):
        yield Flaw("$.auth.unsigned_payload", "the route takes no signatures; leave this out")
    if auth.jwt is not None:
        yield from _jwt(auth.jwt)


def _jwt(jwt: Jwt) -> Iterator[Flaw]:
    for i, algorithm in enumerate(jwt.algorithms):
        if algorithm not in ALGORITHMS:
            reason = f"'{algorithm}' is none of {', '.join(ALGORITHMS)}; others do not prove who issued a token"
            yield Flaw(f"$.auth.jwt.algorithms[{i}]", reason)
    if jwt.issuer is None:
        reason = "tokens of any issuer whose keys are in the set are taken; name the one that is meant"
        yield Flaw("$.auth.jwt.issuer", reason, warning=True)
    if not jwt.audience:
        reason = "tokens that the issuer made for other services are taken as well; name the audience"
        yield Flaw("$.auth.jwt.audience", reason, warning=True)
    if jwt.jwks_url is not None and (reason := _address_problem(jwt.jwks_url)):
        yield Flaw("$.auth.jwt.jwks_url", reason)


def _address_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"'{url}' is no URL: {error}"
    if not host or parts.username is not None or parts.fragment:
        return "a URL such as https://id.example.com/.well-known/jwks.json is expected"
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK):
        return ""
    return "keys are fetched over https only: whoever can change them on their way can make tokens"
