"""OWASP API10:2023, unsafe consumption of APIs: whoever issues tokens may be down, slow, broken into, or lie."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.owasp.site import MANIFEST, Site

MIB = 1024**2
# So long a key source may take before it is given up.
GIVEN_UP = 5.0


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
        + body
    )


def keys(*found: object) -> bytes:
    return answer(json.dumps({"keys": found}).encode())


RSA = {"kty": "RSA", "kid": "k1", "e": "AQAB", "n": "AQAB"}
# What is answered, and what callers of the route are told then: their token cannot be checked, or fits no key.
UNAVAILABLE, UNFIT = (503, "APIC.0613"), (401, "APIC.0305")
LIES: dict[str, tuple[bytes, tuple[int, str]]] = {
    "nothing": (b"", UNAVAILABLE),
    "noise": (b"\x00\xff" * 1000, UNAVAILABLE),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", UNAVAILABLE),
    "half a body": (b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"keys"', UNAVAILABLE),
    "a page": (answer(b"<html>Log in</html>"), UNAVAILABLE),
    "an error": (answer(b"{}", "500 Internal Server Error"), UNAVAILABLE),
    "no content": (answer(b"", "204 No Content"), UNAVAILABLE),
    "a list": (answer(b"[]"), UNAVAILABLE),
    "no list of keys": (answer(b'{"keys": {}}'), UNAVAILABLE),
    "no UTF-8": (answer(b'{"keys": "\xff"}'), UNAVAILABLE),
    "deep": (answer(b"[" * 500_000), UNAVAILABLE),
    "too many keys": (keys(*[RSA] * 1000), UNAVAILABLE),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 4 * MIB, UNAVAILABLE),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", UNAVAILABLE),
    "no keys": (keys(), UNFIT),
    "keys that are none": (keys(1, None, "x", {}, {"kty": 1}, {"kty": "RSA"}, {"kty": "RSA", "n": 1, "e": []}), UNFIT),
    "a secret": (keys({"kty": "oct", "kid": "k1", "k": "c2VjcmV0", "alg": "HS256"}), UNFIT),
    "a private key": (keys(RSA | {"d": "AQAB"}), UNFIT),
    "a key for encryption": (keys(RSA | {"use": "enc"}), UNFIT),
    "a key of two bytes": (keys(RSA), UNFIT),
}


class Upstream:
    """Says to each path what is to be said there; some never come to an end."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listening.getsockname()[1]
        self._paths = list(LIES)
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30)
            path = connection.recv(65536).split(b" ")[1].decode().strip("/")
            self.asked.append(path)
            match path:
                case "endless":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    while True:
                        connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                case "drip":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    while True:
                        time.sleep(0.3)
                        connection.sendall(b" ")
                case "silent":
                    time.sleep(GIVEN_UP + 3)
                case "elsewhere":
                    connection.sendall(answer(b"", "302 Found", f"Location: http://127.0.0.2:{self.port}/stolen\r\n"))
                case number:
                    connection.sendall(LIES[self._paths[int(number)]][0])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An operator who lets one address of this machine be called."""
    folder = tmp_path_factory.mktemp("consumption")
    settings = folder / "penstock.yaml"
    settings.write_text("gateway: {outgoing_networks: [127.0.0.1/32]}\n")
    daemon = ChildDaemon(folder / "data")
    daemon.arguments = ("--config", str(settings))
    with daemon:
        one = Site(daemon)
        daemon.apply(MANIFEST)
        yield one
        assert daemon.stop() == 0


def route(name: str, port: int) -> str:
    return (
        f"{{kind: route, app: shop, name: keys-{name}, request: {{path: /keys/{name}}}, backend: {{mock: {{}}}}, "
        f'auth: {{jwt: {{jwks_url: "http://127.0.0.1:{port}/{name}", issuer: x, audience: [x]}}}}}}'
    )


def test_api10_unsafe_consumption_of_apis(site: Site, upstream: Upstream) -> None:
    """Whatever a key source answers, calls end in time with an error of ours, memory stays flat, and others are served.

    A redirect is not followed, so that it cannot lead where the source itself may not be.
    """
    expected = {str(number): told for number, (_, told) in enumerate(LIES.values())}
    expected |= dict.fromkeys(("endless", "drip", "silent", "elsewhere"), UNAVAILABLE)
    site.daemon.apply("\n---\n".join(route(name, upstream.port) for name in expected))
    bearer = {"Authorization": f"Bearer {site.token()}"}
    before = site.daemon.memory()
    began = time.monotonic()
    with ThreadPoolExecutor(len(expected)) as pool:
        calls = {name: pool.submit(site.refusal, f"/keys/{name}", headers=bearer) for name in expected}
        time.sleep(1)
        assert site.call("/open").text == "open"
        told = {name: call.result() for name, call in calls.items()}
    assert time.monotonic() - began < GIVEN_UP + 5
    assert told == expected
    assert sorted(upstream.asked) == sorted(expected)
    assert site.daemon.memory() - before < 48 * MIB
    # And once more: a source that fails is not asked for each call.
    assert site.refusal("/keys/silent", headers=bearer) == UNAVAILABLE
    assert sorted(upstream.asked) == sorted(expected)
