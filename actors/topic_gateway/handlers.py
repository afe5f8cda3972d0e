"""Handlers: what a consumer shows to confirm a message, and cannot make up.

Format: base64url without padding of a payload and the first 16 bytes of its HMAC-SHA-256 (RFC 2104, truncated as its
section 5 allows). The payload, big-endian: partition uint16, offset int64, delivery number uint32, expiry int64 in
milliseconds since the epoch. Topic and group are under the MAC but not in the payload: the call names them.
"""

from __future__ import annotations

import binascii
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from actors.errors import PenstockError

_PAYLOAD = struct.Struct(">HqIq")
_MAC_BYTES = 16
_LENGTH = (_PAYLOAD.size + _MAC_BYTES) * 4 // 3 + 1


class BadHandlerError(PenstockError):
    """What was shown is no handler of this group, or was altered."""


class Handler(NamedTuple):
    """One delivery of one message: `number` counts deliveries from 1, `expires` is in milliseconds since the epoch."""

    partition: int
    offset: int
    number: int
    expires: int


class Handlers:
    """Makes and checks the handlers of one group; the same `key` gives the same handlers over restarts."""

    __slots__ = ("_mac",)

    def __init__(self, key: bytes, topic: str, group: str) -> None:
        # Neither has a NUL, so no two pairs read alike. The state after the common part is kept, and copied for each.
        self._mac = hmac.new(key, f"{topic}\0{group}\0".encode(), "sha256")

    def issue(self, handler: Handler) -> str:
        """The handler as text, of characters that need no escaping in JSON or URLs."""
        payload = _PAYLOAD.pack(*handler)
        return urlsafe_b64encode(payload + self._sign(payload)).rstrip(b"=").decode("ascii")

    def read(self, text: str) -> Handler:
        """What a handler says.

        Raises:
            BadHandlerError: it was not issued for this group.
        """
        try:
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) == _LENGTH else b""
        except (binascii.Error, ValueError):
            data = b""
        payload, mac = data[: _PAYLOAD.size], data[_PAYLOAD.size :]
        # The last character has bits to spare: only the one way in which a handler is written is taken.
        if not hmac.compare_digest(self._sign(payload), mac) or urlsafe_b64encode(data).rstrip(b"=") != text.encode():
            raise BadHandlerError("it is no handler of this group")
        return Handler(*_PAYLOAD.unpack(payload))

    def _sign(self, payload: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(payload)
        return mac.digest()[:_MAC_BYTES]
