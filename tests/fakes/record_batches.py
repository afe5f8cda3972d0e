"""A reader of Kafka's RecordBatch v2 that shares no code with the log: written from the protocol's description.

https://kafka.apache.org/documentation/#recordbatch; varints are zigzag-encoded as in Protocol Buffers, the checksum is
CRC-32C (Castagnoli, RFC 3720 B.4) of everything from the attributes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class ReadRecord(NamedTuple):
    """One record as Kafka's format has it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def read_batches(data: bytes) -> Iterator[tuple[int, int, int, list[ReadRecord]]]:
    """(position, last offset, largest timestamp, records) of each batch of a segment file, every field checked."""
    position = 0
    while position < len(data):
        base = _int(data, position, 8)
        length = _int(data, position + 8, 4)
        batch = data[position : position + 12 + length]
        assert len(batch) == 12 + length
        assert (_int(batch, 12, 4), batch[16]) == (-1, 2)  # leader epoch, magic
        assert crc32c(batch[21:]) == int.from_bytes(batch[17:21], "big")
        assert _int(batch, 21, 2) == 0  # no compression, CreateTime, not transactional, no control batch
        last_delta, first_time, max_time = _int(batch, 23, 4), _int(batch, 27, 8), _int(batch, 35, 8)
        assert (_int(batch, 43, 8), _int(batch, 51, 2), _int(batch, 53, 4)) == (-1, -1, -1)  # no producer
        count = _int(batch, 57, 4)
        records = list(_records(batch, 61, count, base, first_time))
        assert [one.offset for one in records] == list(range(base, base + last_delta + 1))
        assert max_time == max(one.timestamp for one in records)
        yield position, base + last_delta, max_time, records
        position += len(batch)


def _records(batch: bytes, at: int, count: int, base: int, first_time: int) -> Iterator[ReadRecord]:
    for _ in range(count):
        length, at = _varint(batch, at)
        end = at + length
        assert batch[at] == 0  # attributes
        time_delta, at = _varint(batch, at + 1)
        offset_delta, at = _varint(batch, at)
        key, at = _sized(batch, at)
        value, at = _sized(batch, at)
        headers = []
        header_count, at = _varint(batch, at)
        for _ in range(header_count):
            name, at = _sized(batch, at)
            content, at = _sized(batch, at)
            assert name is not None
            assert content is not None
            headers.append((name.decode(), content))
        assert at == end
        yield ReadRecord(base + offset_delta, first_time + time_delta, key, value, tuple(headers))
    assert at == len(batch)


def _sized(data: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    return (None, at) if size < 0 else (data[at : at + size], at + size)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (number >> 1) ^ -(number & 1), at


def _int(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big", signed=True)


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
