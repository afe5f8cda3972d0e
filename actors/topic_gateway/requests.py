"""What a call asks for: path, query, headers and JSON bodies, checked. Pure.

POST /v1/topic/{topic}/messages                   at most 10 messages, answered one by one
GET  /v1/topic/{topic}/group/{group}/messages     messages for a consumer
POST /v1/topic/{topic}/group/{group}/messages     what became of them
POST /v1/topic/{topic}/records                    NDJSON, as many as fit into a body
GET  /v1/topic/{topic}/records                    NDJSON, by partition and offset
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from actors.http_calls.errors import CallRefusedError
from actors.topic_gateway.errors import TOO_LARGE, bad, unknown
from actors.wire.http.messages import Request

MESSAGES_BYTES = 2 * 1024 * 1024
MAX_MESSAGES = 10
MAX_VERDICTS = 1000
MAX_FETCH_BYTES = 16 * 1024 * 1024

# As names of topics and groups are written in manifests (config.resources.base).
_TOPIC = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PRODUCER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_DIGITS = re.compile(r"[0-9]{1,19}")
_LARGEST = 2**63 - 1

T = TypeVar("T")


class ToTopic(NamedTuple):
    """`/v1/topic/{topic}/messages`."""

    topic: str


class ToGroup(NamedTuple):
    """`/v1/topic/{topic}/group/{group}/messages`."""

    topic: str
    group: str


class ToRecords(NamedTuple):
    """`/v1/topic/{topic}/records`."""

    topic: str


Target = ToTopic | ToGroup | ToRecords
"""What a path names."""


class Consume(NamedTuple):
    """Bounds of one answer to a consumer; times in seconds."""

    ack_wait: int
    time_wait: int
    max_messages: int
    max_bytes: int


class Read(NamedTuple):
    """Where to read from: an offset, or one of the ends; `time_wait` in seconds."""

    partition: int
    offset: int | Literal["earliest", "latest"]
    max_bytes: int
    time_wait: int


class Sequence(NamedTuple):
    """What makes a producer's records known again: the first one's number; the others count on from there."""

    producer: str
    first: int


Text = Annotated[str, msgspec.Meta(max_length=1024)]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One record of a bulk: `content` is any JSON, kept as it was written."""

    content: msgspec.Raw
    key: Text | None = None
    id: Text | None = None
    tags: Text | None = None


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One of at most ten messages."""

    content: msgspec.Raw
    id: Text
    key: Text | None = None
    tags: Text | None = None


class Produce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST .../messages`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]


class ToldVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one message."""

    handler: Text
    status: Literal["success", "fail"]


