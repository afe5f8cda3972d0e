"""OWASP API4:2023, unrestricted resource consumption."""

from __future__ import annotations

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.fakes.plain_http import NO_TLS
from tests.owasp.site import Site, status_of

GIB = 1024**3
MIB = 1024**2
# A body of 12 MiB takes a few times that while it is read, and what is freed is not given back at once.
FLAT = 48 * MIB
HEAD = b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def test_api4_a_chunked_body_of_1_gib(site: Site) -> None:
    """Refused with 413 once it is more than a body may be, and not held in memory, however often it is sent."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    before = site.daemon.memory()
    for _ in range(3):
        answer = site.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *([chunk] * (GIB // 65536)))
        assert status_of(answer) == 413
    assert site.daemon.memory() - before < FLAT


def test_api4_a_body_of_1_gib_that_is_announced(site: Site) -> None:
    """Refused on its head alone, as is a chunk of that size."""
    assert status_of(site.raw(HEAD + b"Content-Length: %d\r\n\r\n" % GIB)) == 413
    assert status_of(site.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % GIB)) == 413


def test_api4_many_bodies_at_once(site: Site) -> None:
    """Bodies that come slowly, from many, are bounded together: others are served meanwhile."""
    before = site.daemon.memory()
    host, _, port = site.gateway.rpartition(":")
    with ExitStack() as stack:
        for _ in range(100):
            one = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            one.sendall(HEAD + b"Content-Length: 4000000\r\n\r\n" + b"x" * 100_000)
        assert site.call("/open").text == "open"
        assert site.daemon.memory() - before < FLAT


def test_api4_10000_headers(site: Site) -> None:
    """494, whatever they are: many, long, or one without end."""
    before = site.daemon.memory()
    head = b"GET /open HTTP/1.1\r\nHost: a\r\n"
    for lines in (
        b"".join(b"X-%d: 1\r\n" % number for number in range(10_000)),
        b"X:\r\n" * 10_000,
        b"X: " + b"a" * 10 * MIB,
        (b"X: " + b"a" * 8000 + b"\r\n") * 1000,
    ):
        for _ in range(5):
            assert status_of(site.raw(head + lines + b"\r\n")) == 494
    assert status_of(site.raw(b"GET /" + b"a" * 10 * MIB)) == 414
    assert site.daemon.memory() - before < FLAT


def test_api4_a_gzip_bomb(site: Site) -> None:
    """Routes take no compressed bodies (415); producers' bulks, which may be compressed, are bounded decompressed."""
    bomb = gzip.compress(bytes(200 * MIB), 9)
    nested = gzip.compress(bomb, 9)
    before = site.daemon.memory()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for body in (bomb, nested):
        assert site.refusal("/events", "POST", content=body, headers=headers) == (415, "APIC.0201")
        assert site.refusal("/account", "POST", content=body, headers=headers) == (415, "APIC.0201")
    with site.daemon.topics(headers={"X-Apig-AppCode": "shop-code-1"}) as client:
        answer = client.post("/v1/topic/orders/messages", content=bomb, headers=headers)
        assert answer.status_code == 413, answer.text
    assert site.daemon.memory() - before < FLAT + 32 * MIB


BOMBS = {
    "deep": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 200_000,
    "many fields": json.dumps({f"f{number}": 1 for number in range(100_000)}).encode(),
    "long number": b'{"name": "a", "amount": ' + b"9" * 1_000_000 + b"}",
    "small exponent": b'{"name": "a", "amount": 1e' + b"9" * 1000 + b"}",
    "long string": json.dumps({"name": "a" * 5_000_000}).encode(),
    "form": b"&".join(b"f%d=1" % number for number in range(100_000)),
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_api4_bodies_that_are_much_to_read(site: Site, body: bytes) -> None:
    """400, within a second, and nobody else waits for it."""
    kind = "application/x-www-form-urlencoded" if body[:1] == b"f" else "application/json"
    began = time.monotonic()
    assert site.refusal("/account", "POST", content=body, headers={"Content-Type": kind}) == (400, "APIC.0201")
    assert time.monotonic() - began < 3


def test_api4_a_quota_under_50_parallel_calls(site: Site) -> None:
    """Of 50 calls at once exactly those pass that the quota has, with whichever credential of the app's they come."""
    codes = ["metered-code-1", "metered-code-2"]

    def call(number: int) -> tuple[int, str]:
        answer = httpx.get(
            f"http://{site.gateway}/metered", headers={"X-Apig-AppCode": codes[number % 2]}, timeout=30, verify=NO_TLS
        )
        return answer.status_code, answer.text if answer.status_code == 200 else answer.json()["error_code"]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(50)))
    assert answers.count((200, "counted")) == 20
    assert answers.count((405, "APIC.0501")) == 30


def test_api4_connections_that_never_ask(site: Site) -> None:
    """Hundreds that send a request bit by bit, or nothing, keep nobody out."""
    host, _, port = site.gateway.rpartition(":")
    with ExitStack() as stack:
        for number in range(500):
            one = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            one.sendall(b"GET /open HTTP/1.1\r\nHost: a\r\n"[: number % 30])
        began = time.monotonic()
        assert all(site.call("/open").text == "open" for _ in range(5))
        assert time.monotonic() - began < 3
