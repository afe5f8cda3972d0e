"""Answers of one HTTP/1.1 connection, cut out of its bytes. Pure, and quick: clients must cost less than servers."""

from __future__ import annotations

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_STATUS = slice(len("HTTP/1.1 "), len("HTTP/1.1 200"))


class Answers:
    """Takes bytes as they come, and gives the status of each answer that is complete; every answer has its length."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def receive(self, data: bytes) -> list[int]:
        """The statuses of the answers that end in these bytes.

        Raises:
            ValueError: an answer does not tell its length.
        """
        buffer = self._buffer + data if self._buffer else data
        statuses = []
        start = 0
        while (end := buffer.find(_END, start)) >= 0:
            head = buffer[start:end]
            stop = end + len(_END) + _length(head)
            if stop > len(buffer):
                break
            statuses.append(int(head[_STATUS]))
            start = stop
        self._buffer = buffer[start:]
        return statuses


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(_LENGTH)
    if at < 0:
        raise ValueError(f"an answer does not tell its length: {head!r}")
    at += len(_LENGTH)
    end = lower.find(b"\r\n", at)
    return int(lower[at:] if end < 0 else lower[at:end])
