"""The frames between the daemon and a process that runs scripts: what they mean, and how they are written. Sans I/O.

A frame is five bytes, the length of its body (uint32, little endian) and its kind, and the body. Both sides hold a
frame to `MAX_FRAME` bytes. The child answers one Call with one Results; between the two it may send Log and Ask, and
each Ask is answered by one Answer unless the call has ended before; where lines were too many, it says once how many
were left out. A Call may be sent while another one runs; until
the Results of that one, a Recall takes it back, which the child says by a Recalled. This is all that both sides share.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

MAX_FRAME = 64 * 1024 * 1024 + 1024 * 1024
"""Bytes of a frame's body: one item, or one answer, of 64 MiB, and what is around it."""

MAX_NUMBER = 2**32 - 1
"""The largest number of a frame that is a number."""

_HEADER = Struct("<IB")
_KEY = Struct("<I")
_CALL = Struct("<IIdQQI")
_ANSWER = Struct("<IIB")
_RESULT = Struct("<BI")

HEADER_BYTES = _HEADER.size

SIZE_DIGITS = 20
"""How long the size of a result that is too large may be, as it is written."""


class FrameError(ValueError):
    """The other side does not keep to the format."""


class Kind(IntEnum):
    """What a frame is."""

    LOAD = 1
    FORGET = 2
    CALL = 3
    CANCEL = 4
    ANSWER = 5
    RECALL = 6
    READY = 16
    ASK = 17
    LOG = 18
    RESULTS = 19
    RECALLED = 20
    LEFT_OUT = 21


class Status(IntEnum):
    """What became of an item."""

    DONE = 0
    FAILED = 1
    TOO_LARGE = 2
    TIMED_OUT = 3
    OUT_OF_MEMORY = 4


class Load(NamedTuple):
    """Keep a script under this key."""

    key: int
    source: str


class Call(NamedTuple):
    """Run the script under this key on each of the items (JSON), each in a scope of its own.

    `seconds` of CPU time are given to it, `memory` bytes more than there are now, and `result` bytes to each result.
    """

    number: int
    key: int
    seconds: float
    memory: int
    result: int
    items: Sequence[bytes]


class Answer(NamedTuple):
    """What the host says to an Ask of a call: JSON, or the text of an error."""

    call: int
    number: int
    ok: bool
    body: bytes


class Ask(NamedTuple):
    """The script wants something of its host: `operation` and a JSON object, with a space between."""

    number: int
    body: bytes


class Result(NamedTuple):
    """The result of an item as JSON, or why there is none."""

    status: Status
    body: bytes


def frame(kind: Kind, body: bytes = b"") -> bytes:
    """A whole frame.

    Raises:
        FrameError: the body is too large.
    """
    if len(body) > MAX_FRAME:
        raise FrameError(f"{len(body)} bytes are more than the {MAX_FRAME} of a frame")
    return _HEADER.pack(len(body), kind) + body


def header(data: bytes | bytearray, start: int = 0, most: int = MAX_FRAME) -> tuple[Kind, int]:
    """Kind and length of the body, of the `HEADER_BYTES` bytes at the start of a frame.

    Raises:
        FrameError: it is no header, or the body has more than `most` bytes.
    """
    length, kind = _HEADER.unpack_from(data, start)
    if length > most:
        raise FrameError(f"a frame of {length} bytes, and at most {most} are taken")
    try:
        return Kind(kind), length
    except ValueError:
        raise FrameError(f"a frame of kind {kind}, which there is not") from None