class Confirm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST .../group/{group}/messages`."""

    messages: Annotated[list[ToldVerdict], msgspec.Meta(min_length=1, max_length=MAX_VERDICTS)]


def target(path: str) -> Target:
    """What a path names, percent-encoded as it came.

    Raises:
        CallRefusedError: 404, nothing; 400, a name that cannot be.
    """
    match path.split("/"):
        case ["", "v1", "topic", topic, "messages"]:
            return ToTopic(_named("topic", topic, _TOPIC))
        case ["", "v1", "topic", topic, "records"]:
            return ToRecords(_named("topic", topic, _TOPIC))
        case ["", "v1", "topic", topic, "group", group, "messages"]:
            return ToGroup(_named("topic", topic, _TOPIC), _named("group", group, _GROUP))
        case _:
            raise unknown("paths here are /v1/topic/TOPIC/messages, .../records and .../group/GROUP/messages")


def consume(query: str) -> Consume:
    """The bounds of `GET .../group/{group}/messages`.

    Raises:
        CallRefusedError: 400.
    """
    given = _query(query, {"ack_wait", "time_wait", "max_msgs", "max_bytes"})
    return Consume(
        ack_wait=_number(given, "ack_wait", 1, 300, 15),
        time_wait=_number(given, "time_wait", 1, 30, 3),
        max_messages=_number(given, "max_msgs", 1, MAX_MESSAGES, MAX_MESSAGES),
        max_bytes=_number(given, "max_bytes", 1, MESSAGES_BYTES, 512 * 1024),
    )


def read(query: str) -> Read:
    """What `GET .../records` asks for.

    Raises:
        CallRefusedError: 400.
    """
    given = _query(query, {"partition", "offset", "max_bytes", "time_wait"})
    offset: int | Literal["earliest", "latest"]
    match given.get("offset", "earliest"):
        case "earliest" | "latest" as end:
            offset = end
        case text if not _DIGITS.fullmatch(text) or int(text) > _LARGEST:
            raise bad(f"offset is earliest, latest or a number from 0 to {_LARGEST}")
        case text:
            offset = int(text)
    return Read(
        partition=_number(given, "partition", 0, 49, 0),
        offset=offset,
        max_bytes=_number(given, "max_bytes", 1, MAX_FETCH_BYTES, 1024 * 1024),
        time_wait=_number(given, "time_wait", 0, 30, 0),
    )


def random_suffix(query: str) -> bool:
    """Whether a producer wants its keys spread over the partitions, which gives up their order.

    Raises:
        CallRefusedError: 400.
    """
    given = _query(query, {"key_suffix"}).get("key_suffix")
    if given not in (None, "none", "random"):
        raise bad("key_suffix must be random or none")
    return given == "random"


def sequence(request: Request) -> Sequence | None:
    """`X-Producer-Id` and `X-Producer-Sequence`, where a producer numbers its records.

    Raises:
        CallRefusedError: 400, one is missing or malformed.
    """
    producer, first = request.header("x-producer-id"), request.header("x-producer-sequence")
    if producer is None and first is None:
        return None
    if producer is None or first is None:
        raise bad("X-Producer-Id and X-Producer-Sequence belong together")
    if not _PRODUCER.fullmatch(producer):
        raise bad("X-Producer-Id takes 1 to 128 letters, digits, `.`, `_`, `:` and `-`, a letter or digit first")
    if not _DIGITS.fullmatch(first) or int(first) > _LARGEST - 2**31:
        raise bad("X-Producer-Sequence is the number of the first record of the request: 0, 1, 2, ...")
    return Sequence(producer, int(first))


def produce(body: bytes) -> list[Message]:
    """The messages of `POST .../messages`.

    Raises:
        CallRefusedError: 400 or 413.
    """
    return _decoded(body, _PRODUCE).messages


def confirm(body: bytes) -> list[ToldVerdict]:
    """The verdicts of `POST .../group/{group}/messages`.

    Raises:
        CallRefusedError: 400 or 413.
    """
    return _decoded(body, _CONFIRM).messages


BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises over JSON that is none, is not what it should be, or is nested deeper than can be read."""

_PRODUCE = msgspec.json.Decoder(Produce)
_CONFIRM = msgspec.json.Decoder(Confirm)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    if len(body) > MESSAGES_BYTES:
        raise CallRefusedError(TOO_LARGE, f"the body is more than {MESSAGES_BYTES} bytes")
    try:
        body.decode("utf-8")  # the decoder leaves strings that are kept as they are unread
        return decoder.decode(body)
    except BAD_JSON as error:
        raise bad(explain(error)) from error


def explain(error: BaseException) -> str:
    """What to tell the sender of JSON that cannot be read: `error` is one of BAD_JSON."""
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)


def _named(what: str, encoded: str, pattern: re.Pattern[str]) -> str:
    name = unquote_to_bytes(encoded).decode("utf-8", "replace")
    if not pattern.fullmatch(name):
        raise bad(f"{name!r} is no name of a {what}")
    return name


def _query(query: str, known: set[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=16)
    except ValueError as error:
        raise bad(f"the query cannot be read: {error}") from error
    given = dict(pairs)
    if len(given) < len(pairs):
        raise bad("a parameter is given twice")
    for name in given:
        if name not in known:
            raise bad(f"there is no parameter {name!r} here; known: {', '.join(sorted(known))}")
    return given


def _number(given: dict[str, str], name: str, least: int, most: int, default: int) -> int:
    text: Any = given.get(name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise bad(f"{name} is a number from {least} to {most}")
    return int(text)
