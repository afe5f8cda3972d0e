"""Bulks in NDJSON."""

from __future__ import annotations

import json

import pytest

from actors.http_calls.errors import CallRefusedError
from actors.records import ID_HEADER, TAGS_HEADER, StoredRecord
from actors.topic_gateway.ndjson import SLICE_BYTES, decode, encode, is_json, slices


def lines(body: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in body.splitlines()]


def stored(value: bytes | None, offset: int = 0, key: bytes | None = None, **headers: bytes) -> StoredRecord:
    named = {"id": ID_HEADER, "tags": TAGS_HEADER}
    return StoredRecord(key, value, 5, tuple((named.get(name, name), text) for name, text in headers.items()), offset)


def test_a_bulk_is_cut_between_lines_only() -> None:
    """The slices are the body, each ends with a line, and none is much larger than it should be."""
    body = b"".join(b'{"content":"%s"}\n' % (b"x" * (n % 3000)) for n in range(3000))
    cut = list(slices(body))
    assert b"".join(body[start:end] for start, end in cut) == body
    assert all(body[end - 1 : end] == b"\n" for _, end in cut)
    assert max(end - start for start, end in cut) < SLICE_BYTES + 4000
    assert len(cut) > 3
    assert list(slices(b"")) == []
    assert list(slices(b"one line")) == [(0, 8)]


def test_each_line_is_a_record() -> None:
    """Blank lines are none, the last line need not end."""
    found = decode(b'{"content":{"a":1}}\n\n{"content":2,"key":"k","id":"i","tags":"t"}', 0)
    assert [bytes(line.content) for line in found] == [b'{"a":1}', b"2"]
    assert (found[1].key, found[1].id, found[1].tags) == ("k", "i", "t")


@pytest.mark.parametrize(
    "bad", [b'{"content":}', b"{", b'{"key":"k"}', b'{"content":1,"kye":1}', b'{"content":"\xff"}', b"1"]
)
def test_a_bad_line_is_named_by_its_number(bad: bytes) -> None:
    """Counted over the whole bulk, from 1."""
    with pytest.raises(CallRefusedError) as caught:
        decode(b'{"content":1}\n\n' + bad + b'\n{"content":1}\n', 100)
    assert caught.value.error.status == 400
    assert caught.value.detail.startswith("record 102: ")


def test_records_are_told_with_all_they_have() -> None:
    """Content as it was written, id, tags and other headers by name."""
    records = [
        stored(b'{"a": 1.10}', 7),
        stored(b"1", 8, b"k", id=b"i", tags=b"x", reason=b"why"),
        stored(b"null", 9, "\u00e4".encode()),
        stored(None, 10, b"\xff"),
        stored(b"not json", 11),
        stored(b'{\n "a":\n [1] }', 12),
        stored(b"1 2", 13),
        stored(b"", 14),
        stored(b'"\xff"', 15),
    ]
    body = encode(2, records)
    assert b'"content":{"a": 1.10}' in body
    told = lines(body)
    assert len(told) == len(records)
    assert [one["offset"] for one in told] == list(range(7, 16))
    assert all(one["partition"] == 2 and one["timestamp"] == 5 for one in told)
    assert told[1] == {
        "partition": 2,
        "offset": 8,
        "timestamp": 5,
        "key": "k",
        "id": "i",
        "tags": "x",
        "headers": {"reason": "why"},
        "content": 1,
    }
    assert (told[2]["key"], told[2]["content"]) == ("\u00e4", None)
    assert told[3]["key_base64"] == "/w=="
    assert "content" not in told[3]
    assert [one["base64"] for one in (told[4], told[6], told[7], told[8])] == ["bm90IGpzb24=", "MSAy", "", "Iv8i"]
    assert told[5]["content"] == {"a": [1]}


def test_values_are_shown_as_the_reader_may_see_them() -> None:
    """A mask is applied to each value before it is written."""
    assert lines(encode(0, [stored(b'{"pin":1}')], lambda _value: b'{"pin":"***"}'))[0]["content"] == {"pin": "***"}


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (b"{}", True),
        (b" 1 ", True),
        (b"", False),
        (b"1 2", False),
        (b'"\xff"', False),
        (b"{", False),
        (b"NaN", False),
        (b"[" * 100_000 + b"]" * 100_000, False),
    ],
)
def test_json_is_told_from_other_bytes(value: bytes, verdict: bool) -> None:  # noqa: FBT001 - a table's column
    """One text in UTF-8, and nothing beside it; what is nested too deep to be read is shown as bytes."""
    assert is_json(value) is verdict
