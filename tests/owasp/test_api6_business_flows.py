"""OWASP API6:2023, unrestricted access to sensitive business flows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.owasp.site import Site

# Each is a way to look like another caller, or like another call.
DISGUISES: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/tickets", {"X-Forwarded-For": "10.0.0.7"}),
    ("GET", "/tickets", {"X-Real-IP": "10.0.0.8"}),
    ("GET", "/tickets", {"Forwarded": "for=10.0.0.9"}),
    ("GET", "/tickets", {"True-Client-IP": "10.0.0.10", "Via": "1.1 proxy"}),
    ("GET", "/tickets", {"X-Request-Id": "another"}),
    ("GET", "/tickets?again=1", {}),
    ("GET", "/%74ickets", {}),
    ("HEAD", "/tickets", {}),
    ("POST", "/tickets", {"User-Agent": "another"}),
    ("GET", "/tickets", {"X-Stage": "RELEASE"}),
    ("GET", "/tickets", {"X-Apig-AppCode": "rival-code-1"}),
    ("GET", "/tickets", {"Host": "tickets.example.com"}),
]


def test_api6_unrestricted_access_to_sensitive_business_flows(site: Site) -> None:
    """Of 60 calls at once just the ten of the throttle pass, under whatever name they come; then none does."""

    def call(number: int) -> int:
        method, path, headers = DISGUISES[number % len(DISGUISES)]
        return site.call(path, method, headers=headers).status_code

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(call, range(60)))
    assert (answers.count(200), answers.count(429)) == (10, 50)
    late: Any = site.call("/tickets")
    assert (late.status_code, late.json()["error_code"]) == (429, "APIC.0308")
    assert int(late.headers["retry-after"]) > 3600
