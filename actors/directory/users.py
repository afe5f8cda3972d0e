"""Users: the tokens that stand for them, and the keys that they sign with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from hmac import compare_digest

import msgspec

from actors.directory.entries import AccessKeyEntry, UserEntry
from actors.directory.lockout import Lockout
from actors.errors import PenstockError

_PURPOSE = b"user token\0"
_MAX_TOKEN = 1024


class TokenError(PenstockError):
    """A token that stands for nobody."""


class TokenExpiredError(TokenError):
    """A token that stood for somebody until its time was over."""


class _Claims(msgspec.Struct, frozen=True, array_like=True):
    user: str
    expires: int


class Users:
    """Users as they are now. `digest` is HMAC-SHA-256 under the instance key.

    A token is its user and the second of its end with a digest of both and of the user's password hash: it needs to be
    kept nowhere, outlives a restart, and ends with the password or the user. `passwords` and `keys` count who fails:
    names of users that log in, and access keys that sign.
    """

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self._digest = digest
        self._users: dict[str, UserEntry] = {}
        self._keys: dict[str, dict[str, AccessKeyEntry]] = {}
        self.passwords = Lockout()
        self.keys = Lockout()

    def put(self, user: UserEntry) -> None:
        """Add a user, or replace the one of that name."""
        before = self._users.get(user.name)
        if before == user:
            return
        self._forget_keys(before, keeping=frozenset(user.access_keys))
        self._users[user.name] = user
        for key in user.access_keys:
            self._keys.setdefault(key.key, {})[user.name] = key
        if before is not None and before.password != user.password:
            self.passwords.passed(user.name)

    def remove(self, name: str) -> None:
        """Take a user away, where they are there."""
        self._forget_keys(self._users.pop(name, None))
        self.passwords.passed(name)

    def get(self, name: str) -> UserEntry | None:
        """The user of that name."""
        return self._users.get(name)

    def keys_named(self, key: str) -> Iterable[AccessKeyEntry]:
        """The access keys of this name, of users that are enabled."""
        return [one for user, one in self._keys.get(key, {}).items() if self._users[user].enabled]

    def issue(self, user: UserEntry, expires: int) -> str:
        """A token that stands for a user until `expires`, in seconds since the epoch; ASCII without blanks."""
        payload = msgspec.json.encode(_Claims(user.name, expires))
        return f"{_text(payload)}.{_text(self._seal(payload, user))}"

    def holder(self, token: str, now: float) -> UserEntry:
        """The user whom a token stands for.

        Raises:
            TokenExpiredError: its time is over.
            TokenError: it was never issued, or the user is gone, disabled or has another password.
        """
        payload, seal = _parts(token)
        try:
            claims = msgspec.json.decode(payload, type=_Claims)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TokenError("the token is malformed") from error
        user = self._users.get(claims.user)
        if user is None or not compare_digest(self._seal(payload, user), seal) or not user.enabled:
            raise TokenError("the token stands for nobody")
        if claims.expires <= now:
            raise TokenExpiredError("the token has expired")
        return user

    def _seal(self, payload: bytes, user: UserEntry) -> bytes:
        return self._digest(_PURPOSE + payload + b"\0" + user.password.encode())

    def _forget_keys(self, user: UserEntry | None, keeping: frozenset[AccessKeyEntry] = frozenset()) -> None:
        for key in () if user is None else user.access_keys:
            holders = self._keys.get(key.key, {})
            holders.pop(key.user, None)
            if not holders:
                self._keys.pop(key.key, None)
            if key not in keeping:
                self.keys.passed(key.key)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _parts(token: str) -> tuple[bytes, bytes]:
    payload, dot, seal = token.partition(".")
    if not dot or len(token) > _MAX_TOKEN or not token.isascii():
        raise TokenError("the token is malformed")
    try:
        return _bytes(payload), _bytes(seal)
    except binascii.Error as error:
        raise TokenError("the token is malformed") from error


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
