"""Which group a Host is for, and whether a connection is good for it."""

from __future__ import annotations

from typing import Any

import pytest

from actors.directory.directory import Directory
from actors.gateway_route.domains import BoundDomain, ByDomain, check_connection, host_name
from actors.gateway_route.gateway import Gateway, RouteCollisionError
from actors.gateway_route.published import Published
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from actors.wire.http.tls import TlsSession, TlsTerms
from config.resources import ApiGroup, Domain, MockBackend, Route, RouteBackend, RouteRequest
from config.settings import GatewaySettings
from tests.fakes.identities import identities

PLAIN = TlsTerms("api.example.com")
MUTUAL = TlsTerms("api.example.com", authorities="PEM")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Api.Example.COM", "api.example.com"),
        ("api.example.com:8080", "api.example.com"),
        ("api.example.com.:80", "api.example.com"),
        ("[::1]:8080", "::1"),
        ("", ""),
    ],
)
def test_a_name_is_compared_without_case_and_port(header: str, name: str) -> None:
    """RFC 9110 4.2.3, 7.2; the dot at the end of a full name says nothing."""
    assert host_name(header) == name


def test_an_exact_name_goes_before_a_wildcard_of_one_label() -> None:
    """As certificates have it: neither no label nor two."""
    domains = ByDomain({"*.Example.com": "wildcard", "api.example.com": "exact"})
    assert domains.find("api.example.com") == "exact"
    assert domains.find("other.example.com") == "wildcard"
    for host in ("example.com", "a.b.example.com", ".example.com", "com", "", "example.com.evil"):
        assert domains.find(host) is None


def ask(method: str = "GET", tls: TlsSession | None = None, query: str = "") -> Request:
    return Request(method, "/x", query, [("host", "API.example.com:8080")], tls=tls)


def check(
    request: Request,
    *,
    redirect: bool = False,
    terms: TlsTerms = PLAIN,
    protocol: Any = "both",
    https_port: int | None = 8443,
) -> tuple[int, str] | None:
    """Status, and where to; of a refusal, the code and the detail."""
    try:
        response = check_connection(BoundDomain("g", redirect, terms), request, protocol, https_port)
    except CallRefusedError as refused:
        return refused.error.status, f"{refused.error.code} {refused.detail}"
    return None if response is None else (response.status, dict(response.headers)["Location"])


@pytest.mark.parametrize("protocol", ["both", "https"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_and_head_are_sent_to_https(method: str, protocol: str) -> None:
    """With path and query as they came, to the port of the listener; the usual one is left out."""
    request = ask(method, query="a=%20b&c")
    assert check(request, redirect=True, protocol=protocol) == (301, "https://api.example.com:8443/x?a=%20b&c")
    assert check(ask(method), redirect=True, https_port=443) == (301, "https://api.example.com/x")


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("POST", {}),
        ("OPTIONS", {}),
        ("GET", {"protocol": "http"}),
        ("GET", {"protocol": None}),
        ("GET", {"https_port": None}),
        ("GET", {"redirect": False}),
    ],
)
def test_nobody_else_is_sent_anywhere(method: str, more: dict[str, Any]) -> None:
    """Not where the route takes no https, where there is none, or where the method might change on its way."""
    assert check(ask(method), **{"redirect": True, **more}) is None


def test_who_came_encrypted_stays() -> None:
    """Whatever name it asked for, unless the domain asks for more."""
    assert check(ask(tls=TlsSession("TLSv1.3")), redirect=True) is None


@pytest.mark.parametrize(
    ("terms", "made_for"),
    [
        (MUTUAL, None),
        (MUTUAL, PLAIN),
        (MUTUAL, TlsTerms("other.example.com", authorities="PEM")),
        (MUTUAL, TlsTerms("api.example.com", authorities="OTHER")),
        (TlsTerms("api.example.com", "1.3"), None),
        (TlsTerms("api.example.com", "1.3"), PLAIN),
    ],
)
def test_a_strict_domain_is_reached_on_its_own_terms_only(terms: TlsTerms, made_for: TlsTerms | None) -> None:
    """Not by another name in the handshake, nor by a connection from before its terms were these."""
    status, reason = check(ask(tls=TlsSession("TLSv1.3", made_for)), terms=terms) or (0, "")
    assert status == 421
    assert reason.startswith("APIC.0201 the TLS connection was not made for the name in Host")
    assert check(ask(tls=TlsSession("TLSv1.3", terms)), terms=terms) is None


def test_client_certificates_cannot_be_shown_over_http() -> None:
    """So such a domain takes https alone, whatever its routes take."""
    for method, protocol in (("GET", "both"), ("POST", "http"), ("GET", None)):
        assert check(ask(method), terms=MUTUAL, protocol=protocol) == (400, "APIC.0607 https")
    assert check(ask(), terms=MUTUAL, redirect=True) == (301, "https://api.example.com:8443/x")


# --- in the gateway ---


@pytest.fixture
def gateway() -> Gateway:
    directory = Directory(lambda secret: secret)
    return Gateway(identities(directory), {}, GatewaySettings(), https_port=lambda: 8443)


