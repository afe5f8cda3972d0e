"""What a mask hides, what it leaves alone, and where it is applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.records import Record
from actors.topic_partition.mask import mask_records, mask_value
from actors.topic_partition.messages import Append, Configure
from actors.topic_partition.topic import TopicReference
from config.resources import Mask, Topic
from tests.actors.log.parts import log_file
from tests.actors.topic_partition.parts import running

MASK = Mask(fields=("phone", "data.name", "list.0", "items.secret"))


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (b'{"phone": "12", "x": 1.10}', b'{"phone":"***","x":1.10}'),
        (b'{"data": {"name": {"x": 1}, "n": 1.23456789012345678}}', b'{"data":{"name":"***","n":1.23456789012345678}}'),
        (b'{"list": [1, 2]}', b'{"list":["***",2]}'),
        (b'{"items": [{"secret": 1}, {"secret": null}]}', b'{"items":[{"secret":"***"},{"secret":"***"}]}'),
        (b'[{"phone": 1}, {"x":2}]', b'[{"phone":"***"},{"x":2}]'),
        (b'{"phone": 1, "phone": 2}', b'{"phone":"***"}'),
        (b'{"pho\\u006ee": 1}', b'{"phone":"***"}'),
        (b" " * 100 + b'{"phone": 1}', b'{"phone":"***"}'),
        (b'\xef\xbb\xbf{"phone": 1}', b'{"phone": "***"}'),
        ('{"phone": 1}'.encode("utf-16"), b'{"phone": "***"}'),
        (b'{"phone": 1, "x": "\\ud800", "y": NaN}', b'{"phone": "***", "x": "\\ud800", "y": NaN}'),
        (b'{"phone": ' + b"[" * 100_000, b'"***"'),
    ],
)  # fmt: skip
def test_what_is_hidden(value: bytes, masked: bytes) -> None:
    """The values of the named fields are replaced however they are written; all else stays as it was."""
    assert mask_value(MASK, value) == masked


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"phone",
        b'"phone"',
        b'{"x": "phone"}',
        b'{"data": "name"}',
        b'{"phone": 1',
        b'{"data": {"x": 1}}',
        b"\xff\x00",
    ],
)
def test_what_is_left_alone(value: bytes) -> None:
    """What has none of the fields, or is not JSON, is the very same as before."""
    assert mask_value(MASK, value) is value


def test_a_field_within_a_masked_field() -> None:
    """A field that is masked as a whole hides what is inside, in whichever order the two are named."""
    for fields in (("a", "a.b"), ("a.b", "a")):
        assert mask_value(Mask(fields=fields), b'{"a": {"b": 1, "c": 2}}') == b'{"a":"***"}'


def test_only_records_with_masked_fields_are_made_anew() -> None:
    """Where nothing is masked nothing is copied; keys, times and headers stay."""
    plain = [Record(b"k", b'{"x": 1}', 5), Record(b"k", None, 6)]
    assert mask_records(MASK, plain) is plain
    secret = Record(b"phone", b'{"phone": 1}', 7, (("phone", b"1"),))
    assert mask_records(MASK, [*plain, secret]) == [*plain, secret._replace(value=b'{"phone":"***"}')]


async def test_a_mask_at_the_store_is_applied_before_anything_is_written(tmp_path: Path) -> None:
    """What is masked never reaches the disk, as long as the topic says so; what does not fit fails alone."""
    async with running(tmp_path / "t-0", mask=Mask(fields=("phone",), at="store")) as t:
        await t.append([Record(None, b'{"phone": "12345"}', 1)])
        with pytest.raises(Exception, match="cannot be written"):
            await t.ask(Append([(None, "text", 1, ())], 4))
        await t.ask(Configure(Topic(name="t", app="a")))
        await t.append([Record(None, b'{"phone": "6789"}', 1)])
        found = (await t.partition.fetch(0, 1 << 20)).records()
        assert [json.loads(record.value) for record in found] == [{"phone": "***"}, {"phone": "6789"}]
    assert b"12345" not in log_file(tmp_path / "t-0").read_bytes()


async def test_a_mask_at_reading_leaves_the_store_alone(tmp_path: Path) -> None:
    """The owner's own consumers need what a mask hides from others."""
    async with running(tmp_path / "t-0", mask=Mask(fields=("phone",))) as t:
        await t.append([Record(None, b'{"phone": "12345"}', 1)])
        assert (await t.partition.fetch(0, 1 << 20)).records()[0].value == b'{"phone": "12345"}'


def test_who_sees_through_a_mask() -> None:
    """What is masked at reading its owner sees, and nobody else; what is masked at the store nobody sees."""
    topic = TopicReference("t", 1, 1000)
    topic.app, topic.mask = "a", MASK
    assert [topic.mask_for(app) for app in ("a", "b", None)] == [None, MASK, MASK]
    topic.mask = Mask(fields=("phone",), at="store")
    assert [topic.mask_for(app) for app in ("a", "b", None)] == [topic.mask] * 3
    topic.mask = None
    assert [topic.mask_for(app) for app in ("a", "b", None)] == [None] * 3
