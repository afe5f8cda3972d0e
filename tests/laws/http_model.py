"""A second opinion on HTTP/1.1 (RFC 9112): strict, slow, and made of nothing that the server is made of."""

from __future__ import annotations

from typing import Literal, NamedTuple

End = Literal["clean", "closed", "refused", "unfinished"]

TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
VALUE = frozenset((9, *range(0x20, 0x7F), *range(0x80, 0x100)))
TARGET = frozenset(range(0x21, 0x7F)) - frozenset(b"#")
HEX = frozenset(b"0123456789abcdefABCDEF")
DIGITS = frozenset(b"0123456789")
HOST = frozenset(b"._~-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
METHODS = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"}


class Taken(NamedTuple):
    """A request, and which bytes of the stream it is."""

    method: str
    path: str
    body: bytes
    begin: int
    end: int


class Reading(NamedTuple):
    """What a stream holds. `unfinished`: the rest may yet become a request, or is wrong already."""

    requests: list[Taken]
    end: End


class WrongError(Exception):
    """Refused."""


class UnfinishedError(Exception):
    """There is more to come."""


def read_stream(stream: bytes, body_bytes: int) -> Reading:
    """All requests of a stream, up to the first that is wrong, unfinished, or closes the connection."""
    taken: list[Taken] = []
    at = 0
    while True:
        while stream[at : at + 2] == b"\r\n":
            at += 2
        if at == len(stream):
            return Reading(taken, "clean")
        try:
            request, keeps = read_request(stream, at, body_bytes)
        except WrongError:
            return Reading(taken, "refused")
        except UnfinishedError:
            return Reading(taken, "unfinished")
        taken.append(request)
        if not keeps:
            return Reading(taken, "closed")
        at = request.end


def read_request(stream: bytes, begin: int, body_bytes: int) -> tuple[Taken, bool]:
    end = stream.find(b"\r\n\r\n", begin)
    if end < 0:
        raise UnfinishedError
    first, *lines = stream[begin:end].split(b"\r\n")
    method, path, minor = read_line(first)
    fields = [read_field(line) for line in lines]
    check_host([value for name, value in fields if name == b"host"], minor)
    length = framing(fields, minor)
    if [value.lower() for name, value in fields if name == b"expect"] not in ([], [b"100-continue"]) and minor:
        raise WrongError
    at = end + 4
    if length is None:
        body, at = read_chunks(stream, at, body_bytes)
    else:
        must(length <= body_bytes)
        body, at = stream[at : at + length], at + length
        if at > len(stream):
            raise UnfinishedError
    options = {
        option.strip().lower() for name, value in fields if name == b"connection" for option in value.split(b",")
    }
    keeps = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    return Taken(method, path, body, begin, at), keeps


def must(right: object) -> None:
    if not right:
        raise WrongError


def read_line(line: bytes) -> tuple[str, str, int]:
    parts = line.split(b" ")
    must(len(parts) == 3)
    method, target, version = parts
    must(version in {b"HTTP/1.0", b"HTTP/1.1"} and method in METHODS and TARGET.issuperset(target))
    path = target.split(b"?", 1)[0]
    must(target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"))
    must(b"\\" not in path)
    return method.decode(), path.decode(), int(version[-1:])


def read_field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    must(colon and name and TOKEN.issuperset(name) and VALUE.issuperset(value))
    must(name.lower() not in {b"content_length", b"transfer_encoding"})
    return name.lower(), value.strip(b" \t")


def check_host(values: list[bytes], minor: int) -> None:
    if not values and minor == 0:
        return
    must(len(values) == 1)
    host, colon, port = values[0].rpartition(b":")
    if not colon:
        host, port = port, b""
    # No stream of the laws has an address in brackets.
    must(host and HOST.issuperset(host) and DIGITS.issuperset(port) and len(port) <= 5 and int(port or b"0") < 65536)


def framing(fields: list[tuple[bytes, bytes]], minor: int) -> int | None:
    """The length of the body; None where it is chunked."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if codings:
        must(minor == 1 and not lengths and [coding.lower() for coding in codings] == [b"chunked"])
        return None
    if not lengths:
        return 0
    must(len(lengths) == 1 and lengths[0] and DIGITS.issuperset(lengths[0]) and len(lengths[0]) <= 18)
    return int(lengths[0])


def line_at(stream: bytes, at: int) -> tuple[bytes, int]:
    end = stream.find(b"\n", at)
    if end < 0:
        raise UnfinishedError
    line = stream[at : end + 1]
    must(line.endswith(b"\r\n"))
    return line[:-2], end + 1


def read_chunks(stream: bytes, at: int, body_bytes: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, at = line_at(stream, at)
        size, semicolon, extension = line.partition(b";")
        must(size and HEX.issuperset(size) and len(size) <= 15)
        must(not semicolon or (frozenset((9, *range(0x20, 0x7F))).issuperset(extension) and len(extension) < 1024))
        length = int(size, 16)
        if length == 0:
            return body, read_trailers(stream, at)
        must(len(body) + length <= body_bytes)
        if at + length > len(stream):
            raise UnfinishedError
        body += stream[at : at + length]
        at += length
        must(b"\r\n".startswith(stream[at : at + 2]))
        if at + 2 > len(stream):
            raise UnfinishedError
        at += 2


def read_trailers(stream: bytes, at: int) -> int:
    while True:
        line, at = line_at(stream, at)
        if not line:
            return at
        name, _ = read_field(line)
        must(name not in {b"content-length", b"transfer-encoding", b"host"})
