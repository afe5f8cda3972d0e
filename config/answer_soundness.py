"""Whether what a route adds to its answers makes sense by itself: response headers, and what pages of others may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from config.flaws import Flaw
from config.resources import Cors, Route

# RFC 9110 5.5: visible characters with blanks between them; what is beyond ASCII cannot be sent the same everywhere.
_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
# RFC 9110 7.6.1 and 6.6.1, and what says where an answer ends: the server's own, of each connection.
_OF_THE_SERVER = frozenset({
    "connection", "content-length", "date", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_OF_THE_GATEWAY = "x-request-id"
_OF_CORS = "access-control-"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_EVERY = "*"


def answer_flaws(route: Route) -> Iterator[Flaw]:
    """What is wrong with what a route adds to its answers."""
    seen: set[str] = set()
    for name, value in route.response_headers.items():
        path = f"$.response_headers.{name}"
        if name.lower() in seen:
            yield Flaw(path, "stands there twice: names of headers have no case")
        seen.add(name.lower())
        yield from _name(name, path)
        for text in (value,) if isinstance(value, str) else value or ():
            if _VALUE.fullmatch(text) is None:
                yield Flaw(path, "a value is printable ASCII without line breaks, with no blank at its ends")
    for before, after in route.response.headers.items():
        yield from _name(after, f"$.response.headers.{before}")
    if route.cors is not None:
        yield from _cors(route.cors, route.request.method)


def _name(name: str, path: str) -> Iterator[Flaw]:
    lower = name.lower()
    if lower in _OF_THE_SERVER:
        yield Flaw(path, f"the header {name} belongs to the connection, and is set by the server itself")
    elif lower == _OF_THE_GATEWAY:
        yield Flaw(path, f"the header {name} is set by the gateway itself")
    elif lower.startswith(_OF_CORS):
        yield Flaw(path, f"the header {name} is what `cors` says")


def _cors(cors: Cors, own: str) -> Iterator[Flaw]:
    yield from _origins(cors.origins)
    for i, method in enumerate(cors.methods):
        if method not in _METHODS:
            yield Flaw(f"$.cors.methods[{i}]", f"{method} is none of {', '.join(_METHODS)}")
    if cors.methods and own not in {"ANY", *cors.methods}:
        yield Flaw("$.cors.methods", f"{own}, the route's own method, is not among them, so no page could call it")
    if cors.credentials:
        for field in ("origins", "headers", "expose"):
            if _EVERY in getattr(cors, field):
                reason = "`*` does not go with `credentials: true` (Fetch 3.2.5); write down which"
                yield Flaw(f"$.cors.{field}", reason)


def _origins(origins: tuple[str, ...]) -> Iterator[Flaw]:
    for i, origin in enumerate(origins):
        if origin in origins[:i]:
            yield Flaw(f"$.cors.origins[{i}]", f"{origin} stands there twice")
        elif origin != _EVERY and (reason := _no_origin(origin)):
            yield Flaw(f"$.cors.origins[{i}]", reason)
    if _EVERY in origins and len(origins) > 1:
        yield Flaw("$.cors.origins", "`*` is every origin; leave out the others, or `*`")


def _no_origin(text: str) -> str:
    """Why a text is no origin as browsers write them (RFC 6454 6.2); nothing where it is one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return f"'{text}' is no origin such as https://example.com"
    if parts.scheme not in {"http", "https"} or not parts.hostname or "*" in text or "@" in text:
        return f"'{text}' is no origin such as https://example.com"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    said = f"{parts.scheme}://{host}" + ("" if port in (None, usual) else f":{port}")
    if said != text or not text.isascii():
        return f"'{text}' is not how browsers write an origin: {said}"
    return ""
