"""The name that a TLS client asks for, read from the first message of its handshake (RFC 8446 4.1.2, RFC 6066 3).

OpenSSL reads the same bytes again and is the judge of them: here nothing is decided but whose certificate it shows.
"""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 32 * 1024
"""More than a client has reason to say before it is answered."""

_HANDSHAKE: Final = 22
_RECORD_HEAD: Final = 5
# It is read again with each piece that comes: who cuts it finer than this goes without a name.
_MOST_RECORDS: Final = 64
_CLIENT_HELLO: Final = 1
_MESSAGE_HEAD: Final = 4
_VERSION_AND_RANDOM: Final = 2 + 32
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0


class NotTlsError(ValueError):
    """What came is not the beginning of a TLS handshake."""


def server_name(data: bytes) -> str | None:
    """The server name in a ClientHello; empty where there is none, None while the message is not all there.

    Raises:
        NotTlsError: this is no TLS, or too much of it.
    """
    if data and data[0] != _HANDSHAKE:
        raise NotTlsError("the client does not speak TLS")
    message = _message(data)
    if message is None:
        if len(data) >= MAX_BYTES:
            raise NotTlsError(f"the first message of the handshake is longer than {MAX_BYTES} bytes")
        return None
    try:
        return _name_in(_extensions(message))
    except (IndexError, UnicodeDecodeError):
        # Malformed: OpenSSL says so, in the protocol's own words.
        return ""


def _message(data: bytes) -> bytes | None:
    """The first handshake message, which may lie in several records, or None while it is not complete."""
    message = b""
    at = 0
    for _ in range(_MOST_RECORDS):
        if len(data) < at + _RECORD_HEAD:
            return None
        end = at + _RECORD_HEAD + _number(data, at + 3, 2)
        if data[at] != _HANDSHAKE or end == at + _RECORD_HEAD:
            return b""
        message += data[at + _RECORD_HEAD : end]
        if len(message) >= _MESSAGE_HEAD:
            length = _MESSAGE_HEAD + _number(message, 1, 3)
            if message[0] != _CLIENT_HELLO:
                return b""
            if len(message) >= length:
                return message[_MESSAGE_HEAD:length]
        at = end
    return b""


def _extensions(message: bytes) -> bytes:
    at = _VERSION_AND_RANDOM
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        at += size + _number(message, at, size)
    return message[at + 2 : at + 2 + _number(message, at, 2)] if at < len(message) else b""


def _name_in(extensions: bytes) -> str:
    at = 0
    while at < len(extensions):
        length = _number(extensions, at + 2, 2)
        if _number(extensions, at, 2) == _SERVER_NAME:
            # A list, of which only host names were ever defined, at most one of them.
            start = at + 4
            if extensions[start + 2] != _HOST_NAME:
                return ""
            name = extensions[start + 5 : start + 5 + _number(extensions, start + 3, 2)]
            return name.decode("ascii").lower()
        at += 4 + length
    return ""


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + size], "big")
