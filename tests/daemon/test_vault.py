"""The instance key: digests, seals, and whether it fits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.errors import ConfigurationError
from config.resources import App
from config.resources.identity import Identity
from config.settings import KeySettings
from daemon.store import Meta, StoredResource, StoredSecret
from daemon.store.sqlite import SqliteStore
from daemon.vault import SealBrokenError, Vault, open_vault

APP = Identity("app", "city")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path)
    yield opened
    await opened.close()


def test_a_digest_depends_on_secret_and_key() -> None:
    """The same secret under the same key has the same digest; any other has another, and none shows the secret."""
    vault = Vault(bytes(32))
    assert vault.digest(b"secret") == Vault(bytes(32)).digest(b"secret")
    assert len({vault.digest(b"secret"), vault.digest(b"Secret"), Vault(b"k" * 32).digest(b"secret")}) == 3
    assert b"secret" not in vault.digest(b"secret")


def test_a_seal_opens_only_where_it_was_made() -> None:
    """A sealed secret that is altered, moved to another resource or field, or met with another key stays closed."""
    vault = Vault(bytes(32))
    sealed = vault.seal(b"plain", APP, "secret")
    assert vault.open(sealed, APP, "secret") == b"plain"
    assert b"plain" not in sealed
    assert vault.seal(b"plain", APP, "secret") != sealed
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for case in (
        lambda: vault.open(altered, APP, "secret"),
        lambda: vault.open(sealed[:5], APP, "secret"),
        lambda: vault.open(sealed, Identity("app", "town"), "secret"),
        lambda: vault.open(sealed, APP, "other"),
        lambda: Vault(b"k" * 32).open(sealed, APP, "secret"),
    ):
        with pytest.raises(SealBrokenError, match="cannot be opened with this instance key"):
            case()


async def test_the_key_is_made_once_and_private(store: SqliteStore, tmp_path: Path) -> None:
    """A fresh data folder gets a key that only its owner reads, and keeps it."""
    first = await open_vault(store, KeySettings(), tmp_path, {})
    second = await open_vault(store, KeySettings(), tmp_path, {})
    key = tmp_path / "instance.key"
    assert first.digest(b"x") == second.digest(b"x")
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert not (tmp_path / "instance.key.new").exists()


async def test_a_key_that_is_gone_is_not_silently_replaced(store: SqliteStore, tmp_path: Path) -> None:
    """Without its key a store with secrets does not start, and says that lost means re-issue."""
    await open_vault(store, KeySettings(), tmp_path, {})
    (tmp_path / "instance.key").unlink()
    with pytest.raises(ConfigurationError, match=r"instance\.key.* is missing.*lost means re-issue"):
        await open_vault(store, KeySettings(), tmp_path, {})
    assert not (tmp_path / "instance.key").exists()


async def test_a_key_that_does_not_fit_is_told(store: SqliteStore, tmp_path: Path) -> None:
    """Another instance's key is refused at start, before a device is turned away because of it."""
    await open_vault(store, KeySettings(), tmp_path, {})
    (tmp_path / "instance.key").write_bytes(b"k" * 32)
    with pytest.raises(ConfigurationError, match=r"is not the instance key.*lost means re-issue"):
        await open_vault(store, KeySettings(), tmp_path, {})


@pytest.mark.parametrize("replacement", [None, b"k" * 32])
async def test_reissue_takes_another_key_and_forgets_secrets(
    store: SqliteStore, tmp_path: Path, replacement: bytes | None
) -> None:
    """Asked to re-issue, the store keeps its resources, forgets its secrets, and fits the new key from then on."""
    await open_vault(store, KeySettings(), tmp_path, {})
    await store.apply(
        [StoredResource(App(name="city"), Meta(1, 1, 1), {"secret": StoredSecret("sealed", b"under the old key")})]
    )
    (tmp_path / "instance.key").unlink()
    if replacement is not None:
        (tmp_path / "instance.key").touch(0o600)
        (tmp_path / "instance.key").write_bytes(replacement)
    vault = await open_vault(store, KeySettings(), tmp_path, {}, reissue=True)
    assert (await open_vault(store, KeySettings(), tmp_path, {})).check == vault.check
    assert [dict(one.secrets) for one in await store.load_all()] == [{}]


async def test_a_key_from_environment_or_file(store: SqliteStore, tmp_path: Path) -> None:
    """The key may come from a variable (hex) or another file (raw or hex), and is the same key either way."""
    text = bytes(range(32)).hex()
    other = tmp_path / "elsewhere.key"
    other.touch(0o600)
    from_environment = await open_vault(store, KeySettings(env="KEY"), tmp_path, {"KEY": text})
    for content in (text.encode() + b"\n", bytes(range(32))):
        other.write_bytes(content)
        assert (await open_vault(store, KeySettings(file=str(other)), tmp_path, {})).check == from_environment.check
    assert not (tmp_path / "instance.key").exists()


@pytest.mark.parametrize(
    ("settings", "content", "reason"),
    [
        (KeySettings(env="KEY"), None, "the environment variable KEY is not set"),
        (KeySettings(env="SHORT"), None, "SHORT is no instance key: that is 32 bytes, or 64 hex digits"),
        (KeySettings(file="my.key"), None, r"my\.key, the instance key, is missing; `openssl rand"),
        (KeySettings(file="my.key"), b"short", r"my\.key is no instance key"),
        (KeySettings(file="my.key"), "ключ".encode(), r"my\.key is no instance key"),
        (KeySettings(file="."), None, "the instance key, cannot be read: Is a directory"),
    ],
)
async def test_a_key_that_is_none_says_where_and_why(
    store: SqliteStore, tmp_path: Path, settings: KeySettings, content: bytes | None, reason: str
) -> None:
    """Each way of not having a key is one clear line, without the key's content."""
    if content is not None:
        (tmp_path / "my.key").touch(0o600)
        (tmp_path / "my.key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        await open_vault(store, settings, tmp_path, {"SHORT": "abc"})


async def test_a_key_that_others_can_read_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    """As ssh does with its keys: a key that is not private is no key."""
    (tmp_path / "instance.key").touch(0o644)
    (tmp_path / "instance.key").write_bytes(bytes(32))
    with pytest.raises(ConfigurationError, match=r"open to others \(mode 0644\): chmod 600"):
        await open_vault(store, KeySettings(), tmp_path, {})
