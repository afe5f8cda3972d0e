"""An instance of which only the engine is a fake: real store, real vault, real service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.load import resolve_secret
from config.resources.base import Secret, SecretReference
from config.settings import KeySettings
from daemon.catalog.catalog import Catalog
from daemon.catalog.credentials import Credentials
from daemon.catalog.service import CatalogService
from daemon.store.sqlite import SqliteStore
from daemon.vault import Vault, open_vault
from plugins.api import ConnectorType, Host
from tests.fakes.engine import FakeEngine

PARKING = Path(__file__).parents[2] / "config" / "examples" / "parking.yaml"


class RemoteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of a connector with a secret."""

    host: str
    password: Secret = None


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of a connector without one."""

    path: str


def _never_built(_settings: Any, _host: Host) -> Any:
    raise AssertionError("the engine builds connectors, and this one is a fake")


CONNECTORS = {
    "sqlite": ConnectorType("sqlite", FileSettings, _never_built),
    "remote": ConnectorType("remote", RemoteSettings, _never_built, ("password",)),
}


@dataclass
class Instance:
    """One instance, which can be opened again to see what a restart would find."""

    folder: Path
    store: SqliteStore
    vault: Vault
    engine: FakeEngine
    catalog: Catalog
    service: CatalogService
    credentials: Credentials
    environment: dict[str, str]

    async def reopened(self) -> Instance:
        await self.store.close()
        again = await open_instance(self.folder, self.environment)
        self.store = again.store
        return again


async def open_instance(folder: Path, environment: dict[str, str]) -> Instance:
    def resolve(reference: SecretReference) -> str:
        return resolve_secret(reference, environment) or ""

    store = await SqliteStore.open(folder)
    vault = await open_vault(store, KeySettings(), folder, environment)
    catalog = Catalog(await store.load_all())
    engine = FakeEngine()
    service = CatalogService(
        catalog=catalog, store=store, vault=vault, engine=engine, connectors=CONNECTORS, resolve=resolve
    )
    credentials = Credentials(catalog, vault, resolve)
    return Instance(folder, store, vault, engine, catalog, service, credentials, environment)


@pytest.fixture
async def instance(tmp_path: Path) -> AsyncIterator[Instance]:
    opened = await open_instance(tmp_path, {})
    try:
        yield opened
    finally:
        await opened.store.close()


@pytest.fixture
def parking() -> bytes:
    return PARKING.read_bytes()
