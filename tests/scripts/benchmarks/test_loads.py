"""Requests that are made before they are sent, and what wrk says of them."""

import time
from pathlib import Path

import pytest

from actors.directory.signing import SigningKey
from actors.gateway_route.auth import signature
from actors.gateway_route.auth.signature import EMPTY_PAYLOAD
from actors.wire.http.messages import Request
from scripts.benchmarks import gateway_manifests
from scripts.benchmarks.raw_requests import get, load, save, signed
from scripts.benchmarks.wrk import read_output

REPORT = """Running 1s test @ http://127.0.0.1:40941
  1 threads and 32 connections
  15875 requests in 1.06s, 2.44MB read
{problems}Requests/sec:   {rate}
Transfer/sec:      1.18MB
"""


def parsed(raw: bytes) -> Request:
    first, *lines = raw.decode().removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    headers = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]
    return Request(method, path, query, headers)


def test_every_signature_is_right_and_its_own() -> None:
    """Each verifies with the secret, none with another one, and no two are the same."""
    requests = [parsed(raw) for raw in signed("/signed", 40, "key", "secret")]
    found = [signature.read(request, time.time()) for request in requests]
    assert all(one.matches(SigningKey(b"secret"), EMPTY_PAYLOAD) for one in found)
    assert not any(one.matches(SigningKey(b"other"), EMPTY_PAYLOAD) for one in found)
    assert len({one.signature for one in found}) == len(requests)


def test_a_file_gives_back_its_requests(tmp_path: Path) -> None:
    """In order, byte by byte."""
    requests = [get("/a"), get("/b?c=d", (("X-E", "f"),))]
    assert load(save(requests, tmp_path / "requests")) == requests
    assert requests[1] == b"GET /b?c=d HTTP/1.1\r\nHost: 127.0.0.1\r\nX-E: f\r\n\r\n"


def test_the_report_of_wrk() -> None:
    """A rate and no problems."""
    driven = read_output(REPORT.format(problems="", rate="7694.99"))
    assert (driven.rate, driven.failed) == (7694.99, 0)


def test_all_problems_count() -> None:
    """Answers of another status, and requests without an answer."""
    problems = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 50\n"
    assert read_output(REPORT.format(problems=problems, rate="10.0")).failed == 60


def test_a_report_without_a_rate_ends_the_benchmark() -> None:
    """What wrk could not do is no rate of 0."""
    with pytest.raises(SystemExit, match="unable to connect"):
        read_output("unable to connect to 127.0.0.1:1 Connection refused")


def test_every_route_has_its_path() -> None:
    """As many paths as routes, none of them with a parameter left in it."""
    assert gateway_manifests.many(10).count("kind: route") == 10
    paths = gateway_manifests.paths_of(10)
    assert len(set(paths)) == 10
    assert not any("{" in path for path in paths)
