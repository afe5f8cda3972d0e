"""How folders and files of a partition are named, as Kafka names them."""

from __future__ import annotations

import re
from pathlib import Path

from actors.records import TopicPartition

LOG = ".log"
OFFSET_INDEX = ".index"
TIME_INDEX = ".timeindex"
RECOVERY_POINT = "recovery-point"
PROBE = "probe"

_FOLDER = re.compile(r"(?P<topic>[A-Za-z0-9_-][A-Za-z0-9._-]*)-(?P<partition>0|[1-9][0-9]*)")
_SEGMENT = re.compile(r"[0-9]{20}")


def partition_folder(parent: Path, partition: TopicPartition) -> Path:
    """Where a partition's files lie: `<parent>/<topic>-<n>`."""
    return parent / str(partition)


def parse_partition_folder(name: str) -> TopicPartition | None:
    """The partition that a folder's name stands for, or None.

    A topic's name may itself contain `-` and digits: the last `-` parts it from the number.
    """
    match = _FOLDER.fullmatch(name)
    return TopicPartition(match["topic"], int(match["partition"])) if match else None


def segment_path(folder: Path, base_offset: int, suffix: str = LOG) -> Path:
    """A segment's file: its base offset in 20 digits."""
    return folder / f"{base_offset:020d}{suffix}"


def segment_offsets(folder: Path, suffix: str = LOG) -> list[int]:
    """The base offsets of the segments in a folder, ascending."""
    return sorted(
        int(path.stem) for path in folder.iterdir() if path.suffix == suffix and _SEGMENT.fullmatch(path.stem)
    )
