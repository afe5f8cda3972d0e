"""Deployed versions of functions in the metadata database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.resources import Function
from config.resources.identity import Identity
from daemon.publishing.publications import Publications
from daemon.store.function_versions import MOST_FUNCTION_VERSIONS, FunctionVersion
from daemon.store.publications import Publication
from daemon.store.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


def version(number: int, name: str = "f") -> FunctionVersion:
    function = Function(name=name, app="a", language="javascript", source=f"// {number}")
    return FunctionVersion(function, number, 1000 + number, "why")


def deployed(number: int, name: str = "f") -> Publication:
    one = (version(number, name),)
    return Publication(functions=one, running=one)


async def test_what_runs_is_loaded_as_it_was_deployed(store: SqliteStore) -> None:
    """The version that runs, and the number of the last; memory holds the same."""
    known = Publications()
    switched = Publication(running=(version(1),))
    for one in (deployed(1), deployed(2), deployed(1, "g"), switched):
        await store.apply([], [], one)
        known.put(one)
    loaded = await store.load_publications()
    assert loaded.running == {"f": version(1), "g": version(1, "g")}
    assert loaded.last_functions == {"f": 2, "g": 1}
    assert (known.running("f"), known.last_function("f")) == (version(1), 2)
    assert Publications(loaded).running("g") == version(1, "g")
    history = await store.load_function_versions("f")
    assert [(one.version, one.at, one.remark, one.running) for one in history] == [
        (2, 1002, "why", False),
        (1, 1001, "why", True),
    ]
    assert await store.load_function_version("f", 2) == version(2)
    assert await store.load_function_version("f", 3) is None


async def test_old_versions_go_but_never_the_one_that_runs(store: SqliteStore) -> None:
    """So many are kept of each function."""
    await store.apply([], [], deployed(1))
    for number in range(2, MOST_FUNCTION_VERSIONS + 5):
        await store.apply([], [], Publication(functions=(version(number),)))
    kept = [one.version for one in await store.load_function_versions("f")]
    assert kept == [*range(MOST_FUNCTION_VERSIONS + 4, 4, -1), 1]


async def test_versions_of_a_function_that_is_gone_are_forgotten(store: SqliteStore) -> None:
    """Another one of its name begins at 1."""
    known = Publications()
    known.put(deployed(1))
    await store.apply([], [], deployed(1))
    await store.apply([], [Identity("function", "f")])
    known.forget(Identity("function", "f"))
    assert (await store.load_publications()).running == {}
    assert (known.running("f"), known.last_function("f")) == (None, 0)
