"""OWASP API7:2023, server side request forgery."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.owasp.site import Site

# Whatever is written after `https://` and before the port; all of them are this machine, its link, or a cloud's own.
PLACES = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "127.1",
    "127.000.000.001",
    "0x7f000001",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[ff02::1]",
    "169.254.169.254",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "100.100.100.200",
]


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A server of this machine that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        yield listening


def test_api7_server_side_request_forgery(site: Site, trap: socket.socket) -> None:
    """However loopback, link-local and metadata addresses are written: the call ends with 503, and nobody was called.

    Names of public services that lead there are seen once they are resolved; that law has tests of its own.
    """
    port = trap.getsockname()[1]
    manifest = "---".join(
        f"""
kind: route
app: shop
name: forged-{number}
request: {{path: /forged/{number}}}
auth: {{jwt: {{jwks_url: "https://{place}:{port}/keys", issuer: x, audience: [x]}}}}
backend: {{mock: {{body: forged}}}}
"""
        for number, place in enumerate(PLACES)
    )
    site.daemon.apply(manifest)
    bearer = {"Authorization": f"Bearer {site.token()}"}
    for number, place in enumerate(PLACES):
        answer = site.call(f"/forged/{number}", headers=bearer)
        assert answer.status_code == 503, place
        assert answer.json() == {
            "error_code": "APIC.0613",
            "error_msg": "The IAM service is currently unavailable.",
            "request_id": answer.headers["x-request-id"],
        }
    with pytest.raises(TimeoutError):
        trap.accept()
    assert site.daemon.log.read_text().count("is not to be called from here") >= len(PLACES) - 3


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://127.0.0.1/", "http://id.example.com/", "https://u:p@id.example.com/", "//x", "x"],
)
def test_api7_other_schemes(site: Site, url: str) -> None:
    """What is no https URL is refused where it is written."""
    manifest = (
        "{kind: route, app: shop, name: forged, request: {path: /f}, "
        f'auth: {{jwt: {{jwks_url: "{url}", issuer: x, audience: [x]}}}}, backend: {{mock: {{}}}}}}'
    )
    assert site.apply_refused(manifest)


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/random"])
def test_api7_files_that_are_no_keys(site: Site, path: str) -> None:
    """A key file that is none opens nothing and tells nothing of itself."""
    site.daemon.apply(
        "{kind: route, app: shop, name: forged-file, request: {path: /forged-file}, "
        f'auth: {{jwt: {{jwks_file: "{path}", issuer: x, audience: [x]}}}}, backend: {{mock: {{}}}}}}'
    )
    answer = site.call("/forged-file", headers={"Authorization": f"Bearer {site.token()}"})
    assert (answer.status_code, answer.json()["error_code"]) == (503, "APIC.0613")
    assert path not in answer.text
    assert "root:" not in site.daemon.log.read_text()
