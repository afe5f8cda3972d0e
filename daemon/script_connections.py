"""Databases that scripts name by URL, as scripts of other platforms do: only those that the operator lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import msgspec
import trio

from actors.errors import ConnectorError, PenstockError, StatementError
from actors.functions.reach import ScriptDatabase
from actors.ports import Connector, QueryResult, ResultLimits
from plugins.api import Host
from plugins.loader import Connectors, prepare
from plugins.sql.jdbc_url import CONNECTORS, JdbcTarget, parse_jdbc_url
from plugins.sql.positional import named

_POOL_SIZE = 4
_IDLE_SECONDS = 60.0


class _Place(NamedTuple):
    """Where a database is, and which connector speaks to it."""

    connector: str
    host: str
    port: int
    database: str

    @property
    def listed_as(self) -> str:
        """As the setting has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.database}"


class _Key(NamedTuple):
    """Whom a pool is for: apps share none, nor do different users of a database."""

    app: str
    place: _Place
    user: str
    password: str
    settings: tuple[tuple[str, Any], ...]


@dataclass(slots=True)
class _Open:
    """A pool that is open; it is closed once nobody has used it for a while."""

    connector: Connector
    users: int = 0
    last_used: float = 0.0


class ScriptConnections:
    """Pools for databases that scripts name (see `ScriptDatabases`); what is not used for a minute is closed.

    A database of the list is called whatever its address is: listing it is how the operator allows it.
    At most `most` pools are open, and `most_of_an_app` for one app, so that no app takes them all. The one that rests
    for longest makes room: of the app itself where it has as many as it may, else of all; never one that is in use.
    """

    def __init__(
        self,
        allowed: Iterable[str],
        connectors: Connectors,
        host: Host,
        limits: ResultLimits,
        *,
        most: int,
        most_of_an_app: int,
    ) -> None:
        self._allowed = frozenset(one.lower() for one in allowed)
        self._connectors = connectors
        self._host = host
        self._limits = limits
        self._most = most
        self._most_of_an_app = most_of_an_app
        self._open: dict[_Key, _Open] = {}

    @property
    def open(self) -> int:
        """How many pools are open."""
        return len(self._open)

    async def execute(self, app: str, database: ScriptDatabase, sql: str, values: Sequence[object]) -> QueryResult:
        """Run one statement in a database that is listed.

        Raises:
            ConnectorError: it is not listed, or did not do what it was asked.
        """
        target = _target(database)
        place = _Place(target.connector, target.host, target.port, target.database)
        if place.listed_as.lower() not in self._allowed:
            raise ConnectorError(
                f"scripts may not name the database {place.listed_as}: set a `connection` of app {app} instead "
                f"(config.setConnection(NAME), of connector {place.connector}), or have the operator list "
                f"{place.listed_as} in the setting functions.script_connections"
            )
        text, parameters = named(sql, values, backslashes=place.connector == "mysql")
        user, password = database.user or target.user, database.password or target.password
        key = _Key(app, place, user, password, tuple(sorted(target.settings.items())))
        using, too_many = await self._take(key)
        try:
            if too_many is not None:
                await _close(too_many)
            return await using.connector.query(text, parameters, self._limits)
        finally:
            using.users -= 1
            using.last_used = trio.current_time()

    async def sweep(self) -> None:
        """Close pools that nobody uses, until cancelled."""
        while True:
            await trio.sleep(_IDLE_SECONDS / 4)
            since = trio.current_time() - _IDLE_SECONDS
            for key, one in tuple(self._open.items()):
                if self._open.get(key) is one and not one.users and one.last_used < since:
                    await _close(self._open.pop(key))

    async def close(self) -> None:
        """Close all of them; the next statement opens a new one."""
        while self._open:
            await _close(self._open.popitem()[1])

    async def _take(self, key: _Key) -> tuple[_Open, _Open | None]:
        """The pool, and the one that has made room for it, which is to be closed; nothing waits between the two."""
        if key not in self._open:
            await self._prepare(key)
        found, too_many = self._open.get(key), None
        if found is None:
            resting = self._who_makes_room(key.app)
            built = self._build(key)
            too_many = self._open.pop(resting) if resting is not None else None
            found = self._open[key] = built
        found.users += 1
        return found, too_many

    def _who_makes_room(self, app: str) -> _Key | None:
        """Whose place a new pool takes; None where there is a free one."""
        own = [key for key in self._open if key.app == app]
        if len(own) >= self._most_of_an_app:
            return self._longest_at_rest(own) or _refuse(
                f"app {app} has {len(own)} databases in use by URL already, and may have no more at a time",
                "script_databases_per_app",
            )
        if len(self._open) >= self._most:
            return self._longest_at_rest(self._open) or _refuse(
                f"{len(self._open)} databases are in use by scripts of all apps already", "script_databases"
            )
        return None

    def _longest_at_rest(self, keys: Iterable[_Key]) -> _Key | None:
        resting = (key for key in keys if not self._open[key].users)
        return min(resting, key=lambda key: self._open[key].last_used, default=None)

    async def _prepare(self, key: _Key) -> None:
        try:
            await prepare(self._connectors.named(key.place.connector))
        except PenstockError as error:
            raise _unusable(key, error) from error

    def _build(self, key: _Key) -> _Open:
        place = key.place
        settings = {
            **dict(key.settings),
            "host": place.host,
            "port": place.port,
            "database": place.database,
            "user": key.user,
            "password": key.password or None,
            "pool_size": _POOL_SIZE,
        }
        try:
            connector = self._connectors.named(place.connector)
            built = connector.build(msgspec.convert(settings, connector.settings), self._host)
        except (PenstockError, msgspec.ValidationError) as error:
            raise _unusable(key, error) from error
        return _Open(built)


async def _close(one: _Open) -> None:
    with trio.CancelScope(shield=True):
        await one.connector.close()


def _refuse(problem: str, setting: str) -> NoReturn:
    raise ConnectorError(
        f"{problem}; try again, use a `connection` instead, or have the operator raise the setting functions.{setting}"
    )


def _unusable(key: _Key, error: Exception) -> ConnectorError:
    return ConnectorError(f"the database {key.place.listed_as} cannot be used: {error}")


def _target(database: ScriptDatabase) -> JdbcTarget:
    try:
        target = parse_jdbc_url(database.url)
    except StatementError as error:
        raise ConnectorError(f"{error}; or use a `connection` of the app: config.setConnection(NAME)") from error
    if database.type and CONNECTORS.get(database.type.lower()) != target.connector:
        kinds = ", ".join(CONNECTORS)
        raise ConnectorError(
            f"a database of type {database.type} cannot be named by a URL of {target.connector}; types: {kinds}"
        )
    return target
