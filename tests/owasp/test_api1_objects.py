"""OWASP API1:2023, broken object level authorization."""

from __future__ import annotations

from tests.owasp.site import Site, basic

KEYS: list[dict[str, str]] = [
    {"X-Apig-AppCode": "rival-code-1"},
    {"X-HW-ID": "rival-key", "X-HW-AppKey": "rival-secret-1"},
    basic("rival-key", "rival-secret-1"),
]


def test_api1_broken_object_level_authorization(site: Site) -> None:
    """Another app's key opens no route of this app, however it is shown, until it is granted, and only what is."""
    for headers in KEYS:
        assert site.refusal("/orders/1", headers=headers) == (403, "APIC.0304"), headers
    assert site.signed("GET", "/orders/1", key="rival-key", secret="rival-secret-1") == (403, "APIC.0304")
    site.daemon.apply("{kind: grant, name: g, app: shop, to: rival, routes: [orders]}")
    try:
        assert site.call("/orders/1", headers=KEYS[0]).text == "an order"
        assert site.signed("GET", "/signed/1", key="rival-key", secret="rival-secret-1") == (403, "APIC.0304")
    finally:
        with site.daemon.control() as client:
            assert client.delete("/api/v1/grants/g").status_code == 204
    assert site.refusal("/orders/1", headers=KEYS[0]) == (403, "APIC.0304")


def test_api1_another_apps_topic(site: Site) -> None:
    """Nor does it open a topic of this app, for reading or for writing."""
    with site.daemon.topics(headers=KEYS[0]) as client:
        for method, path in (("GET", "/v1/topic/orders/group/g/messages"), ("POST", "/v1/topic/orders/messages")):
            answer = client.request(method, path, json={"messages": [{"content": ""}]} if method == "POST" else None)
            assert answer.status_code == 403, (method, answer.text)