def version(name: str, group: str | None = None, path: str = "/x", protocol: Any = "both") -> Published:
    backend = RouteBackend(mock=MockBackend(body=name))
    request = RouteRequest(path=path, protocol=protocol)
    return Published(
        route=Route(name=name, app="a", group=group, request=request, backend=backend, auth="none"), backend=backend
    )


def group(name: str, *domains: str, **more: Any) -> ApiGroup:
    return ApiGroup(name=name, app="a", domains=tuple(Domain(name=domain, **more) for domain in domains))


async def call(
    gateway: Gateway, host: str, path: str = "/x", tls: TlsSession | None = None, method: str = "GET"
) -> Any:
    response = await gateway.handle(Request(method, path, "", [("host", host)], tls=tls))
    assert dict(response.headers)["X-Request-Id"]
    return response.body if response.status == 200 else response.status


async def test_host_picks_the_group(gateway: Gateway) -> None:
    """Two groups may have the same method and path; a name that no group has reaches those without domains."""
    gateway.put_routes({}, {"g": group("g", "g.example.com", "*.g.example.com"), "h": group("h", "h.example.com")})
    gateway.put_routes({"g": [version("g", "g")], "h": [version("h", "h")], "d": [version("d")]})
    gateway.put_route("only", [version("only", path="/only")])
    for host, body in (
        ("g.example.com", b"g"),
        ("G.Example.com:8080", b"g"),
        ("a.g.example.com", b"g"),
        ("h.example.com", b"h"),
        ("a.b.g.example.com", b"d"),
        ("127.0.0.1:8080", b"d"),
    ):
        assert await call(gateway, host) == body
    assert await call(gateway, "127.0.0.1", "/only") == b"only"
    assert await call(gateway, "g.example.com", "/only") == 404


async def test_a_call_without_host_is_for_those_without_domains(gateway: Gateway) -> None:
    """HTTP/1.0 need not name one."""
    gateway.put_routes({"g": [version("g", "g")], "d": [version("d")]}, {"g": group("g", "g.example.com")})
    response = await gateway.handle(Request("GET", "/x"))
    assert response.body == b"d"


async def test_routes_follow_the_domains_of_their_group(gateway: Gateway) -> None:
    """At one moment, and with what they have counted."""
    gateway.put_routes({"g": [version("g", "g")]})
    assert await call(gateway, "127.0.0.1") == b"g"
    gateway.put_routes({}, {"g": group("g", "g.example.com")})
    assert (await call(gateway, "127.0.0.1"), await call(gateway, "g.example.com")) == (404, b"g")
    gateway.put_routes({}, {"g": group("g", "other.example.com")})
    assert (await call(gateway, "g.example.com"), await call(gateway, "other.example.com")) == (404, b"g")
    gateway.put_routes({}, {"g": None})
    assert await call(gateway, "other.example.com") == b"g"
    statistics = gateway.statistics_of("g")
    assert statistics is not None
    assert statistics.requests == 4


async def test_a_group_that_would_be_in_anothers_way_stays(gateway: Gateway) -> None:
    """All of it is done, or nothing."""
    gateway.put_routes({"g": [version("g", "g")], "d": [version("d")]}, {"g": group("g", "g.example.com")})
    with pytest.raises(RouteCollisionError) as caught:
        gateway.put_routes({}, {"g": None})
    assert {caught.value.wanted, caught.value.holder} == {"g", "d"}
    assert (await call(gateway, "127.0.0.1"), await call(gateway, "g.example.com")) == (b"d", b"g")
    gateway.put_routes({"d": [version("d", path="/other")]}, {"g": None})
    assert await call(gateway, "127.0.0.1") == b"g"


async def test_a_route_takes_what_its_protocol_says(gateway: Gateway) -> None:
    """Else 400 and what is taken; domains or not."""
    gateway.put_routes(
        {
            "s": [version("s", path="/s", protocol="https")],
            "p": [version("p", path="/p", protocol="http")],
        }
    )
    tls = TlsSession("TLSv1.3")
    assert (await call(gateway, "x", "/s", tls), await call(gateway, "x", "/p")) == (b"s", b"p")
    for path, secure, taken in (("/s", None, "https"), ("/p", tls, "http")):
        response = await gateway.handle(Request("GET", path, "", [("host", "x")], tls=secure))
        assert response.status == 400
        assert f'"APIC.0607","error_msg":"The following protocol is supported: {taken}"'.encode() in response.body


async def test_redirects_and_misdirected_calls_are_counted(gateway: Gateway) -> None:
    """They come to no route; each answer has its request id."""
    strict = group("h", "h.example.com", client_authorities="PEM")
    gateway.put_routes({}, {"g": group("g", "g.example.com", redirect=True), "h": strict})
    gateway.put_routes({"g": [version("g", "g")], "h": [version("h", "h")]})
    assert await call(gateway, "g.example.com") == 301
    assert await call(gateway, "h.example.com") == 400
    assert await call(gateway, "h.example.com", tls=TlsSession("TLSv1.3")) == 421
    assert await call(gateway, "h.example.com", "/nowhere") == 400
    assert await call(gateway, "g.example.com", "/nowhere") == 404
    statistics = gateway.statistics()
    assert (statistics.redirected, statistics.misdirected) == (1, 3)
    assert (statistics.routes["g"].requests, statistics.routes["h"].requests) == (0, 0)
