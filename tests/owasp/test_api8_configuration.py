"""OWASP API8:2023, security misconfiguration."""

from __future__ import annotations

import httpx
import pytest

from tests.owasp.site import Site, status_of

TELLING = (
    "Traceback",
    'File "',
    ".py",
    "sqlite",
    "no_such_table",
    "no such table",
    "/data",
    "penstock/",
    "trio",
    "httptools",
)


def attacks() -> list[tuple[str, str, dict[str, str], bytes]]:
    return [
        ("GET", "/broken", {}, b""),
        ("GET", "/nowhere", {}, b""),
        ("GET", "/orders/%00", {}, b""),
        ("GET", "/orders/%ff", {}, b""),
        ("GET", "/orders/../x", {}, b""),
        ("GET", "/orders/%zz", {}, b""),
        ("GET", "/orders/1", {"Authorization": "Basic \xff"}, b""),
        ("GET", "/orders/1", {"Authorization": "SDK-HMAC-SHA256 x"}, b""),
        ("GET", "/tokens", {"Authorization": "Bearer \xff.\xff.\xff"}, b""),
        ("POST", "/account", {"Content-Type": "application/json"}, b"\xff\xfe"),
        ("POST", "/account", {"Content-Type": "application/json; charset=utf-7"}, b"+AHs-"),
        ("POST", "/events", {}, b""),
        ("PUT", "/open", {}, b""),
    ]


def test_api8_no_stack_trace_in_any_answer(site: Site) -> None:
    """Answers to what fails say what is wrong with the call, and nothing of how the gateway or a backend is made."""
    for method, path, headers, body in attacks():
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, f"Content-Length: {len(body)}"])
        answer = site.raw((head + "\r\nConnection: close\r\n\r\n").encode("latin-1"), body).decode("latin-1")
        assert answer.startswith(("HTTP/1.1 4", "HTTP/1.1 5")), (path, answer)
        assert '"error_code":"APIC.' in answer, (path, answer)
        assert not any(word in answer.lower().replace("/orders/", "") for word in map(str.lower, TELLING)), answer
        assert "\r\nserver:" not in answer.lower()


def test_api8_the_control_api_tells_nothing_either(site: Site) -> None:
    """Nor who serves it."""
    assert site.daemon.note is not None
    with site.daemon.control() as client:
        answers = [client.get("/api/v1/routes/none"), client.post("/api/v1/apply", content=b"\xff"), client.get("/")]
    answers.append(httpx.get(f"http://{site.daemon.note.control}/api/v1/apps"))
    for answer in answers:
        assert answer.status_code in {400, 401, 404}
        assert "Traceback" not in answer.text
        assert "server" not in answer.headers
    answer = httpx.request("TRACE", f"http://{site.daemon.note.control}/api/v1/apps", headers={"X-Told": "secret-told"})
    assert answer.status_code >= 400
    assert "secret-told" not in answer.text


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG", "CONNECT"])
def test_api8_no_trace(site: Site, method: str) -> None:
    """A method that says back what it was sent is not served, on a route that takes any method either."""
    for path in ("/open", "/signed/1", "/"):
        answer = site.raw(f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Told: secret-told\r\n\r\n".encode())
        assert 400 <= status_of(answer) < 600
        assert b"secret-told" not in answer


CORS = (
    "{kind: route, app: shop, name: pages, request: {path: /pages}, auth: none, cors: %s, "
    "backend: {mock: {body: pages}}}"
)


def test_api8_no_wildcard_cors_with_credentials(site: Site) -> None:
    """Refused where it is written; with credentials, only origins that are named may read, and never `null`."""
    assert "credentials" in site.apply_refused(CORS % '{origins: ["*"], credentials: true}')
    assert "access-control-allow-origin" not in site.call("/open", headers={"Origin": "https://evil.example"}).headers
    site.daemon.apply(CORS % "{origins: [https://shop.example], credentials: true}")
    asked = {"Access-Control-Request-Method": "GET"}
    for origin in ("https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example", "*"):
        for method, more in (("GET", {}), ("OPTIONS", asked)):
            headers = site.call("/pages", method, headers={"Origin": origin} | more).headers
            assert "access-control-allow-origin" not in headers, origin
    answer = site.call("/pages", headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "origin" in answer.headers["vary"].lower()
