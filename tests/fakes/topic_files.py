"""Reads a topic's files with a reader of its own, straight from Kafka's description of RecordBatch v2 (KIP-98)."""

from __future__ import annotations

import json
import struct
from pathlib import Path

BATCH_HEAD = struct.Struct(">qiibIhiqqqhii")


def read_topic(data: Path, topic: str) -> list[list[tuple[int, str, int]]]:
    """For each partition the (offset, deviceId, seq) of its records; offsets must be continuous from 0."""
    folders = sorted(data.rglob(f"{topic}-[0-9]*"), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))
    return [_read_partition(folder) for folder in folders if folder.is_dir()]


def _read_partition(folder: Path) -> list[tuple[int, str, int]]:
    records = []
    for segment in sorted(folder.glob("*.log")):
        for offset, value in read_segment(segment.read_bytes()):
            report = json.loads(value)
            records.append((offset, report["deviceId"], report["seq"]))
    assert [offset for offset, _, _ in records] == list(range(len(records)))
    return records


def read_segment(content: bytes) -> list[tuple[int, bytes]]:
    """Offset and value of every record of a segment file."""
    position, records = 0, []
    while position < len(content):
        head = BATCH_HEAD.unpack_from(content, position)
        base, length, magic, count = head[0], head[1], head[3], head[12]
        assert magic == 2
        end, cursor = position + 12 + length, position + BATCH_HEAD.size
        for _ in range(count):
            size, cursor = _varint(content, cursor)
            next_record = cursor + size
            cursor += 1  # attributes
            _, cursor = _varint(content, cursor)  # timestamp delta
            delta, cursor = _varint(content, cursor)
            key_size, cursor = _varint(content, cursor)
            cursor += max(key_size, 0)
            value_size, cursor = _varint(content, cursor)
            records.append((base + delta, content[cursor : cursor + value_size]))
            cursor = next_record
        assert cursor == end
        position = end
    return records


def _varint(content: bytes, position: int) -> tuple[int, int]:
    shift = value = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
