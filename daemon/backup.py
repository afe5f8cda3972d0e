"""A copy of the data folder while the daemon runs, on which `penstock run --data` works."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from actors.errors import ConfigurationError
from daemon.stages.connections import Connections
from daemon.stages.topics import TopicStage
from daemon.store.model import Store

KEY = "instance.key"


async def back_up(
    data: Path, folder: Path, *, store: Store, connections: Connections, topics: TopicStage
) -> Mapping[str, Any]:
    """Copy metadata, databases of the data folder, topics and the instance key into a new or empty folder.

    Databases are copied before topics: a position in a copied database then never lies beyond its copied topic, and
    what a topic has more is moved when the copy is started.

    Raises:
        ConfigurationError: the folder is not empty, or cannot be written.
        StorageError, ConnectorError: as the copied parts say.
    """
    await trio.to_thread.run_sync(_prepare, folder)
    copied, left = {}, []
    for name, embedded in connections.embedded().items():
        path = await embedded.backup_into(folder)
        if path is None:
            left.append(name)
        else:
            copied[name] = str(path.relative_to(folder))
    size = await topics.backup(folder)
    await store.backup_into(folder)
    has_key = await trio.to_thread.run_sync(_copy_key, data, folder)
    return {
        "folder": str(folder),
        "databases": copied,
        "left_out": left,
        "topic_bytes": size,
        "instance_key": "copied" if has_key else "not in the data folder: keep it yourself",
    }


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    if not empty:
        raise ConfigurationError(f"{folder} is not empty: a backup goes into a new or empty folder")


def _copy_key(data: Path, folder: Path) -> bool:
    try:
        shutil.copy2(data / KEY, folder / KEY)
    except FileNotFoundError:
        return False
    return True
