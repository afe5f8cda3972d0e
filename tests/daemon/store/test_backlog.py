"""What backlog policies leave in the store."""

from __future__ import annotations

from pathlib import Path

from actors.backlog.homecoming import Homecoming, Place
from daemon.store.sqlite import SqliteStore


async def test_phases_and_homecomings_are_loaded_after_reopening(tmp_path: Path) -> None:
    """The last of each is what comes back; an empty phase is forgotten, and so is all of a topic that is gone."""
    store = await SqliteStore.open(tmp_path)
    await store.save_phase("lot", "acting")
    await store.save_phase("lot", "probing")
    await store.save_phase("calm", "acting")
    await store.save_phase("calm", "")
    await store.save_homecoming(
        Homecoming("lot", "ditch", forced=False, places={0: Place(1, 9, {0: 5}), 1: Place(2, 8, {})})
    )
    await store.save_homecoming(Homecoming("lot", "ditch", forced=True, places={0: Place(4, 9, {0: 7, 2: 3})}))
    await store.save_homecoming(Homecoming("park", "lot", forced=False, places={0: Place(0, 1, {})}))
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert await store.load_phases() == {"lot": "probing"}
    assert await store.load_homecomings() == [
        Homecoming("lot", "ditch", forced=True, places={0: Place(4, 9, {0: 7, 2: 3}), 1: Place(2, 8, {})}),
        Homecoming("park", "lot", forced=False, places={0: Place(0, 1, {})}),
    ]
    await store.delete_backlog("lot")
    assert (await store.load_phases(), await store.load_homecomings()) == ({}, [])
    await store.close()
