"""Requests made before they are sent, so that no load spends its time on making them; a file that every load reads."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from actors.directory.signing import SigningKey
from actors.gateway_route.auth.signature import DATE_HEADER, EMPTY_PAYLOAD, sign
from actors.wire.http.messages import Request

_SEPARATOR = b"\0"

Headers = Iterable[tuple[str, str]]


def get(target: str, headers: Headers = ()) -> bytes:
    """A GET of `target`, a path with or without a query."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "127.0.0.1"), *headers))
    return f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode()


def signed(path: str, count: int, key: str, secret: str) -> list[bytes]:
    """So many GETs, each with a query of its own and a signature of its own, spread over the last half minute."""
    now = time.time()
    signing_key = SigningKey(secret.encode())
    return [_signed(path, f"number={number}", now - number % 30, key, signing_key) for number in range(count)]


def save(requests: list[bytes], path: Path) -> Path:
    """Write a file of requests without bodies."""
    path.write_bytes(_SEPARATOR.join(requests))
    return path


def load(path: Path) -> list[bytes]:
    """Read what `save` wrote."""
    return path.read_bytes().split(_SEPARATOR)


def _signed(path: str, query: str, at: float, key: str, signing_key: SigningKey) -> bytes:
    date = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = [("content-type", "application/json"), ("host", "127.0.0.1"), (DATE_HEADER, date)]
    request = Request("GET", path, query, headers)
    names = tuple(name for name, _ in headers)
    authorization = sign(request, key, signing_key, names, EMPTY_PAYLOAD)
    sent = [(name, value) for name, value in headers if name != "host"]
    return get(f"{path}?{query}", (*sent, ("Authorization", authorization)))
