"""The fields of a packet one after another: integers, strings, bytes, never beyond its end (MQTT 5, 1.5)."""

from __future__ import annotations

from typing import Final

from actors.wire.mqtt.reasons import Reason

CONTINUED: Final = 0x80
"""Set in every byte but the last of an integer of variable length."""


class MalformedError(ValueError):
    """The bytes are not MQTT; its text is the reason, and `code` is what MQTT 5 says of it."""

    def __init__(self, reason: str, code: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(reason)
        self.code = code


class Cursor:
    """Reads the fields of one packet's body one after another, never beyond its end.

    `packet` names the packet in reasons.
    """

    __slots__ = ("_body", "_packet", "_position")

    def __init__(self, packet: str, body: bytes) -> None:
        self._packet = packet
        self._body = body
        self._position = 0

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._position >= len(self._body)

    def integer(self, size: int, what: str) -> int:
        """An unsigned big-endian integer of `size` bytes."""
        return int.from_bytes(self._take(size, what), "big")

    def binary(self, what: str) -> bytes:
        """Bytes with their length in front."""
        return self._take(self.integer(2, what), what)

    def text(self, what: str) -> str:
        """A UTF-8 string with its length in front."""
        return utf8(self.binary(what), f"{self._packet}: {what}")

    def variable_integer(self, what: str) -> int:
        """Seven bits a byte, at most four bytes, no more of them than it takes [MQTT5-1.5.5-1]."""
        value, self._position = variable_integer(self._body, self._position, f"{self._packet}: {what}")
        return value

    def part(self, size: int, what: str) -> Cursor:
        """The next `size` bytes, to be read for themselves."""
        return Cursor(self._packet, self._take(size, what))

    def rest(self) -> bytes:
        """Everything that has not been read yet."""
        return self._take(len(self._body) - self._position, "rest")

    def finish(self) -> None:
        """Nothing may be left over."""
        left = len(self._body) - self._position
        if left:
            raise MalformedError(f"{self._packet}: {left} bytes left over at the end of the packet")

    def _take(self, size: int, what: str) -> bytes:
        end = self._position + size
        if end > len(self._body):
            raise MalformedError(f"{self._packet}: {what} ends beyond the packet")
        taken = self._body[self._position : end]
        self._position = end
        return taken


def variable_integer(data: bytes, position: int, what: str) -> tuple[int, int]:
    """The integer of variable length that begins at `position`, and where it ends (MQTT 5, 1.5.5)."""
    value = 0
    for shift in range(0, 28, 7):
        if position >= len(data):
            raise MalformedError(f"{what} ends beyond the packet")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < CONTINUED:
            if shift and not byte:
                raise MalformedError(f"{what} takes more bytes than it needs [MQTT5-1.5.5-1]")
            return value, position
    raise MalformedError(f"{what} takes more than four bytes (MQTT 5, 1.5.5)")


def utf8(data: bytes, what: str) -> str:
    """Decode a string as MQTT has them: well-formed UTF-8 without surrogates, no NUL.

    [MQTT-1.5.3-1, MQTT-1.5.3-2; MQTT5-1.5.4-1, MQTT5-1.5.4-2]. A byte order mark stays [MQTT-1.5.3-3, MQTT5-1.5.4-3].
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8 [MQTT-1.5.3-1, MQTT5-1.5.4-1]") from error
    if "\0" in text:
        raise MalformedError(f"{what} contains U+0000 [MQTT-1.5.3-2, MQTT5-1.5.4-2]")
    return text
