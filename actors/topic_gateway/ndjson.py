"""Bulks: newline-delimited JSON, a record a line, both ways. Pure, and made for many small records."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from actors.records import ID_HEADER, TAGS_HEADER, StoredRecord
from actors.topic_gateway.errors import bad
from actors.topic_gateway.requests import BAD_JSON, Line, explain

# So much is decoded before others get a turn: about a millisecond's worth.
SLICE_BYTES = 256 * 1024

Replace = Callable[[bytes], bytes]
"""A record's value as its reader may see it."""


class RecordLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One record as it is read: `content` where its value is JSON, else `base64`; `timestamp` in milliseconds."""

    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    key_base64: str | None = None
    id: str | None = None
    tags: str | None = None
    headers: dict[str, str] = {}
    content: msgspec.Raw | None = None
    base64: str | None = None


_LINES = msgspec.json.Decoder(Line)
_ANY = msgspec.json.Decoder(msgspec.Raw)
_ENCODER = msgspec.json.Encoder()


def slices(body: bytes) -> Iterator[tuple[int, int]]:
    """Cut a bulk between lines, into parts of about SLICE_BYTES: where each begins and ends."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + SLICE_BYTES) + 1 if len(body) - start > SLICE_BYTES else len(body)
        end = end or len(body)
        yield start, end
        start = end


def decode(part: bytes, first: int) -> list[Line]:
    """The records of whole lines; `first` is how many came before, for the words of an error.

    Raises:
        CallRefusedError: 400, names the line.
    """
    try:
        if not part.isascii():
            part.decode("utf-8")  # the decoder leaves strings that are kept as they are unread
        return _LINES.decode_lines(part)
    except BAD_JSON as error:
        raise bad(_explain(part, first, explain(error))) from error


def encode(partition: int, records: list[StoredRecord], shown: Replace | None = None) -> bytes:
    """Records as lines; `shown` replaces values, where not everything may be seen."""
    return _ENCODER.encode_lines([_line(partition, record, shown) for record in records])


def is_json(value: bytes) -> bool:
    """Whether a value is one JSON text in UTF-8 (RFC 8259 8.1), of a depth that can be read."""
    try:
        _ANY.decode(value)
        return value.isascii() or bool(value.decode("utf-8"))
    except BAD_JSON:
        return False


def _line(partition: int, record: StoredRecord, shown: Replace | None) -> RecordLine:
    key, value, timestamp, headers, offset = record
    if value is not None and shown is not None:
        value = shown(value)
    content = encoded = None
    if value is None:
        pass
    elif is_json(value):
        content = msgspec.Raw(value if b"\n" not in value else msgspec.json.format(value, indent=-1))
    else:
        encoded = base64.b64encode(value).decode("ascii")
    if not headers and (key is None or key.isascii()):
        text = None if key is None else key.decode("ascii")
        return RecordLine(partition, offset, timestamp, text, content=content, base64=encoded)
    return RecordLine(partition, offset, timestamp, content=content, base64=encoded, **_named(key, headers))


def _named(key: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> dict[str, Any]:
    """Key and headers, for the records that have more to them than an ASCII key."""
    fields: dict[str, Any] = {}
    if key is not None:
        try:
            fields["key"] = key.decode("utf-8")
        except UnicodeDecodeError:
            fields["key_base64"] = base64.b64encode(key).decode("ascii")
    others = {}
    for name, value in headers:
        text = (value or b"").decode("utf-8", "replace")
        if name == ID_HEADER:
            fields["id"] = text
        elif name == TAGS_HEADER:
            fields["tags"] = text
        else:
            others[name] = text
    if others:
        fields["headers"] = others
    return fields


def _explain(part: bytes, first: int, reason: str) -> str:
    """Find the line that is wrong: only now is it worth to look at each."""
    number = first
    for line in part.split(b"\n"):
        if line.strip():
            number += 1
            try:
                line.decode("utf-8")
                _LINES.decode(line)
            except BAD_JSON as error:
                return f"record {number}: {explain(error)}"
    return reason
