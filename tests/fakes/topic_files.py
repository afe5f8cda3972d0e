"""Reads a topic's files with a reader of its own, straight from Kafka's description of RecordBatch v2 (KIP-98)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

BATCH_HEAD = struct.Struct(">qiibIhiqqqhii")


class FileRecord(NamedTuple):
    """One record as it lies on disk."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]


def read_topic(data: Path, topic: str) -> list[list[FileRecord]]:
    """The records of each partition that has a folder under `data`, by partition."""
    folders = [folder for folder in data.rglob(f"{topic}-*") if folder.name[len(topic) + 1 :].isdigit()]
    return [_read_partition(folder) for folder in sorted(folders, key=_number)]


def _number(folder: Path) -> int:
    return int(folder.name.rsplit("-", 1)[1])


def _read_partition(folder: Path) -> list[FileRecord]:
    return [record for segment in sorted(folder.glob("*.log")) for record in read_segment(segment.read_bytes())]


def read_segment(content: bytes) -> list[FileRecord]:
    """Every record of a segment file; it must end with a whole batch."""
    records: list[FileRecord] = []
    position = 0
    while position < len(content):
        head = BATCH_HEAD.unpack_from(content, position)
        base, length, magic, count = head[0], head[1], head[3], head[12]
        assert magic == 2
        end, cursor = position + 12 + length, position + BATCH_HEAD.size
        for _ in range(count):
            size, cursor = _varint(content, cursor)
            records.append(_record(content, cursor, base))
            cursor += size
        assert cursor == end
        position = end
    return records


def _record(content: bytes, cursor: int, base: int) -> FileRecord:
    cursor += 1  # attributes
    _, cursor = _varint(content, cursor)  # timestamp delta
    delta, cursor = _varint(content, cursor)
    key, cursor = _bytes(content, cursor)
    value, cursor = _bytes(content, cursor)
    count, cursor = _varint(content, cursor)
    headers: dict[str, bytes | None] = {}
    for _ in range(count):
        name, cursor = _bytes(content, cursor)
        headers[(name or b"").decode()], cursor = _bytes(content, cursor)
    return FileRecord(base + delta, key, value, headers)


def _bytes(content: bytes, position: int) -> tuple[bytes | None, int]:
    size, position = _varint(content, position)
    return (None, position) if size < 0 else (content[position : position + size], position + size)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    shift = value = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
