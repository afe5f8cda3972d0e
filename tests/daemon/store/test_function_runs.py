"""The last runs of functions in the metadata database."""

from __future__ import annotations

import time

from actors.functions.runs import LogLine, Run, RunChanges
from config.resources import Function
from config.resources.identity import Identity
from daemon.store.model import Meta, StoredResource
from daemon.store.sqlite import SqliteStore

HALF = "\ud800"


def run(number: int, **more: object) -> Run:
    lines = (LogLine(0.25, 'asked "you"'), LogLine(0.5, "Grüße"))
    one = Run(number, 1_700_000_000_000, 2, "a", "route lots", 3, 1, 0.5, 0.75, "failed", "no lot", 7, lines, 4)
    return one._replace(**more)  # type: ignore[arg-type]


def function(name: str) -> StoredResource:
    return StoredResource(Function(name=name, app="a", language="javascript", source="//"), Meta(1, 0, 0))


async def save(store: SqliteStore, name: str, *new: Run, gone: tuple[int, ...] = ()) -> None:
    await store.save_function_runs({name: RunChanges(new, gone)})


async def test_runs_are_loaded_as_they_were_stored(store: SqliteStore) -> None:
    """By function, in the order of their numbers, with their lines; those that are gone are not."""
    await store.apply([function("f"), function("g")])
    await save(store, "f", run(10), run(9), run(2, lines=(), outcome="done"))
    await save(store, "g", run(1))
    assert await store.load_function_runs() == {
        "f": [run(2, lines=(), outcome="done"), run(9), run(10)],
        "g": [run(1)],
    }
    await save(store, "f", run(11), run(10, reason="anew"), gone=(2, 9, 99))
    assert (await store.load_function_runs())["f"] == [run(10, reason="anew"), run(11)]


async def test_a_function_takes_its_runs_with_it(store: SqliteStore) -> None:
    """Removed, they are gone, and what is written late is skipped; changed, it keeps them."""
    await store.apply([function("f"), function("g")])
    await save(store, "f", run(1))
    await save(store, "g", run(1))
    await store.apply([function("f")], [Identity("function", "g"), Identity("route", "f")])
    await save(store, "g", run(2))
    assert await store.load_function_runs() == {"f": [run(1)]}


async def test_any_text_can_be_stored(store: SqliteStore) -> None:
    """What functions say may be no text at all: half a character, or a NUL."""
    await store.apply([function("f")])
    lines = (LogLine(0.0, f"{HALF} ä \x00"),)
    await save(store, "f", run(1, reason=f"{HALF}\x00", lines=lines))
    ((one,),) = (await store.load_function_runs()).values()
    assert (one.reason, one.lines[0].text) == ("\\ud800\x00", "\\ud800 ä \x00")


async def test_lines_that_cannot_be_read_keep_nothing_from_starting(store: SqliteStore) -> None:
    """They are only for people to look at."""
    await store.apply([function("f")])
    await save(store, "f", run(1))
    store._connection.execute("UPDATE function_runs SET lines = '{'")
    assert await store.load_function_runs() == {"f": [run(1, lines=())]}


async def test_a_batch_takes_little_time(store: SqliteStore) -> None:
    """Whoever else writes waits for it: half a second is twenty times what it takes."""
    await store.apply([function("f")])
    new = [run(number, lines=(LogLine(0.0, "x" * 2000),)) for number in range(1, 501)]
    started = time.perf_counter()
    await save(store, "f", *new)
    took = time.perf_counter() - started
    print(f"{took * 1e3:.1f} ms")  # noqa: T201 - for whoever looks at it with -s
    assert took < 0.5