class FrameReader:
    """Cuts frames out of what comes in; no body may have more than `most` bytes, which may be changed at any time."""

    def __init__(self, most: int = MAX_FRAME) -> None:
        self.most = most
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """Take bytes; the frames that are whole now.

        Raises:
            FrameError: these are no frames.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            kind, length = header(buffer, start, self.most)
            end = start + HEADER_BYTES + length
            if len(buffer) < end:
                break
            with memoryview(buffer) as whole:  # a slice of the buffer itself would be one copy more
                frames.append((kind, bytes(whole[start + HEADER_BYTES : end])))
            start = end
        if start:
            del buffer[:start]
        return frames


def write_load(load: Load) -> bytes:
    """A frame for a Load."""
    return frame(Kind.LOAD, _KEY.pack(load.key) + load.source.encode("utf-8", "replace"))


def read_load(body: bytes) -> Load:
    """The body of a Load."""
    return Load(_KEY.unpack_from(body)[0], body[_KEY.size :].decode())


def write_number(kind: Kind, number: int) -> bytes:
    """A frame that is only a number: FORGET with a key that is not used again, the others with that of a call."""
    return frame(kind, _KEY.pack(number))


def read_number(body: bytes) -> int:
    """The number.

    Raises:
        FrameError: there is none.
    """
    if len(body) != _KEY.size:
        raise FrameError("a frame that is not the number that it should be")
    return int(_KEY.unpack_from(body)[0])


def write_call(call: Call) -> bytes:
    """A frame for a Call."""
    parts = [_CALL.pack(call.number, call.key, call.seconds, call.memory, call.result, len(call.items))]
    for item in call.items:
        parts += (_KEY.pack(len(item)), item)
    return frame(Kind.CALL, b"".join(parts))


def read_call(body: bytes) -> Call:
    """The body of a Call."""
    number, key, seconds, memory, result, count = _CALL.unpack_from(body)
    items = []
    start = _CALL.size
    for _ in range(count):
        (length,) = _KEY.unpack_from(body, start)
        start += _KEY.size
        items.append(body[start : start + length])
        start += length
    return Call(number, key, seconds, memory, result, items)


def write_answer(answer: Answer) -> bytes:
    """A frame for an Answer."""
    return frame(Kind.ANSWER, _ANSWER.pack(answer.call, answer.number, answer.ok) + answer.body)


def read_answer(body: bytes) -> Answer:
    """The body of an Answer."""
    call, number, ok = _ANSWER.unpack_from(body)
    return Answer(call, number, bool(ok), body[_ANSWER.size :])


def write_ask(ask: Ask) -> bytes:
    """A frame for an Ask."""
    return frame(Kind.ASK, _KEY.pack(ask.number) + ask.body)


def read_ask(body: bytes) -> Ask:
    """The body of an Ask.

    Raises:
        FrameError: it is too short.
    """
    if len(body) < _KEY.size:
        raise FrameError("an Ask without its number")
    return Ask(_KEY.unpack_from(body)[0], body[_KEY.size :])


def most_of_results(items: int, result: int) -> int:
    """How many bytes the body with the results of so many items may have, each of at most `result` bytes."""
    return min(MAX_FRAME, _KEY.size + items * (_RESULT.size + max(result, SIZE_DIGITS)))


def write_results(call: int, results: Sequence[Result]) -> bytes:
    """A frame for the results of a call, in the order of its items."""
    parts = [_KEY.pack(call)]
    for status, body in results:
        parts += (_RESULT.pack(status, len(body)), body)
    return frame(Kind.RESULTS, b"".join(parts))


def read_results(body: bytes, most: int) -> tuple[int, list[Result]]:
    """The number of a call, and its results.

    Raises:
        FrameError: these are none, or more than `most`.
    """
    if len(body) < _KEY.size:
        raise FrameError("results without the number of their call")
    results: list[Result] = []
    start = _KEY.size
    while start < len(body):
        if start + _RESULT.size > len(body):
            raise FrameError("results that end in the middle")
        status, length = _RESULT.unpack_from(body, start)
        start += _RESULT.size
        if start + length > len(body) or status > max(Status):
            raise FrameError("results that are none")
        if len(results) == most:
            raise FrameError(f"more than {most} results")
        told = body[start : start + length]
        if status == Status.TOO_LARGE and not (told.isdigit() and length <= SIZE_DIGITS):
            raise FrameError("a size that is no number")
        results.append(Result(Status(status), told))
        start += length
    return _KEY.unpack_from(body)[0], results
