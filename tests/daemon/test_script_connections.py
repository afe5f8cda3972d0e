"""Databases that scripts name by URL: listed ones alone, pools that are shared, bounded, and closed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio

from actors.errors import ConnectorError, ParameterError
from actors.functions.reach import ScriptDatabase
from actors.ports import QueryResult, ResultLimits
from daemon.script_connections import ScriptConnections
from plugins.api import ConnectorType
from plugins.loader import Connectors

LIMITS = ResultLimits(10, 1000)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    port: int
    database: str
    user: str
    password: str | None
    pool_size: int


class Pool:
    """A connector that answers with what it was asked."""

    def __init__(self, settings: Settings, held: trio.Event, *, slow_to_close: bool) -> None:
        self.settings = settings
        self._slow_to_close = slow_to_close
        self.closed = False
        self._held = held
        self.holds = 0

    async def query(self, sql: str, parameters: Mapping[str, Any], limits: ResultLimits) -> QueryResult:
        assert not self.closed
        assert limits is LIMITS
        if sql == "HOLD":
            self.holds += 1
            await self._held.wait()
        return QueryResult((sql,), [tuple(parameters.values())])

    async def close(self) -> None:
        if self._slow_to_close:
            await trio.sleep(0.05)
        self.closed = True


class World:
    def __init__(self, *allowed: str) -> None:
        self.held = trio.Event()
        self.slow_to_close = False
        self.pools: list[Pool] = []
        self.prepared = 0
        self.library_is_there = True
        types = {
            name: ConnectorType(name, Settings, self._build, prepare=self._prepare) for name in ("mysql", "postgres")
        }
        connectors = Connectors(types)
        self.scripts = ScriptConnections(allowed, connectors, None, LIMITS, most=16, most_of_an_app=4)  # type: ignore[arg-type]

    async def until_held(self, count: int) -> None:
        """Wait until so many statements are held; what comes before them is done in threads."""
        with trio.fail_after(20):
            while sum(pool.holds for pool in self.pools) < count:  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.001)

    def _prepare(self) -> None:
        if not self.library_is_there:
            raise ImportError("no such library")
        self.prepared += 1

    def _build(self, settings: Settings, _host: object) -> Any:
        assert self.prepared > len(self.pools)
        self.pools.append(Pool(settings, self.held, slow_to_close=self.slow_to_close))
        return self.pools[-1]

    async def ask(self, url: str, *values: object, app: str = "a", user: str = "u", type_: str = "mysql", sql: str = "?"
    ) -> QueryResult:  # fmt: skip
        database = ScriptDatabase(type_, url, user, "p")
        return await self.scripts.execute(app, database, sql if values else sql.replace("?", "1"), values)


URL = "jdbc:mysql://127.0.0.1:3306/db?allowPublicKeyRetrieval=true"


async def test_a_connector_that_cannot_get_ready_is_told() -> None:
    """It gets ready before its first pool; where it cannot, the script hears why, and the next finds it mended."""
    world = World("127.0.0.1:3306/db")
    world.library_is_there = False
    with pytest.raises(ConnectorError, match=r"127\.0\.0\.1:3306/db cannot be used: .*no such library"):
        await world.ask(URL)
    world.library_is_there = True
    await world.ask(URL)
    await world.ask(URL)
    assert world.prepared == len(world.pools) == 1


async def test_a_listed_database_is_asked_by_its_url() -> None:
    """With the user and password of the script; what the URL's options say of Java's driver alone does not matter."""
    world = World("127.0.0.1:3306/db")
    result = await world.ask(URL, "Tom", sql="SELECT ?")
    assert (result.columns, result.rows) == (("SELECT :positional_1",), [("Tom",)])
    (pool,) = world.pools
    assert pool.settings == Settings("127.0.0.1", 3306, "db", "u", "p", 4)


@pytest.mark.parametrize(
    ("url", "type_"),
    [
        ("jdbc:mysql://127.0.0.1/db", "mysql"),
        ("mysql://127.0.0.1/db", "mariadb"),
        ("jdbc:mariadb://127.0.0.1:3306/db", "mysql"),
        ("jdbc:mysql://127.0.0.1:3306/db", ""),
        ("JDBC:mysql://127.0.0.1:3306/db".lower(), "MySQL"),
        ("jdbc:mysql://[::1]/db", "mysql"),
    ],
)
async def test_a_database_has_several_names(url: str, type_: str) -> None:
    """A port that is left out is the usual one; MariaDB is MySQL's."""
    world = World("127.0.0.1:3306/db", "[::1]:3306/db")
    assert (await world.ask(url, type_=type_)).columns == ("1",)


@pytest.mark.parametrize(
    "url", [URL.replace("3306", "3307"), URL.replace("/db", "/other"), URL.replace("127.0.0.1", "h")]
)
async def test_what_is_not_listed_is_refused_with_what_to_do(url: str) -> None:
    """The error names the setting, what to list, and the connection to use instead."""
    world = World("127.0.0.1:3306/db")
    with pytest.raises(ConnectorError, match=r"setConnection\(NAME\).*functions\.script_connections") as caught:
        await world.ask(url)
    assert "connection` of app a" in str(caught.value)
    assert world.pools == []


