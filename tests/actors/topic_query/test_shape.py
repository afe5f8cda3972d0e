"""Messages are shown as what they are."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.records import ID_HEADER, StoredRecord
from actors.topic_query.shape import message
from config.resources import Mask


def shown(value: bytes | None, key: bytes | None = None, mask: Mask | None = None) -> dict[str, object]:
    record = StoredRecord(key, value, 1007, ((ID_HEADER, b"m"), ("raw", b"\xff")), 5)
    decoded: dict[str, object] = json.loads(msgspec.json.encode(message(2, record, mask)))
    return decoded


def test_place_time_and_headers() -> None:
    """Partition, offset, time and headers in their order; what is no text is base64."""
    found = shown(b"1", b"lot-1")
    assert (found["partition"], found["offset"], found["timestamp"]) == (2, 5, "1970-01-01T00:00:01.007Z")
    assert (found["key"], found["key_format"]) == ("lot-1", "text")
    assert found["headers"] == [
        {"name": ID_HEADER, "value": "m", "format": "text"},
        {"name": "raw", "value": "/w==", "format": "base64"},
    ]
    assert (shown(b"1", b"\xff")["key"], shown(b"1")["key_format"]) == ("/w==", "none")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"a": [1, null]}', ({"a": [1, None]}, "json")),
        (b'"text"', ("text", "json")),
        (b"text", ("text", "text")),
        (b"", ("", "text")),
        (b"\xff", ("/w==", "base64")),
        (None, (None, "none")),
        (b"[" * 100_000, ("[" * 100_000, "text")),
    ],
)
def test_values(value: bytes | None, expected: tuple[object, str]) -> None:
    """JSON where it is JSON, else text where it is UTF-8, else base64."""
    found = shown(value)
    assert (found["value"], found["value_format"]) == expected


def test_json_is_shown_as_it_was_written() -> None:
    """Numbers keep their digits."""
    record = StoredRecord(None, b'{"price": 1.10, "id": 123456789012345678901234567890}', 0, (), 0)
    assert b'{"price": 1.10, "id": 123456789012345678901234567890}' in msgspec.json.encode(message(0, record))


def test_masked_fields_show_stars() -> None:
    """A query never shows what a mask hides."""
    assert shown(b'{"phone": "12", "n": 1}', mask=Mask(fields=("phone",)))["value"] == {"phone": "***", "n": 1}
