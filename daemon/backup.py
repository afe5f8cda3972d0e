"""A copy of the data folder while the daemon runs, on which `penstock run --data` works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from actors.errors import ConfigurationError, StorageError
from daemon.authority import FOLDER
from daemon.stages.connections import Connections
from daemon.stages.topics import TopicStage
from daemon.store.model import Store
from daemon.store.sessions import SessionFile


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup copies; `key` is where the instance key is, None where it is not in a file.

    `plugins` is the folder of plugin modules, which is copied where it lies in the data folder.
    """

    data: Path
    key: Path | None
    store: Store
    sessions: SessionFile
    connections: Connections
    topics: TopicStage
    plugins: Path

    async def into(self, folder: Path) -> Mapping[str, Any]:
        """Copy metadata, databases of the data folder, topics, plugins, the instance key and certificate authority.

        They go into a new or empty folder.

        Positions are copied before what they are positions in: metadata and databases first, topics last. So none of
        them lies beyond its copied topic, and what a topic has more is moved when the copy is started. A backup that
        fails leaves nothing behind.

        Raises:
            ConfigurationError: the folder is not empty, lies within the data folder's parts, or cannot be written.
            StorageError, ConnectorError: as the copied parts say.
        """
        await trio.to_thread.run_sync(_prepare, folder, self.data)
        try:
            return await self._copy(folder)
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_empty, folder)
            raise

    async def _copy(self, folder: Path) -> Mapping[str, Any]:
        await self.store.backup_into(folder)
        # Before the topics: what their copies have beyond its note of them is searched when the copy is started.
        await self.sessions.backup_into(folder)
        copied, left = {}, []
        for name, embedded in self.connections.embedded().items():
            path = await embedded.backup_into(folder)
            if path is None:
                left.append(name)
            else:
                copied[name] = str(path.relative_to(folder))
        size = await self.topics.backup(folder)
        has_key = await trio.to_thread.run_sync(_copy_key, self.key, self.data, folder)
        for own in (self.data / FOLDER, self.plugins):
            await trio.to_thread.run_sync(_copy_folder, own, self.data, folder)
        return {
            "folder": str(folder),
            "databases": copied,
            "left_out": left,
            "topic_bytes": size,
            "instance_key": "copied" if has_key else "not in the data folder: keep it yourself",
        }


def _prepare(folder: Path, data: Path) -> None:
    if data.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{folder} holds the data folder itself: a backup goes elsewhere")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    if not empty:
        raise ConfigurationError(f"{folder} is not empty: a backup goes into a new or empty folder")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _copy_key(key: Path | None, data: Path, folder: Path) -> bool:
    if key is None or not key.resolve().is_relative_to(data.resolve()):
        return False
    target = folder / key.resolve().relative_to(data.resolve())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(key, target)
        with target.open("rb") as copy:
            os.fsync(copy.fileno())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{key} cannot be copied to {target}: {error.strerror}") from error
    return True


def _copy_folder(own: Path, data: Path, folder: Path) -> None:
    """The authority, in whom clients of this instance believe, and the code that its functions and connectors need."""
    try:
        if own.is_dir() and data.resolve() in own.resolve().parents:
            shutil.copytree(own, folder / own.resolve().relative_to(data.resolve()))
    except (OSError, shutil.Error) as error:
        raise StorageError(f"{own} cannot be copied into {folder}: {error}") from error
