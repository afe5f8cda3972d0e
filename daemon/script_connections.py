"""Databases that scripts name by URL, as scripts of other platforms do: only those that the operator lists."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
_MOST_OPEN = 16
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
    """

    def __init__(self, allowed: Iterable[str], connectors: Connectors, host: Host, limits: ResultLimits) -> None:
        self._allowed = frozenset(one.lower() for one in allowed)
        self._connectors = connectors
        self._host = host
        self._limits = limits
        self._open: OrderedDict[_Key, _Open] = OrderedDict()

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
        using = await self._take(key)
        try:
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
                    await self._close(key)

    async def close(self) -> None:
        """Close all of them; the next statement opens a new one."""
        while self._open:
            await self._close(next(iter(self._open)))

    async def _take(self, key: _Key) -> _Open:
        if key not in self._open:
            await self._prepare(key)
        found = self._open.get(key)
        if found is None:
            if len(self._open) >= _MOST_OPEN:
                await self._make_room()
            found = self._open.get(key) or self._build(key)
        self._open.move_to_end(key)
        found.users += 1
        return found

    async def _make_room(self) -> None:
        oldest = next((key for key, one in self._open.items() if not one.users), None)
        if oldest is None:
            raise ConnectorError(f"{_MOST_OPEN} databases are in use by scripts already; try again")
        await self._close(oldest)

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
        opened = self._open[key] = _Open(built, last_used=trio.current_time())
        return opened

    async def _close(self, key: _Key) -> None:
        one = self._open.pop(key)
        with trio.CancelScope(shield=True):
            await one.connector.close()


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
