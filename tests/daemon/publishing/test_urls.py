"""Where routes are called: scheme, domain and port."""

from __future__ import annotations

from typing import Any

import pytest

from actors.gateway_route.published import Published
from config.resources import ApiGroup, Domain, MockBackend, Route, RouteBackend, RouteRequest
from config.settings import GatewayHttpsListen, GatewayListen, GatewaySettings
from daemon.publishing.urls import PublicAddresses, calls, port_of, servers

BOUND = {"gateway": "0.0.0.0:8080", "gateway_https": "127.0.0.1:8443", "control": "127.0.0.1:8090"}
GROUP = ApiGroup(
    name="g",
    app="a",
    domains=(
        Domain(name="api.example.com", certificate="c"),
        Domain(name="*.example.com"),
        Domain(name="strict.example.com", certificate="c", client_authorities="PEM"),
    ),
)


def published(environment: str = "RELEASE", **request: Any) -> Published:
    made = RouteRequest(**{"path": "/lots/{lot}", **request})
    backend = RouteBackend(mock=MockBackend())
    return Published(
        route=Route(name="r", app="a", request=made, backend=backend), backend=backend, environment=environment
    )


def test_every_domain_and_protocol_has_its_url() -> None:
    """A domain that asks for client certificates is called over https alone."""
    assert list(servers(GROUP, BOUND)) == [
        "http://api.example.com:8080",
        "http://*.example.com:8080",
        "https://api.example.com:8443",
        "https://*.example.com:8443",
        "https://strict.example.com:8443",
    ]


def test_a_group_without_domains_is_called_by_address() -> None:
    """One that stands for every address is shown as one that can be called; a listener that is off has no URL."""
    assert list(servers(None, BOUND)) == ["http://127.0.0.1:8080", "https://127.0.0.1:8443"]
    assert list(servers(None, {"gateway_https": "[::]:8443"})) == ["https://[::1]:8443"]
    assert list(servers(None, {"gateway": ""})) == []


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (published(), ["GET http://127.0.0.1:8080/lots/{lot}", "GET https://127.0.0.1:8443/lots/{lot}"]),
        (published(protocol="https"), ["GET https://127.0.0.1:8443/lots/{lot}"]),
        (published(protocol="http", method="ANY"), ["ANY http://127.0.0.1:8080/lots/{lot}"]),
        (published("dev", protocol="http"), ["GET http://127.0.0.1:8080/lots/{lot} (X-Stage: dev)"]),
        (published(protocol="http", match="prefix", path="/a"), ["GET http://127.0.0.1:8080/a/*"]),
    ],
)
def test_a_route_tells_how_it_is_called(one: Published, expected: list[str]) -> None:
    """Method, URL, and the stage where it is not RELEASE; nothing that the route does not take."""
    assert list(calls(one, None, BOUND)) == expected


def test_public_ports_stand_in_urls() -> None:
    """Behind a port forward callers use others than those that are bound; those that are usual are left out."""
    settings = GatewaySettings(listen=GatewayListen(public_port=80), https=GatewayHttpsListen(public_port=443))
    public = PublicAddresses(BOUND, settings)
    assert dict(public) == BOUND | {"gateway": "0.0.0.0:80", "gateway_https": "127.0.0.1:443"}
    assert list(servers(None, public)) == ["http://127.0.0.1", "https://127.0.0.1"]
    assert port_of("gateway_https", public) == 443
    assert port_of("gateway_https", PublicAddresses({"gateway": "127.0.0.1:1"}, settings)) is None
