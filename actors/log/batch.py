"""RecordBatch, version 2, as it lies on disk: built, checked and read.

Format (Kafka protocol, "Record Batch", magic 2; big-endian):

    base offset          int64    0
    batch length         int32    8   bytes after this field
    leader epoch         int32   12   always -1 here
    magic                int8    16   2
    CRC-32C              uint32  17   of everything after this field
    attributes           int16   21
    last offset delta    int32   23
    base timestamp       int64   27   milliseconds since the epoch
    maximum timestamp    int64   35
    producer id, epoch, base sequence  int64, int16, int32   43   all -1
    record count         int32   57
    records                      61

The compiled reader of `aiokafka.record` trusts what it is given and the CRC does not cover the first 17 bytes, so a
batch goes to it only after `read_header` and `check_body` found nothing wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from actors.records import Record, StoredRecord

HEADER_BYTES = 61
MAGIC = 2
LEADER_EPOCH = -1
# What every batch has in the bytes 12 to 16: the mark that a search for whole batches looks for.
MARK = struct.pack(">ib", LEADER_EPOCH, MAGIC)
MARK_POSITION = 12
# Below Kafka's default `max.message.bytes`, so that any Kafka client takes such a batch.
BATCH_BYTES = 1024 * 1024
# Nothing that this program writes comes near; a length beyond it is damage, not a reason to read so much.
MAX_BATCH_BYTES = 256 * 1024 * 1024
# Positions and offsets within a segment are 32-bit numbers in its indexes.
MAX_RELATIVE = 2**31 - 1

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BASE_OFFSET = struct.Struct(">q")
_BEFORE_LENGTH = 12
_CRC_END = 21


class BadBatchError(Exception):
    """Bytes that are not a whole batch, and why."""


class CutOffError(BadBatchError):
    """A batch that does not end within the bytes at hand; `size` is how many it takes, at the least."""

    def __init__(self, size: int, available: int) -> None:
        super().__init__(f"a batch of at least {size} bytes is cut off after {available}")
        self.size = size


class BatchHeader(NamedTuple):
    """What one needs to know of a batch; `size` is all of it in bytes, timestamps are milliseconds."""

    base_offset: int
    next_offset: int
    size: int
    crc: int
    base_timestamp: int
    max_timestamp: int


class Batch(NamedTuple):
    """A batch ready to be written."""

    header: BatchHeader
    data: bytearray


def read_header(data: bytes | bytearray | memoryview, position: int = 0) -> BatchHeader:
    """Read the fixed part of a batch.

    Raises:
        CutOffError: fewer bytes than a header has.
        BadBatchError: wrong magic, leader epoch, length, or offsets.
    """
    if len(data) - position < HEADER_BYTES:
        raise CutOffError(HEADER_BYTES, len(data) - position)
    fields = _HEADER.unpack_from(data, position)
    base_offset, length, epoch, magic, crc, _, last_delta, base_timestamp, max_timestamp, _, _, _, count = fields
    if magic != MAGIC or epoch != LEADER_EPOCH:
        raise BadBatchError(f"magic {magic} and leader epoch {epoch} are not those of a batch")
    size = length + _BEFORE_LENGTH
    if not HEADER_BYTES <= size <= MAX_BATCH_BYTES:
        raise BadBatchError(f"a batch length of {length} cannot be")
    if base_offset < 0 or last_delta < 0 or count != last_delta + 1:
        raise BadBatchError(f"base offset {base_offset}, last offset delta {last_delta} and count {count} cannot be")
    return BatchHeader(base_offset, base_offset + last_delta + 1, size, crc, base_timestamp, max_timestamp)


def check_body(data: memoryview, header: BatchHeader) -> None:
    """Check a batch, given whole, against its length and its CRC-32C.

    Raises:
        CutOffError: it is shorter than its length.
        BadBatchError: it is not what was written.
    """
    if len(data) != header.size:
        raise CutOffError(header.size, len(data))
    if calc_crc32c(data[_CRC_END:]) != header.crc:
        raise BadBatchError("the CRC-32C does not match")


def build_batches(records: Iterable[Record], base_offset: int, limit: int = BATCH_BYTES) -> list[Batch]:
    """Pack records into batches of at most `limit` bytes each; one that is larger by itself gets a batch of its own.

    Raises:
        TypeError, ValueError, OverflowError: a field of a record is not what its type says.
    """
    batches: list[Batch] = []
    no_headers: list[tuple[str, bytes | None]] = []
    builder = _builder(limit)
    append = builder.append
    delta = 0
    for key, value, timestamp, headers in records:
        pairs = [*headers] if headers else no_headers
        if append(delta, timestamp, key, value, pairs) is None:
            batches.append(_finish(builder, base_offset))
            base_offset += delta
            builder = _builder(limit)
            append = builder.append
            append(0, timestamp, key, value, pairs)
            delta = 0
        delta += 1
    if delta:
        batches.append(_finish(builder, base_offset))
    return batches


def read_records(batch: bytes | memoryview, start: int = 0) -> list[StoredRecord]:
    """The records of a checked batch from the offset `start` on.

    Raises:
        BadBatchError: the CRC is right, but what is inside are not records.
    """
    try:
        return list(_records(batch, start)) if start else _all_records(batch)
    except (CorruptRecordException, ValueError, IndexError) as error:
        raise BadBatchError(f"the batch holds something else than records: {error}") from error


def _all_records(batch: bytes | memoryview) -> list[StoredRecord]:
    # One tuple made directly: half the cost of calling the named tuple's constructor.
    new = tuple.__new__
    return [
        new(
            StoredRecord,
            (
                record.key,
                record.value,
                record.timestamp,
                tuple(record.headers) if record.headers else (),
                record.offset,
            ),
        )
        for record in DefaultRecordBatch(batch)
    ]


def _records(batch: bytes | memoryview, start: int) -> Iterator[StoredRecord]:
    return (record for record in _all_records(batch) if record.offset >= start)


def _builder(limit: int) -> DefaultRecordBatchBuilder:
    return DefaultRecordBatchBuilder(
        magic=MAGIC,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=limit,
    )


def _finish(builder: DefaultRecordBatchBuilder, base_offset: int) -> Batch:
    data = builder.build()
    # The builder counts from 0, and the CRC does not cover this field.
    _BASE_OFFSET.pack_into(data, 0, base_offset)
    return Batch(read_header(data), data)
