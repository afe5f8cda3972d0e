"""The folders of partitions under their common parent: which there are, and how what they hold goes."""

from __future__ import annotations

import time
from pathlib import Path

from actors.errors import StorageError
from actors.log.log import Log, LogLimits
from actors.log.names import parse_partition_folder
from actors.records import TopicPartition

_FOREVER_HOURS = 1_000_000


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


def delete_records(folder: Path) -> bool:
    """Delete all that a partition holds, whose actor must have ended; False where it has no files.

    What stays is an empty segment that says where the offsets go on. A topic that comes again under the same name never
    gives out an offset twice: whoever remembers one (a task in its sink) can neither skip records nor read them anew.

    Raises:
        StorageError: as the disk says.
    """
    if not folder.is_dir():
        return False
    log = Log(folder, LogLimits())
    log.roll()
    log.retain(time.time(), _FOREVER_HOURS, 0)
    log.close()
    return True
