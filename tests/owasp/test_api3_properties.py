"""OWASP API3:2023, broken object property level authorization."""

from __future__ import annotations

import pytest

from tests.owasp.site import Site

PRIVILEGED: list[tuple[str, dict[str, str]]] = [
    ('{"name": "eve", "role": "admin"}', {}),
    ('{"name": "eve", "caller": "10.0.0.1"}', {}),
    ('{"name": "eve", "is_admin": true}', {}),
    ('{"name": "eve", "__proto__": {"role": "admin"}}', {}),
    ('{"name": "eve", "Name": "root"}', {}),
    ('{"name": "eve", "name": "root"}', {}),
    ('{"amount": 1000, "name": "eve", "amount": 1}', {}),
    ('{"name": "eve", "\\u006eame": "root"}', {}),
    ('{"name": "eve", "amount": 11}', {}),
    ('{"name": "eve", "amount": "1; DROP TABLE x"}', {}),
    ('{"name": ["eve"]}', {}),
    ('{"name": {"$ne": null}}', {}),
    ('[{"name": "eve"}]', {}),
    ('{"name": "eve"} {"name": "root"}', {}),
    ("name=eve&role=admin", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("name=eve&name=root", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("<name>eve</name>", {"Content-Type": "application/xml"}),
    ('{"name": "eve"}', {"Content-Type": ""}),
]


@pytest.mark.parametrize(("body", "headers"), PRIVILEGED)
def test_api3_broken_object_property_level_authorization(site: Site, body: str, headers: dict[str, str]) -> None:
    """Fields that are unknown, privileged, told twice or of another kind: 400, and the backend sees none of it."""
    headers = {"Content-Type": "application/json"} | headers
    assert site.refusal("/account", "POST", content=body, headers=headers) == (400, "APIC.0201")


def test_api3_what_the_route_sets_callers_cannot(site: Site) -> None:
    """Constants and system values are the route's, wherever a caller writes their names."""
    answer = site.call("/account", "POST", json={"name": "eve"})
    assert answer.json() == {"default": [{"name": "eve", "amount": 1, "role": "guest", "caller": "127.0.0.1"}]}
    for query in ("role=admin", "caller=10.0.0.1", "name=root"):
        assert site.refusal(f"/account?{query}", "POST", json={"name": "eve"}) == (400, "APIC.0201")
