import struct

import pytest

from actors.log.batch import (
    HEADER_BYTES,
    BadBatchError,
    CutOffError,
    build_batches,
    check_body,
    read_header,
    read_records,
)
from actors.records import Record, StoredRecord
from tests.actors.log.parts import plain, records


def test_what_is_built_reads_back() -> None:
    """Keys, values, timestamps, headers and absences come back as they went in, with offsets counted from the base."""
    these = [
        Record(b"k", b"v", 5),
        Record(None, b"v", 4, (("reason", b"because"), ("source", b"t/0/1"))),
        Record(b"k", None, 9),
        Record(b"", b"", 0),
    ]
    [batch] = build_batches(these, 42)
    stored = read_records(bytes(batch.data))
    assert plain(stored) == these
    assert [record.offset for record in stored] == [42, 43, 44, 45]
    assert type(stored[0]) is StoredRecord
    assert (batch.header.base_offset, batch.header.next_offset, batch.header.size) == (42, 46, len(batch.data))
    assert (batch.header.base_timestamp, batch.header.max_timestamp) == (5, 9)


def test_large_commits_become_several_batches() -> None:
    """No batch is larger than its limit, unless one record alone is; offsets go on from batch to batch."""
    these = [*records(50), Record(b"large", bytes(5000), 1), *records(50, 51)]
    batches = build_batches(these, 7, limit=500)
    assert [batch.header.size for batch in batches if batch.header.size > 500] == [
        size for size in [batch.header.size for batch in batches] if size > 5000
    ]
    assert sum(batch.header.size > 500 for batch in batches) == 1
    offset = 7
    for batch in batches:
        assert batch.header.base_offset == offset
        offset = batch.header.next_offset
    assert [record for batch in batches for record in plain(read_records(bytes(batch.data)))] == these


def test_nothing_makes_no_batch() -> None:
    """A commit without records writes nothing."""
    assert build_batches([], 3) == []


def test_records_before_the_asked_offset_are_skipped() -> None:
    """A batch is read from the asked offset on."""
    [batch] = build_batches(records(10), 100)
    assert [record.offset for record in read_records(bytes(batch.data), 107)] == [107, 108, 109]


@pytest.mark.parametrize("value", [1.5, "text", object()])
def test_what_is_not_a_record_is_refused(value: object) -> None:
    """A field of a wrong type is an error of whoever hands it in, not of the disk."""
    with pytest.raises((TypeError, ValueError)):
        build_batches([Record(b"k", value, 1)], 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 60])
def test_short_input_is_cut_off(size: int) -> None:
    """Fewer bytes than a header has never reach the compiled reader."""
    [batch] = build_batches(records(1), 0)
    with pytest.raises(CutOffError):
        read_header(bytes(batch.data[:size]))


def test_a_cut_body_is_cut_off() -> None:
    """A batch that lacks its end says how much it takes."""
    [batch] = build_batches(records(3), 0)
    with pytest.raises(CutOffError) as error:
        check_body(memoryview(batch.data)[:-1], batch.header)
    assert error.value.size == batch.header.size


@pytest.mark.parametrize(
    ("position", "field"),
    [
        (8, struct.pack(">i", 10)),
        (8, struct.pack(">i", -1)),
        (8, struct.pack(">i", 2**31 - 1)),
        (12, struct.pack(">i", 0)),
        (16, b"\x01"),
        (0, struct.pack(">q", -1)),
        (57, struct.pack(">i", 9)),
    ],
)
def test_each_field_of_a_header_is_checked(position: int, field: bytes) -> None:
    """Length, leader epoch, magic, base offset and count that cannot be are found without the CRC."""
    [batch] = build_batches(records(3), 0)
    batch.data[position : position + len(field)] = field
    with pytest.raises(BadBatchError):
        read_header(batch.data)


def test_the_crc_covers_the_rest() -> None:
    """A changed byte behind the CRC is found by it."""
    [batch] = build_batches(records(3), 0)
    batch.data[HEADER_BYTES + 5] ^= 1
    with pytest.raises(BadBatchError):
        check_body(memoryview(batch.data), batch.header)
