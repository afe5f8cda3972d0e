"""OWASP API5:2023, broken function level authorization."""

from __future__ import annotations

import socket

import pytest

from actors.wire.mqtt import encode
from tests.owasp.site import Site, basic

OUTSIDERS: list[dict[str, str]] = [
    {"X-Apig-AppCode": "shop-code-1"},
    {"Authorization": "Bearer shop-code-1"},
    {"X-HW-ID": "shop-key", "X-HW-AppKey": "shop-secret-1"},
    basic("shop-key", "shop-secret-1"),
    basic("sensor/one", "device-secret-1"),
]


@pytest.mark.parametrize("headers", OUTSIDERS)
def test_api5_broken_function_level_authorization(site: Site, headers: dict[str, str]) -> None:
    """An app's or a device's credential is known to the control API, and opens nothing there: 403, for every function.

    Who is not known at all gets 401.
    """
    for method, path in (
        ("GET", "apps"), ("GET", "apps/shop"), ("PUT", "apps/shop"), ("DELETE", "apps/shop"), ("POST", "apply"),
        ("GET", "status"), ("POST", "routes/open/offline"), ("GET", "topics/orders"), ("GET", "openapi.json"),
    ):  # fmt: skip
        assert site.control(method, path, headers=headers).status_code == 403, (method, path)
    nobody = {name: f"{value}x" for name, value in headers.items()}
    assert site.control("GET", "apps", headers=nobody).status_code == 401
    assert site.control("GET", "apps").status_code == 401


def test_api5_a_device_calls_nothing(site: Site) -> None:
    """A device that may report over MQTT is nobody at the gateway."""
    assert site.refusal("/orders/1", headers=basic("sensor/one", "device-secret-1")) == (401, "APIC.0303")
    connect = encode.connect("one", username="sensor/one", password=b"device-secret-1")
    with socket.create_connection(site.daemon.mqtt(), timeout=10) as connection:
        connection.sendall(connect)
        assert connection.recv(4) == encode.connack(0)


def test_api5_no_function_behind_another(site: Site) -> None:
    """A method that a route does not have is 405, whatever a header says; and the control API is elsewhere."""
    assert site.refusal("/open", "POST") == (405, "APIC.0201")
    assert site.refusal("/open", "DELETE", headers={"X-HTTP-Method-Override": "GET"}) == (405, "APIC.0201")
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert site.call("/open", headers={header: "DELETE"}).text == "open"
    for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path"):
        assert site.refusal("/nowhere", headers={header: "/open"}) == (404, "APIC.0101")
        assert site.call("/open", headers={header: "/people"}).text == "open"
    for path in ("/api/v1/apps", "/api/v1/status", "/metrics", "/healthz"):
        assert site.refusal(path)[0] == 404
    assert site.refusal("/api/v1/apps", headers={"Authorization": f"Bearer {note_token(site)}"})[0] == 404


def note_token(site: Site) -> str:
    assert site.daemon.note is not None
    return site.daemon.note.token
