"""The instance key and what is done with it: digests of secrets that are checked, seals on secrets that are used."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog
import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors.errors import ConfigurationError, PenstockError
from config.resources.identity import Identity
from config.settings import KeySettings
from daemon.store.model import Store

log = structlog.get_logger()

KEY_FILE_NAME = "instance.key"
KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBrokenError(PenstockError):
    """A sealed secret cannot be opened: another key made it, or it was moved or altered."""


class Vault:
    """Holds the instance key (32 bytes); from it one key for each use is derived (HKDF-SHA-256, RFC 5869).

    `check` tells whether a key is this one; `handler_key` makes the handlers of consumed messages.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"an instance key has {KEY_BYTES} bytes, and this one {len(key)}")
        # Set up once and copied: that is what an HMAC costs, and callers are asked for theirs call by call.
        self._digest = HMAC(_derive(key, b"penstock digest"), SHA256())
        self._cipher = AESGCM(_derive(key, b"penstock seal"))
        self.check = _derive(key, b"penstock check")
        self.handler_key = _derive(key, b"penstock handler")

    def digest(self, secret: bytes) -> bytes:
        """HMAC-SHA-256 of a secret; compare with `hmac.compare_digest`."""
        digest = self._digest.copy()
        digest.update(secret)
        return digest.finalize()

    def seal(self, plain: bytes, identity: Identity, field: str) -> bytes:
        """Encrypt (AES-256-GCM); the result opens only for the same resource and field."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, _place(identity, field))

    def open(self, sealed: bytes, identity: Identity, field: str) -> bytes:
        """Decrypt.

        Raises:
            SealBrokenError: made with another key, for another place, or altered.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _place(identity, field))
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError(
                f"{identity}: {field} cannot be opened with this instance key; apply it again with its secret"
            ) from error


async def open_vault(
    store: Store, settings: KeySettings, folder: Path, environment: Mapping[str, str], *, reissue: bool = False
) -> Vault:
    """Find the instance key, or make it for a store that has none yet, and see that it fits the store.

    Args:
        store: knows the check value of the key its secrets were made with.
        settings: where the key is; by default `instance.key` in the data folder.
        folder: the data folder.
        environment: the process environment.
        reissue: accept a key that does not fit and forget every stored secret, which must then be issued again.

    Raises:
        ConfigurationError: the key is missing, malformed, readable by others, or does not fit the store.
    """
    expected = (await store.instance()).key_check
    find = partial(_find_key, settings, folder, environment, may_create=expected is None or reissue)
    key = await trio.to_thread.run_sync(find)
    vault = Vault(key)
    if expected is None:
        await store.set_key_check(vault.check)
    elif not hmac.compare_digest(expected, vault.check):
        if not reissue:
            raise ConfigurationError(
                f"{_where(settings, folder)} is not the instance key that this store's secrets were made with; "
                "put the right key back. A key that is lost means re-issue: start once with "
                "`penstock run --reissue-secrets`, then apply every app, device and connection again with its secrets"
            )
        await store.set_key_check(vault.check, forget_secrets=True)
        log.warning("the instance key is a new one: every secret was forgotten and must be issued again")
    return vault


def key_path(settings: KeySettings, folder: Path) -> Path | None:
    """The file of the instance key; None where an environment variable holds it."""
    return None if settings.env is not None else _path(settings, folder)


def _derive(key: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=use).derive(key)


def _place(identity: Identity, field: str) -> bytes:
    # Neither kinds, names nor fields contain a NUL, so no two places read alike.
    return "\0".join((*identity, field)).encode()


def _where(settings: KeySettings, folder: Path) -> str:
    if settings.env is not None:
        return f"the environment variable {settings.env}"
    return str(_path(settings, folder))


def _path(settings: KeySettings, folder: Path) -> Path:
    return folder / (KEY_FILE_NAME if settings.file is None else settings.file)


def _find_key(settings: KeySettings, folder: Path, environment: Mapping[str, str], *, may_create: bool) -> bytes:
    where = _where(settings, folder)
    if settings.env is not None:
        if settings.env not in environment:
            raise ConfigurationError(f"{where} is not set; it holds the instance key as {2 * KEY_BYTES} hex digits")
        return _from_hex(environment[settings.env].encode(), where)
    path = _path(settings, folder)
    try:
        content = _read_private(path)
    except FileNotFoundError:
        if settings.file is not None or not may_create:
            raise _missing(where, has_secrets=not may_create) from None
        return _create(path)
    except OSError as error:
        raise ConfigurationError(f"{where}, the instance key, cannot be read: {error.strerror}") from error
    return content if len(content) == KEY_BYTES else _from_hex(content, where)


def _missing(where: str, *, has_secrets: bool) -> ConfigurationError:
    if has_secrets:
        return ConfigurationError(
            f"{where}, the instance key, is missing, and the store holds secrets made with it; put it back "
            "(it is part of a backup). A key that is lost means re-issue: start once with "
            "`penstock run --reissue-secrets`, then apply every app, device and connection again with its secrets"
        )
    return ConfigurationError(f"{where}, the instance key, is missing; `openssl rand -hex {KEY_BYTES}` makes one")


def _read_private(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise ConfigurationError(f"{path}, the instance key, is open to others (mode {mode:04o}): chmod 600 {path}")
        return file.read(1024)


def _from_hex(content: bytes, where: str) -> bytes:
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{where} is no instance key: that is {KEY_BYTES} bytes, or {2 * KEY_BYTES} hex digits "
            f"(`openssl rand -hex {KEY_BYTES}` makes one)"
        )
    return key


def _create(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    # Written whole under another name first: a crash half way must not leave half a key behind.
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(path)
    _sync_folder(path.parent)
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
