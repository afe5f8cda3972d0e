"""Work on a data folder that no daemon uses now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from actors.errors import PenstockError
from actors.log.disk import Disk
from actors.log.folders import partitions_in
from actors.log.names import partition_folder
from actors.log.verify import Verified, repair_indexes, verify_folder
from config.settings import LogSettings
from daemon.folder import claimed
from daemon.stages.topics import FOLDER


def verify_offline(data: Path, topic: str | None, *, repair: bool = False) -> Sequence[Mapping[str, Any]]:
    """Check the files of one topic or of all; no daemon can start on the folder meanwhile.

    With `repair` wrong indexes are made anew; what is told is what was found before. The answer is, topic by topic,
    what the control API answers to `/topics/{name}/verify`.

    Raises:
        ConfigurationError: the data folder is in use, or cannot be written.
        PenstockError: there is no such topic, or the folder is no data folder.
        StorageError: the disk does not give it.
    """
    parent = data / FOLDER
    if not parent.is_dir():
        raise PenstockError(f"{data} holds no topics: name the data folder with --data or PENSTOCK_DATA")
    with claimed(data):
        found = [one for one in partitions_in(parent) if topic in (None, one.topic)]
        if topic is not None and not found:
            raise PenstockError(f"there is no topic {topic} in {parent}")
        return [
            _topic(name, [(one.partition, _verified(partition_folder(parent, one), repair=repair)) for one in group])
            for name, group in groupby(found, key=lambda one: one.topic)
        ]


def _verified(folder: Path, *, repair: bool) -> Verified:
    verified = verify_folder(folder, Disk())
    if repair:
        repair_indexes(folder, Disk(), LogSettings().index_interval_bytes, verified.wrong_indexes)
    return verified


def _topic(name: str, partitions: Sequence[tuple[int, Verified]]) -> Mapping[str, Any]:
    shown = [{"partition": number, **asdict(verified)} for number, verified in partitions]
    return {"topic": name, "flaws": sum(one["flaws"] for one in shown), "partitions": shown}
