"""The folders of partitions under their common parent: which there are, and how one goes."""

from __future__ import annotations

import shutil
from pathlib import Path

from actors.errors import StorageError
from actors.log.disk import Disk
from actors.log.names import parse_partition_folder, partition_folder
from actors.records import TopicPartition

_DELETED = ".deleted"


def partitions_in(parent: Path) -> list[TopicPartition]:
    """The partitions that have a folder, by topic and number; none where the parent is missing.

    Raises:
        StorageError: the parent cannot be read.
    """
    try:
        names = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    except OSError as error:
        raise StorageError(f"{parent} cannot be read: {error.strerror}") from error
    return sorted(partition for name in names if (partition := parse_partition_folder(name)) is not None)


def delete_partition(parent: Path, partition: TopicPartition) -> None:
    """Delete a partition's files for good; its actor must have ended.

    It is renamed first, so that a crash leaves either all of it or a folder that no longer counts as a partition and
    that `sweep_deleted` takes away.

    Raises:
        StorageError: as the disk says.
    """
    folder = partition_folder(parent, partition)
    doomed = folder.with_name(folder.name + _DELETED)
    try:
        if doomed.exists():
            shutil.rmtree(doomed)
        if folder.exists():
            folder.rename(doomed)
            Disk().sync_folder(parent)
            shutil.rmtree(doomed)
    except OSError as error:
        raise StorageError(f"{folder} cannot be deleted: {error.strerror}") from error


def sweep_deleted(parent: Path) -> int:
    """Finish the deletions that a crash interrupted; returns how many.

    Raises:
        StorageError: as the disk says.
    """
    count = 0
    try:
        for path in parent.glob(f"*{_DELETED}"):
            if parse_partition_folder(path.name.removesuffix(_DELETED)) is not None:
                shutil.rmtree(path)
                count += 1
    except OSError as error:
        raise StorageError(f"{parent} cannot be swept: {error.strerror}") from error
    return count
