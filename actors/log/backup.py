"""A consistent copy of a partition while appends go on."""

from __future__ import annotations

import os
from pathlib import Path

from actors.errors import StorageError
from actors.log.batch import BadBatchError
from actors.log.disk import Disk, OpenFile, write_all
from actors.log.names import segment_offsets, segment_path
from actors.log.recovery_point import RecoveryPoint
from actors.log.scan import SegmentScanner

_CHUNK = 1024 * 1024


def copy_partition(source: Path, target: Path, high_watermark: int) -> int:
    """Copy every batch below `high_watermark`, durably, into a folder that does not exist yet; returns the bytes.

    Indexes are not copied: whoever opens the copy rebuilds them. Segments that retention deletes meanwhile, and those
    before them, are left out.

    Raises:
        StorageError: either side refuses, or the target exists.
    """
    disk = Disk()
    try:
        target.mkdir(parents=True)
        copied = 0
        # From the newest on: where retention has been faster, all that is older has gone too.
        for base_offset in reversed([base for base in segment_offsets(source) if base < high_watermark]):
            try:
                file = OpenFile.reading(segment_path(source, base_offset))
            except FileNotFoundError:
                break
            copied += _copy(disk, file, segment_path(target, base_offset), _end(disk, file, high_watermark))
        RecoveryPoint(target, disk).move(high_watermark, sync=True)
        disk.sync_folder(target)
        disk.sync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"{source} cannot be copied to {target}: {error.strerror}") from error
    return copied


def _end(disk: Disk, file: OpenFile, high_watermark: int) -> int:
    """The position after the last batch below an offset; all of a file in which that cannot be told."""
    size = file.size()
    scanner = SegmentScanner(disk, file, size)
    position = 0
    try:
        while position < size:
            placed = scanner.header(position)
            if placed.header.base_offset >= high_watermark:
                return position
            position = placed.end
    except BadBatchError:
        return size
    return size


def _copy(disk: Disk, file: OpenFile, target: Path, size: int) -> int:
    copy = OpenFile(disk.create(target))
    position = 0
    while position < size:
        data = os.pread(file.descriptor, min(_CHUNK, size - position), position)
        if not data:
            break
        write_all(disk, copy.descriptor, data, position)
        position += len(data)
    disk.sync(copy.descriptor)
    return position
