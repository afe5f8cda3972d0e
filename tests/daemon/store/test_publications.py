"""Published versions and deployed backends in the metadata database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.gateway_route.published import Published
from config.resources import Backend, MockBackend, Route, RouteBackend, RouteRequest
from config.resources.identity import Identity
from daemon.publishing.publications import Publications
from daemon.store.model import Meta, StoredResource
from daemon.store.publications import MOST_VERSIONS, Deployed, Publication, Served, StoredPublications, Version
from daemon.store.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


def route(name: str = "r") -> Route:
    backend = RouteBackend(mock=MockBackend(body={"a": [1, "x"]}))
    return Route(name=name, app="a", request=RouteRequest(path="/r"), backend=backend)


def version(number: int, environment: str = "RELEASE", name: str = "r") -> Published:
    one = route(name)
    return Published(route=one, backend=one.backend, environment=environment, version=number)


def publication(number: int, environment: str = "RELEASE", name: str = "r") -> Publication:
    one = version(number, environment, name)
    return Publication((Version(one, 1000 + number, "why"),), (Served(name, environment, number),))


async def test_what_is_served_is_loaded_as_it_was_published(store: SqliteStore) -> None:
    """Snapshots by environment, the last number of each route, and deployed backends; memory holds the same."""
    backend = Backend(name="b", app="a", path="/b", mock=MockBackend())
    deployed = Publication(deployed=(Deployed(backend, 3, 99),))
    known = Publications()
    for one in (publication(1), publication(2, "dev"), publication(1, name="s"), deployed):
        await store.apply([], [], one)
        known.put(one)
    loaded = await store.load_publications()
    assert set(map(repr, loaded.served)) == set(map(repr, known))
    assert (loaded.last, loaded.deployed) == ({"r": 2, "s": 1}, {"b": Deployed(backend, 3, 99)})
    assert (known.last("r"), known.deployed("b")) == (2, Deployed(backend, 3, 99))
    assert known.served("r") == {"RELEASE": version(1), "dev": version(2, "dev")}


async def test_a_switch_and_an_end_change_only_what_is_served(store: SqliteStore) -> None:
    """Versions stay, the newest first in the history, whichever of them is served."""
    await store.apply([], [], publication(1))
    await store.apply([], [], publication(2))
    await store.apply([], [], Publication(served=(Served("r", "RELEASE", 1),)))
    history = await store.load_versions("r")
    assert [(one.version, one.at, one.remark, one.served) for one in history] == [
        (2, 1002, "why", False),
        (1, 1001, "why", True),
    ]
    await store.apply([], [], Publication(served=(Served("r", "RELEASE", None),)))
    assert (await store.load_publications()).served == ()
    assert await store.load_version("r", 2) == version(2)
    assert await store.load_version("r", 3) is None


async def test_old_versions_go_but_never_the_one_that_is_served(store: SqliteStore) -> None:
    """So many newest ones are kept by environment; numbers are not given twice."""
    await store.apply([], [], publication(1, "dev"))
    await store.apply([], [], publication(2))
    for number in range(3, MOST_VERSIONS + 10):
        one = Publication((Version(version(number), number),))
        await store.apply([], [], one)
    kept = [one.version for one in await store.load_versions("r")]
    assert kept == [*range(MOST_VERSIONS + 9, 9, -1), 2, 1]
    assert (await store.load_publications()).last == {"r": MOST_VERSIONS + 9}


async def test_whoever_is_gone_leaves_nothing(store: SqliteStore) -> None:
    """A route of the same name begins anew; a put of the resource takes nothing away."""
    stored = StoredResource(route(), Meta(1, 1, 1))
    await store.apply([stored], [], publication(1))
    await store.apply([stored])
    assert len((await store.load_publications()).served) == 1
    await store.apply([], [Identity("route", "r")])
    assert await store.load_publications() == StoredPublications()
    assert await store.load_versions("r") == []


async def test_publications_and_resources_are_stored_together_or_not_at_all(store: SqliteStore) -> None:
    """A number that is taken refuses the whole change."""
    await store.apply([], [], publication(1))
    with pytest.raises(Exception, match="UNIQUE"):
        await store.apply([StoredResource(route(), Meta(1, 1, 1))], [], publication(1))
    assert await store.load_all() == []
