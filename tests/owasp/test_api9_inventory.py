"""OWASP API9:2023, improper inventory management."""

from __future__ import annotations

from tests.owasp.site import Site, status_of


def route(name: str, extra: str = "", body: str = "old") -> str:
    return (
        f"{{kind: route, app: shop, name: {name}, request: {{path: /{name}}}, auth: none, "
        f"backend: {{mock: {{body: {body}}}}}{extra}}}"
    )


def done(site: Site, path: str, **body: object) -> None:
    with site.daemon.control() as client:
        answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text


def test_api9_improper_inventory_management(site: Site) -> None:
    """A draft, what is published elsewhere, was taken offline, is disabled or deleted: 404, in whatever stage."""
    gone = (404, "APIC.0101")
    site.daemon.apply(route("draft", ", publish: false"))
    for stage in ("RELEASE", "dev", "draft", "release", "DEV", "none", "..", "*", ""):
        assert site.refusal("/draft", headers={"X-Stage": stage}) == gone, stage
    done(site, "routes/draft/publish", environment="dev")
    assert site.call("/draft", headers={"X-Stage": "dev"}).text == "old"
    for stage in ("RELEASE", "Dev", "dev,RELEASE"):
        assert site.refusal("/draft", headers={"X-Stage": stage}) == gone, stage
    assert site.refusal("/draft") == gone
    done(site, "routes/draft/offline", environment="dev")
    assert site.refusal("/draft", headers={"X-Stage": "dev"}) == gone
    site.daemon.apply(route("old"))
    assert site.call("/old").text == "old"
    site.daemon.apply(route("old", ", enabled: false"))
    assert site.refusal("/old") == gone
    site.daemon.apply(route("old", body="new"))
    assert site.call("/old").text == "new"
    for path in ("/v1/old", "/old/", "/OLD", "/old;v=1", "/old.json", "//old", "/./old", "/x/../old", "/%2e/old"):
        assert status_of(site.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())) in {400, 404}, path
    with site.daemon.control() as client:
        assert client.delete("/api/v1/routes/old").status_code == 204
    assert site.refusal("/old") == gone


def test_api9_documents_show_what_is_served(site: Site) -> None:
    """A group's OpenAPI document has no draft, and is not given to callers of the gateway."""
    site.daemon.apply(route("hidden", ", publish: false") + "\n---\n" + route("shown"))
    with site.daemon.control() as client:
        found = client.get("/api/v1/api_groups/shop/openapi")
    assert found.status_code == 200, found.text
    assert "/shown" in found.text
    assert "/hidden" not in found.text
    for path in ("/openapi.json", "/docs", "/swagger.json", "/api/v1/openapi.json"):
        assert site.refusal(path)[0] == 404
