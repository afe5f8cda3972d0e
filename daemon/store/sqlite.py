"""The embedded metadata store: one SQLite file in the data folder."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from actors.backlog.homecoming import Homecoming
from actors.errors import StorageError
from actors.functions.runs import Run, RunChanges
from actors.gateway_route.flow.quotas import QuotaUse
from actors.gateway_route.published import Published
from actors.ports import AuditEntry
from actors.records import Confirmed, TopicPartition
from config.resources import AnyResource
from config.resources.identity import Identity
from daemon.store.audit import add_audit, load_audit
from daemon.store.backlog import (
    delete_backlog,
    load_homecomings,
    load_phases,
    save_homecoming,
    save_phase,
)
from daemon.store.files import copy_database, create_private, in_transaction, storage_errors
from daemon.store.function_runs import load_function_runs, save_function_runs
from daemon.store.function_versions import (
    FunctionEntry,
    FunctionVersion,
    load_function_version,
    load_function_versions,
)
from daemon.store.groups import add_http_group, delete_group, load_confirmed, load_http_groups, save_confirmed
from daemon.store.migrate import Migration, migrate, shipped
from daemon.store.model import DeviceStatus, Instance, Meta, Rejection, StoredResource, StoredSecret
from daemon.store.publications import (
    Publication,
    StoredPublications,
    VersionEntry,
    forget_publications,
    load_publications,
    load_version,
    load_versions,
    save_publication,
)
from daemon.store.quotas import load_quota_uses, save_quota_uses

T = TypeVar("T")

FILE_NAME = "penstock.db"


class SqliteStore:
    """`penstock.db`: WAL, synchronous=FULL, one connection that writes, every call in a worker thread.

    Build one with `await SqliteStore.open(folder)`; it implements `daemon.store.model.Store`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._turn = trio.CapacityLimiter(1)
        self._backup_turn = trio.CapacityLimiter(1)

    @classmethod
    async def open(cls, folder: Path, migrations: Sequence[Migration] | None = None) -> SqliteStore:
        """Open, or create, the database in a folder, and bring its schema up to date.

        Raises:
            ConfigurationError: it was written by a newer program.
            StorageError: it cannot be opened, or is no database.
        """
        path = folder / FILE_NAME
        steps = shipped() if migrations is None else migrations
        return cls(await trio.to_thread.run_sync(_connect, path, steps), path)

    async def instance(self) -> Instance:
        """Who this instance is."""
        return await self._run(_instance)

    async def set_key_check(self, check: bytes, *, forget_secrets: bool = False) -> None:
        """Keep the check value of the instance key; `forget_secrets` deletes those made with another one."""
        await self._write(partial(_set_key_check, check=check, forget_secrets=forget_secrets))

    async def load_all(self) -> list[StoredResource]:
        """Every resource with its secrets."""
        return await self._run(_load_all)

    async def apply(
        self, puts: Sequence[StoredResource], removals: Sequence[Identity] = (), publication: Publication | None = None
    ) -> None:
        """Store, delete and publish in one transaction."""
        if puts or removals or publication is not None:
            await self._write(partial(_apply, puts=puts, removals=removals, publication=publication))

    async def load_publications(self) -> StoredPublications:
        """What is served of routes, and the deployed backends."""
        return await self._run(load_publications)

    async def load_versions(self, route: str) -> Sequence[VersionEntry]:
        """The history of a route, the newest version first."""
        return await self._run(partial(load_versions, route=route))

    async def load_version(self, route: str, version: int) -> Published | None:
        """One version of a route, or None where it is not kept."""
        return await self._run(partial(load_version, route=route, version=version))

    async def load_function_versions(self, name: str) -> Sequence[FunctionEntry]:
        """The history of a function, the newest version first."""
        return await self._run(partial(load_function_versions, name=name))

    async def load_function_version(self, name: str, version: int) -> FunctionVersion | None:
        """One version of a function, or None where it is not kept."""
        return await self._run(partial(load_function_version, name=name, version=version))

    async def load_confirmed(self, group: str) -> Mapping[TopicPartition, Confirmed]:
        """The positions of a group."""
        return await self._run(partial(load_confirmed, group=group))

    async def save_confirmed(self, group: str, positions: Mapping[TopicPartition, Confirmed]) -> None:
        """Store positions of a group."""
        if positions:
            await self._write(partial(save_confirmed, group=group, positions=positions))

    async def load_http_groups(self) -> Mapping[str, str]:
        """The groups of HTTP consumers, and the topic that each of them reads."""
        return await self._run(load_http_groups)

    async def add_http_group(self, group: str, topic: str) -> None:
        """Remember a group of HTTP consumers; one that is known is left as it is."""
        await self._write(partial(add_http_group, group=group, topic=topic))

    async def delete_group(self, group: str) -> None:
        """Forget a group and its positions."""
        await self._write(partial(delete_group, group=group))

    async def load_phases(self) -> Mapping[str, str]:
        """The phases of backlog policies by topic."""
        return await self._run(load_phases)

    async def save_phase(self, topic: str, phase: str) -> None:
        """Keep the phase of a topic's backlog policy."""
        await self._write(partial(save_phase, topic=topic, phase=phase))

    async def load_homecomings(self) -> Sequence[Homecoming]:
        """How far diverted records have come home."""
        return await self._run(load_homecomings)

    async def save_homecoming(self, homecoming: Homecoming) -> None:
        """Keep how far they have come."""
        await self._write(partial(save_homecoming, homecoming=homecoming))

    async def delete_backlog(self, topic: str) -> None:
        """Forget what the policies of a topic that is gone have left."""
        await self._write(partial(delete_backlog, topic=topic))

    async def add_audit(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        await self._write(partial(add_audit, entry=entry))

    async def load_audit(self, limit: int) -> Sequence[AuditEntry]:
        """The last entries of the audit log, the newest first."""
        return await self._run(partial(load_audit, limit=limit))

    async def load_device_status(self) -> list[DeviceStatus]:
        """What was last seen of each device."""
        return await self._run(_load_device_status)

    async def save_device_status(self, statuses: Sequence[DeviceStatus]) -> None:
        """Store a batch; devices that are no longer resources are skipped."""
        if statuses:
            await self._write(partial(_save_device_status, statuses=statuses))

    async def load_quota_uses(self) -> Sequence[QuotaUse]:
        """What apps have used of their quotas."""
        return await self._run(load_quota_uses)

    async def save_quota_uses(self, uses: Mapping[str, QuotaUse | None]) -> None:
        """Store what apps have used; None forgets one."""
        if uses:
            await self._write(partial(save_quota_uses, uses=uses))

    async def load_function_runs(self) -> Mapping[str, Sequence[Run]]:
        """The last runs of each function, in order."""
        return await self._run(load_function_runs)

    async def save_function_runs(self, changes: Mapping[str, RunChanges]) -> None:
        """Store and delete runs of functions."""
        if changes:
            await self._write(partial(save_function_runs, changes=changes))

    async def backup_into(self, folder: Path) -> Path:
        """Write a consistent copy into a folder while running; returns the file."""
        target = folder / FILE_NAME
        with storage_errors(target):
            await trio.to_thread.run_sync(copy_database, self.path, target, limiter=self._backup_turn)
        return target

    async def close(self) -> None:
        """End; nothing that was stored is lost."""
        with trio.CancelScope(shield=True):
            await self._run(lambda db: db.close())

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with storage_errors(self.path):
            return await trio.to_thread.run_sync(work, self._connection, limiter=self._turn)

    async def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        await self._run(partial(in_transaction, work=work))


def _connect(path: Path, migrations: Sequence[Migration]) -> sqlite3.Connection:
    with storage_errors(path):
        create_private(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        try:
            _prepare(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    now = time.time_ns() // 1_000_000
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection, migrations, where=str(path), now=now)
    connection.execute("INSERT OR IGNORE INTO instance VALUES (1, ?, ?, NULL)", (str(uuid.uuid4()), now))


def _instance(connection: sqlite3.Connection) -> Instance:
    return Instance(*connection.execute("SELECT id, created, key_check FROM instance").fetchone())


def _set_key_check(connection: sqlite3.Connection, check: bytes, *, forget_secrets: bool) -> None:
    connection.execute("UPDATE instance SET key_check = ?", (check,))
    if forget_secrets:
        connection.execute("DELETE FROM secrets")


def _load_all(connection: sqlite3.Connection) -> list[StoredResource]:
    secrets: dict[tuple[str, str], dict[str, StoredSecret]] = {}
    for kind, name, field, form, value in connection.execute("SELECT kind, name, field, form, value FROM secrets"):
        secrets.setdefault((kind, name), {})[field] = StoredSecret(form, value)
    rows = connection.execute("SELECT kind, name, version, created, updated, spec FROM resources ORDER BY kind, name")
    decoder = msgspec.json.Decoder(AnyResource)
    return [
        StoredResource(_decode(decoder, kind, name, spec), Meta(*meta), secrets.get((kind, name), {}))
        for kind, name, *meta, spec in rows
    ]


def _decode(decoder: msgspec.json.Decoder[AnyResource], kind: str, name: str, spec: str) -> AnyResource:
    try:
        return decoder.decode(spec)
    except msgspec.DecodeError as error:
        raise StorageError(f"the stored {kind} {name} cannot be read: {error}") from error


def _apply(
    connection: sqlite3.Connection,
    puts: Sequence[StoredResource],
    removals: Sequence[Identity],
    publication: Publication | None,
) -> None:
    # The secrets of what is removed or put go with the foreign key.
    gone = [*removals, *(stored.identity for stored in puts)]
    connection.executemany("DELETE FROM resources WHERE kind = ? AND name = ?", gone)
    connection.executemany(
        "DELETE FROM device_status WHERE product = ? AND device = ?",
        [one.name.split("/", 1) for one in removals if one.kind == "device"],
    )
    connection.executemany("INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)", map(_resource_row, puts))
    connection.executemany("INSERT INTO secrets VALUES (?, ?, ?, ?, ?)", _secret_rows(puts))
    forget_publications(connection, removals)
    if publication is not None:
        save_publication(connection, publication)


def _resource_row(stored: StoredResource) -> tuple[object, ...]:
    meta = stored.meta
    app = getattr(stored.resource, "app", None)
    spec = msgspec.json.encode(stored.resource).decode()
    return (*stored.identity, app, meta.version, meta.created, meta.updated, spec)


def _secret_rows(puts: Sequence[StoredResource]) -> Iterator[tuple[object, ...]]:
    for stored in puts:
        for field, secret in stored.secrets.items():
            yield (*stored.identity, field, *secret)


def _load_device_status(connection: sqlite3.Connection) -> list[DeviceStatus]:
    decoder = msgspec.json.Decoder(tuple[Rejection, ...])
    rows = connection.execute(
        "SELECT online, rejections, product, device, since, reason, last_report, reports, rejected FROM device_status"
    )
    return [
        replace(DeviceStatus(*row), online=bool(online), rejections=_rejections(decoder, rejections))
        for online, rejections, *row in rows
    ]


def _rejections(decoder: msgspec.json.Decoder[tuple[Rejection, ...]], text: str) -> tuple[Rejection, ...]:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        return ()  # only for people to look at: no reason not to start


def _save_device_status(connection: sqlite3.Connection, statuses: Sequence[DeviceStatus]) -> None:
    connection.executemany(
        """
        INSERT OR REPLACE INTO device_status SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
        WHERE EXISTS (SELECT 1 FROM resources WHERE kind = 'device' AND name = ?1 || '/' || ?2)
        """,
        [
            (
                one.product,
                one.device,
                one.online,
                one.since,
                one.reason,
                one.last_report,
                one.reports,
                one.rejected,
                msgspec.json.encode(one.rejections).decode(),
            )
            for one in statuses
        ],
    )
