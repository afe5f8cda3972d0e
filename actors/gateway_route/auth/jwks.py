"""The public keys of those who issue bearer tokens (JWK sets, RFC 7517): kept for a while, and fetched anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
import structlog
import trio

from actors.errors import PenstockError
from config.resources import Jwt

log = structlog.get_logger()

FetchKeys = Callable[[Jwt], Awaitable[bytes]]
"""Reads the key set that a route names; raises KeySourceError."""

LoadKey = Callable[[dict[str, Any]], Any]
"""Makes what the library for tokens checks with out of one key of a set; raises ValueError."""

# Tokens with made-up key ids, and sources that fail, make nobody fetch more often than this, unless keys are kept for
# less than that.
_PAUSE_SECONDS = 10.0
# A source that is down does not shut out those whose keys are known, but not for ever: a key may have been withdrawn.
_STALE_FACTOR = 12
_MAX_KEYS = 100
# RFC 7518 3.3 and 3.4: which keys go with which algorithms; symmetric ones are never taken from a set of public keys.
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeySourceError(PenstockError):
    """A key set could not be read; says why."""


class Key(NamedTuple):
    """A public key; `algorithm` is None where its set leaves that open."""

    id: str | None
    type: str
    algorithm: str | None
    loaded: Any

    def fits(self, key_id: str | None, algorithm: str) -> bool:
        """Whether a token of this header may have been signed by it."""
        if key_id is not None and self.id is not None and key_id != self.id:
            return False
        return _KEY_TYPES.get(algorithm[:2]) == self.type and self.algorithm in (None, algorithm)


class KeySet:
    """The keys of one source. `clock` never goes back; it counts seconds."""

    def __init__(self, settings: Jwt, fetch: FetchKeys, load: LoadKey, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._fetch = fetch
        self._load = load
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._turn = trio.Lock()

    @property
    def fresh(self) -> bool:
        """Whether the keys need not be read again yet."""
        return self._read_at is not None and self._clock() - self._read_at < self._settings.cache_seconds

    def find(self, key_id: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed a token of this header."""
        return [key for key in self._keys if key.fits(key_id, algorithm)]

    async def renew(self) -> None:
        """Read the keys again, but for those who ask shortly after one another; also used for keys not seen before.

        Raises:
            KeySourceError: there are none, or they are too old to be trusted, and they cannot be read.
        """
        asked_at = self._clock()
        async with self._turn:
            if self._may_read(asked_at):
                self._tried_at = self._clock()
                try:
                    self._keys = parse_keys(await self._fetch(self._settings), self._load)
                    self._read_at = self._clock()
                except KeySourceError as error:
                    log.warning("token keys cannot be read", source=self._source, reason=str(error))
        if self._read_at is None or self._clock() - self._read_at > self._settings.cache_seconds * _STALE_FACTOR:
            raise KeySourceError("the keys that tokens are checked with cannot be read")

    def _may_read(self, asked_at: float) -> bool:
        if self._read_at is not None and self._read_at >= asked_at:
            return False  # while this one waited its turn
        pause = min(_PAUSE_SECONDS, self._settings.cache_seconds)
        return self._tried_at is None or self._clock() - self._tried_at >= pause

    @property
    def _source(self) -> str:
        return self._settings.jwks_file or (self._settings.jwks_url or "").partition("?")[0]


class KeySets:
    """The key sets of all routes; routes that name the same source share one, which goes with the last of them."""

    def __init__(self, fetch: FetchKeys, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._sets: WeakValueDictionary[tuple[str | None, str | None, int], KeySet] = WeakValueDictionary()

    def of(self, settings: Jwt, load: LoadKey) -> KeySet:
        """The key set that a route names."""
        place = (settings.jwks_file, settings.jwks_url, settings.cache_seconds)
        found = self._sets.get(place)
        if found is None:
            found = self._sets[place] = KeySet(settings, self._fetch, load, self._clock)
        return found


def parse_keys(data: bytes, load: LoadKey) -> tuple[Key, ...]:
    """The keys of a set that tokens can be checked with; others (symmetric, private, for encryption) are left out.

    Raises:
        KeySourceError: it is no key set.
    """
    try:
        found = msgspec.json.decode(data)["keys"]
        if not isinstance(found, list) or len(found) > _MAX_KEYS:
            raise KeySourceError(f"`keys` must be a list of at most {_MAX_KEYS} keys")
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, RecursionError) as error:
        raise KeySourceError("it is no key set: a JSON object with `keys` (RFC 7517 5)") from error
    return tuple(key for one in found if (key := _parse_key(one, load)) is not None)


def _parse_key(one: object, load: LoadKey) -> Key | None:
    if not isinstance(one, dict) or one.get("use", "sig") != "sig" or "d" in one:
        return None
    key_type, key_id, algorithm = one.get("kty"), one.get("kid"), one.get("alg")
    if key_type not in _KEY_TYPES.values() or not isinstance(key_id, str | None):
        return None
    if not isinstance(algorithm, str | None):
        return None
    try:
        return Key(key_id, str(key_type), algorithm, load(one))
    except ValueError:
        return None  # of a kind that this library does not know; RFC 7517 5: such are ignored
