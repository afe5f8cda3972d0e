"""How a backend sees that a call comes through this gateway: signed, or with HTTP Basic, by the route's key. Pure."""

from __future__ import annotations

import base64
from hashlib import sha256
from time import gmtime, strftime
from typing import Literal

from actors.directory.signing import SigningKey
from actors.gateway_route.auth.signature import DATE_HEADER, sign
from actors.wire.http.messages import HeaderFields, Request

_SIGNED = ("content-type", "host")


class BackendSigner:
    """Adds to requests what a signature key says; the key's secret is in plain text here, and shown by nothing."""

    __slots__ = ("_basic", "_key", "_signing_key")

    def __init__(self, kind: Literal["hmac", "basic"], key: str, secret: bytes) -> None:
        self._key = key
        self._signing_key = SigningKey(secret)
        shown = base64.b64encode(key.encode() + b":" + secret).decode()
        self._basic: HeaderFields | None = (("authorization", f"Basic {shown}"),) if kind == "basic" else None

    def headers(self, request: Request, body: bytes, now: float) -> HeaderFields:
        """What is added to a request with this body; `now` is the wall clock in seconds.

        `hmac` is SDK-HMAC-SHA256 over host, content type, date and all that the algorithm covers (see `signature`); the
        request must not have `X-Sdk-Date` or `Authorization` of its own.
        """
        if self._basic is not None:
            return self._basic
        date = (DATE_HEADER, strftime("%Y%m%dT%H%M%SZ", gmtime(now)))
        dated = Request(request.method, request.path, request.query, [*request.headers, date], body)
        present = {name for name, _ in request.headers}
        names = (*(name for name in _SIGNED if name in present), DATE_HEADER)
        authorization = sign(dated, self._key, self._signing_key, names, sha256(body).hexdigest())
        return (date, ("authorization", authorization))
