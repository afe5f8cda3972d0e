"""The strict checks of a request's head: what httptools lets pass and no two servers understand alike.

Whatever two parsers may read differently is refused (RFC 9112 11.2): a request that this server understands and
another one behind or before it understands otherwise is how requests are smuggled.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from actors.wire.http.errors import (
    BAD_REQUEST,
    EXPECTATION_FAILED,
    METHOD_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    URI_TOO_LONG,
    RequestRefusedError,
)
from actors.wire.http.messages import CHUNKED, Head

# TRACE shows whoever asks what proxies on the way add to a request, and CONNECT is for these (RFC 9110 9.3.6, 9.3.8).
REFUSED_METHODS = frozenset({"TRACE", "CONNECT"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})

# RFC 9112 3: one space between the parts, origin form or `*`, visible ASCII without a fragment.
_REQUEST_LINE = re.compile(rb"([A-Z-]+) ((?:/|\*(?= ))[!\"$-~]*) HTTP/1\.([01])")
# RFC 9112 3.2.3: the authority form, which only CONNECT has.
_CONNECT = re.compile(rb"CONNECT [!-~]+ HTTP/1\.[01]")
# RFC 9110 7.2: uri-host [ ":" port ]; of the marks that a name may have besides (RFC 3986 3.2.2), no host has one.
_PORT = r"(?::(?:[0-5]?[0-9]{0,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9._~-]+)" + _PORT)
_LENGTH = re.compile(r"[0-9]{1,18}")
# Servers that hand headers on as variables (RFC 3875 4.1.18) take these for what they look like.
_LOOKALIKES = frozenset({"content_length", "transfer_encoding"})
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"}) | _LOOKALIKES


class RequestLine(NamedTuple):
    """The first line of a request, checked."""

    method: str
    path: str
    query: str
    http_1_0: bool


def check_request_line(line: bytes, uri_bytes: int) -> RequestLine:
    """Read a request line strictly.

    Raises:
        RequestRefusedError: 400, 405, 414 or 501.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        if _CONNECT.fullmatch(line) is not None:
            raise RequestRefusedError(METHOD_NOT_ALLOWED, "the method CONNECT is not served: this is no proxy")
        raise RequestRefusedError(BAD_REQUEST, _explain(line))
    method, target, minor = match.groups()
    if len(target) > uri_bytes:
        raise RequestRefusedError(URI_TOO_LONG, f"the request URI is longer than {uri_bytes} bytes")
    name = method.decode("ascii")
    if name in REFUSED_METHODS:
        raise RequestRefusedError(METHOD_NOT_ALLOWED, f"the method {name} is not served")
    if name not in METHODS:
        raise RequestRefusedError(NOT_IMPLEMENTED, f"the method {name} is not implemented here")
    path, _, query = target.decode("ascii").partition("?")
    if "\\" in path:
        raise RequestRefusedError(BAD_REQUEST, "a backslash has no place in a path (RFC 3986 3.3)")
    if path == "*" and name != "OPTIONS":
        raise RequestRefusedError(BAD_REQUEST, "only OPTIONS may ask for * (RFC 9112 3.2.4)")
    return RequestLine(name, path, query, minor == b"0")


def check_head(line: RequestLine, headers: list[tuple[str, str]]) -> Head:
    """Find out how long the body is and what becomes of the connection.

    Raises:
        RequestRefusedError: 400 or 417.
    """
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _FRAMING:
            found.setdefault(name, []).append(value)
    http_1_0 = line.http_1_0
    _check_host(found.pop("host", ()), http_1_0=http_1_0)
    length, keep_alive, expects = 0, not http_1_0, False
    if found:
        if not _LOOKALIKES.isdisjoint(found):
            reason = "Content-Length and Transfer-Encoding are written with a hyphen, not with an underscore"
            raise RequestRefusedError(BAD_REQUEST, reason)
        if "content-length" in found or "transfer-encoding" in found:
            length = _body_length(found, http_1_0=http_1_0)
        if "connection" in found:
            keep_alive = _keeps_alive(found["connection"], http_1_0=http_1_0)
        expects = "expect" in found and _expects_continue(found["expect"], http_1_0=http_1_0)
    return Head(line.method, line.path, line.query, headers, length, keep_alive, line.http_1_0, expects and length != 0)


def _explain(line: bytes) -> str:
    parts = line.split(b" ")
    if len(parts) != 3:  # noqa: PLR2004 - method, target and version
        return "the request line must be a method, a path and a version, with one space between them (RFC 9112 3)"
    _, target, version = parts
    if version not in {b"HTTP/1.0", b"HTTP/1.1"}:
        return "the version must be HTTP/1.1 or HTTP/1.0 (RFC 9112 2.3)"
    if not target.startswith(b"/"):
        return "the request target must be a path that begins with / (RFC 9112 3.2.1)"
    return "the method or the request target has characters that may not be there (RFC 9112 3.2)"


def _check_host(values: list[str] | tuple[()], *, http_1_0: bool) -> None:
    if len(values) != 1:
        if http_1_0 and not values:
            return
        raise RequestRefusedError(BAD_REQUEST, "a request must have exactly one Host header (RFC 9112 3.2)")
    match = _HOST.fullmatch(values[0])
    if match is None or (match[1] is not None and not _is_ipv6(match[1])):
        raise RequestRefusedError(
            BAD_REQUEST, "the Host header must be a host and, where needed, a port (RFC 9110 7.2)"
        )


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _body_length(found: dict[str, list[str]], *, http_1_0: bool) -> int:
    """RFC 9112 6.3, without its leniencies."""
    codings = found.get("transfer-encoding")
    lengths = found.get("content-length")
    if codings is None:
        if lengths is None or len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
            raise RequestRefusedError(BAD_REQUEST, "Content-Length must be one decimal number (RFC 9110 8.6)")
        return int(lengths[0])
    if lengths is not None:
        reason = "Content-Length and Transfer-Encoding must not come together (RFC 9112 6.2)"
        raise RequestRefusedError(BAD_REQUEST, reason)
    if http_1_0:
        raise RequestRefusedError(BAD_REQUEST, "HTTP/1.0 knows no Transfer-Encoding (RFC 9112 6.1)")
    if len(codings) != 1 or codings[0].lower() != "chunked":
        raise RequestRefusedError(BAD_REQUEST, "the only Transfer-Encoding taken is chunked (RFC 9112 6.1)")
    return CHUNKED


def _keeps_alive(values: list[str], *, http_1_0: bool) -> bool:
    """RFC 9112 9.3."""
    options = {option.strip().lower() for value in values for option in value.split(",")}
    return "close" not in options and (not http_1_0 or "keep-alive" in options)


def _expects_continue(values: list[str], *, http_1_0: bool) -> bool:
    """RFC 9110 10.1.1: an HTTP/1.0 client's expectation is ignored."""
    if http_1_0:
        return False
    if len(values) != 1 or values[0].lower() != "100-continue":
        raise RequestRefusedError(EXPECTATION_FAILED, "the only expectation met is 100-continue (RFC 9110 10.1.1)")
    return True