@pytest.mark.parametrize(
    ("url", "type_", "reason"),
    [
        ("nonsense", "mysql", "this is no URL of a database.*setConnection"),
        ("jdbc:oracle://h:1/db", "oracle", "of type oracle are not known"),
        ("jdbc:postgresql://h:1/db", "mysql", "type mysql cannot be named by a URL of postgres"),
        ("jdbc:mysql://h:1/db?allowMultiQueries=true", "mysql", "option allowMultiQueries: only false"),
    ],
)
async def test_what_is_no_database_is_told(url: str, type_: str, reason: str) -> None:
    """A URL that cannot be read, or that does not go with the type."""
    with pytest.raises(ConnectorError, match=reason):
        await World("h:1/db").ask(url, type_=type_)


async def test_a_pool_is_for_one_app_and_one_user() -> None:
    """Calls share it; other apps and users have their own, although the database is the same."""
    world = World("127.0.0.1:3306/db")
    for _ in range(3):
        await world.ask(URL)
    await world.ask(URL, app="b")
    await world.ask(URL, user="v")
    assert len(world.pools) == 3


async def test_values_must_fit_their_places() -> None:
    """Told before anything is opened."""
    world = World("127.0.0.1:3306/db")
    with pytest.raises(ParameterError, match=r"1 `\?` for 2 values"):
        await world.ask(URL, 1, 2)
    assert world.pools == []


async def test_an_app_that_names_many_databases_takes_nobody_elses_place() -> None:
    """Beyond its share its own pool makes room, the one at rest for longest; others keep theirs."""
    world = World("127.0.0.1:3306/db")
    for name in "bc":
        await world.ask(URL, app=name)
    for number in range(4):
        await world.ask(URL, user=str(number))
    await world.ask(URL, user="0")
    for number in range(4, 30):
        await world.ask(URL, user=str(number))
    left = [(pool.settings.user, index < 2) for index, pool in enumerate(world.pools) if not pool.closed]
    assert left == [("u", True), ("u", True), *[(str(number), False) for number in range(26, 30)]]


async def test_an_app_whose_share_is_in_use_is_told_so() -> None:
    """By name of the setting; another app is served, and so is the same one once a call of it has ended."""
    world = World("127.0.0.1:3306/db")
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(lambda number=number: world.ask(URL, user=str(number), sql="HOLD"))
        await world.until_held(4)
        with pytest.raises(ConnectorError, match=r"app a has 4 databases in use.*functions\.script_databases_per_app"):
            await world.ask(URL, user="late")
        await world.ask(URL, user="0")
        await world.ask(URL, app="b")
        world.held.set()
    await world.ask(URL, user="late")
    assert sum(pool.closed for pool in world.pools) == 1
    assert not any(pool.closed for pool in world.pools[4:])


async def test_a_database_that_cannot_be_opened_costs_nobody_his_pool() -> None:
    """The settings are refused before anything is closed."""
    world = World("127.0.0.1:3306/db")
    for number in range(4):
        await world.ask(URL, user=str(number))
    with pytest.raises(ConnectorError, match="cannot be used"):
        await world.ask(f"{URL}&connectTimeout=5000", user="late")
    assert not any(pool.closed for pool in world.pools)


async def test_many_at_once_stay_within_the_bounds() -> None:
    """However slowly pools are closed, no more are open than may be."""
    world = World("127.0.0.1:3306/db")
    world.slow_to_close = True
    answered = []

    async def ask(number: int) -> None:
        with suppress(ConnectorError):
            answered.append(await world.ask(URL, app=str(number % 10), user=str(number)))
        assert world.scripts.open <= 16

    for _ in range(2):
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(ask, number)
    assert (len(answered) >= 32, world.scripts.open) == (True, 16)
    await world.scripts.close()
    assert all(pool.closed for pool in world.pools)


async def test_pools_are_bounded_and_the_oldest_makes_room() -> None:
    """One that is in use is never closed under its user; when all are in use, the next is told so."""
    world = World("127.0.0.1:3306/db")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: world.ask(URL, app="holder", sql="HOLD"))
        await world.until_held(1)
        for number in range(20):
            await world.ask(URL, app=str(number))
        assert [pool.closed for pool in world.pools] == [False, *[True] * 5, *[False] * 15]
        for number in range(15):
            nursery.start_soon(lambda number=number: world.ask(URL, app=f"h{number}", sql="HOLD"))
        await world.until_held(16)
        with pytest.raises(ConnectorError, match=r"16 databases are in use.*functions\.script_databases"):
            await world.ask(URL, app="late")
        world.held.set()


async def test_what_nobody_uses_is_closed(autojump_clock: trio.abc.Clock) -> None:
    """After a minute; and all of them at the end."""
    world = World("127.0.0.1:3306/db")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.scripts.sweep)
        await world.ask(URL)
        await trio.sleep(59)
        assert not world.pools[0].closed
        await trio.sleep(40)
        assert world.pools[0].closed
        await world.ask(URL)
        nursery.cancel_scope.cancel()
    await world.scripts.close()
    assert all(pool.closed for pool in world.pools)
