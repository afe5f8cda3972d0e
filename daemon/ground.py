"""What lies beneath the tree: stores, key, what is applied, the asyncio island; opened before it, closed after it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from actors.backlog.homecoming import Homecoming
from actors.gateway_route.flow.quotas import QuotaUse
from config.settings import Settings
from daemon.catalog.catalog import Catalog
from daemon.island import Island
from daemon.publishing.catch_up import published
from daemon.publishing.publications import Publications
from daemon.settings_in_force import SettingsInForce
from daemon.store.model import DeviceStatus, Store
from daemon.store.sessions import SessionFile, StoreLimits
from daemon.store.sqlite import SqliteStore
from daemon.vault import Vault, open_vault
from plugins.loader import Plugins


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that is there before the first actor is: opened, and read from the stores."""

    settings: SettingsInForce
    data: Path
    instance: str
    store: Store
    sessions: SessionFile
    vault: Vault
    catalog: Catalog
    plugins: Plugins
    island: Island
    device_statuses: Iterable[DeviceStatus]
    http_groups: Mapping[str, str]
    homecomings: Sequence[Homecoming]
    publications: Publications
    quota_uses: Sequence[QuotaUse]


@asynccontextmanager
async def laid(settings: SettingsInForce, data: Path, *, reissue_secrets: bool) -> AsyncIterator[Ground]:
    """Open it all, and close it at the end.

    Raises:
        ConfigurationError: the key or a store cannot be used; says what to do.
        StorageError: a store cannot be opened.
    """
    async with AsyncExitStack() as opened:
        store = await SqliteStore.open(data)
        opened.push_async_callback(_shielded, store)
        sessions = await SessionFile.open(data, _limits(settings.now))
        opened.push_async_callback(_shielded, sessions)
        vault = await open_vault(store, settings.now.instance_key, data, os.environ, reissue=reissue_secrets)
        catalog = Catalog(await store.load_all())
        yield Ground(
            settings=settings,
            data=data,
            instance=(await store.instance()).id,
            store=store,
            sessions=sessions,
            vault=vault,
            catalog=catalog,
            plugins=await trio.to_thread.run_sync(Plugins.read_all, data / settings.now.plugins.path),
            island=await opened.enter_async_context(Island()),
            device_statuses=await store.load_device_status(),
            http_groups=await store.load_http_groups(),
            homecomings=await store.load_homecomings(),
            publications=await published(store, catalog),
            quota_uses=await store.load_quota_uses(),
        )


async def _shielded(opened: SqliteStore | SessionFile) -> None:
    with trio.CancelScope(shield=True):
        await opened.close()


def _limits(settings: Settings) -> StoreLimits:
    log = settings.log
    return StoreLimits(settings.session_store.max_bytes, log.reserve_bytes, log.reserve_percent)
