"""The embedded store, on real files."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from actors.errors import StorageError
from actors.records import Confirmed, TopicPartition
from config.resources import App, Device, MockBackend, Route, RouteBackend, RouteRequest, Rule, RuleSource, RuleTarget
from config.resources.identity import Identity
from daemon.store import DeviceStatus, Meta, Rejection, StoredResource, StoredSecret
from daemon.store.migrate import shipped
from daemon.store.sqlite import SqliteStore

META = Meta(version=1, created=1000, updated=1000)
APP = StoredResource(App(name="city", key="city-key"), META, {"secret": StoredSecret("sealed", b"\x00\xff")})
DEVICE = StoredResource(
    Device(app="city", product="lot", name="1"), META, {"secret": StoredSecret("digest", b"digest")}
)
RULE = StoredResource(
    Rule(app="city", name="r", sources=RuleSource(product="lot"), to=(RuleTarget(topic="t"),)), Meta(3, 1, 2)
)


async def test_what_was_applied_is_loaded_after_reopening(tmp_path: Path) -> None:
    """A resource, its meta and its secrets come back as they went in, after a restart too."""
    route = StoredResource(
        Route(
            app="city", name="m", request=RouteRequest(path="/m"), backend=RouteBackend(mock=MockBackend(body={"a": 1}))
        ),
        META,
    )
    first = await SqliteStore.open(tmp_path)
    await first.apply([APP, DEVICE, RULE, route])
    await first.close()
    second = await SqliteStore.open(tmp_path)
    try:
        assert {one.identity: one for one in await second.load_all()} == {
            one.identity: one for one in (APP, DEVICE, RULE, route)
        }
    finally:
        await second.close()


async def test_put_replaces_the_resource_and_its_secrets(store: SqliteStore) -> None:
    """A put leaves nothing of what was there before: a secret that is no longer given is gone."""
    await store.apply([APP])
    again = StoredResource(App(name="city", key="other"), Meta(2, 1000, 2000))
    await store.apply([again])
    assert await store.load_all() == [again]


async def test_apply_is_all_or_nothing(store: SqliteStore) -> None:
    """When one change of a batch cannot be stored, none of them is."""
    await store.apply([APP])
    broken = StoredResource(DEVICE.resource, META, {"secret": StoredSecret("plain", b"no such form")})  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="CHECK constraint"):
        await store.apply([RULE, broken], [APP.identity])
    assert await store.load_all() == [APP]
    await store.apply([RULE])
    assert len(await store.load_all()) == 2


async def test_removal_takes_secrets_and_status_along(store: SqliteStore) -> None:
    """Whoever makes a device of the same name again does not inherit its secret or its history."""
    await store.apply([DEVICE])
    await store.save_device_status([DeviceStatus("lot", "1", reports=7)])
    await store.apply([], [DEVICE.identity])
    bare = StoredResource(DEVICE.resource, META)
    await store.apply([bare])
    assert await store.load_all() == [bare]
    assert await store.load_device_status() == []


async def test_positions(store: SqliteStore) -> None:
    """The last saved position of each partition of a group is loaded, to the last number; groups do not mix."""
    ranges, failed = ((12, 14), (20, 2**40)), ((11, 3), (2**40, 15))
    await store.save_confirmed("g", {TopicPartition("t", 0): Confirmed(5), TopicPartition("t", 1): Confirmed(7)})
    await store.save_confirmed("g", {TopicPartition("t", 1): Confirmed(9, ranges, failed)})
    await store.save_confirmed("h", {TopicPartition("t", 1): Confirmed(1)})
    assert await store.load_confirmed("g") == {
        TopicPartition("t", 0): Confirmed(5),
        TopicPartition("t", 1): Confirmed(9, ranges, failed),
    }
    await store.delete_group("g")
    assert await store.load_confirmed("g") == {}
    assert await store.load_confirmed("h") == {TopicPartition("t", 1): Confirmed(1)}


async def test_groups_of_http_consumers_are_remembered(store: SqliteStore) -> None:
    """With their topics, also before anything was confirmed; a second word changes nothing; deleted is forgotten."""
    await store.add_http_group("g", "t")
    await store.add_http_group("g", "another")
    await store.add_http_group("h", "t")
    assert await store.load_http_groups() == {"g": "t", "h": "t"}
    await store.delete_group("g")
    await store.delete_group("never there")
    assert await store.load_http_groups() == {"h": "t"}


async def test_positions_that_cannot_be_read_name_the_group(store: SqliteStore) -> None:
    """Ranges that are not what was written are an error, and not a lost confirmation."""
    await store.save_confirmed("g", {TopicPartition("t", 0): Confirmed(5)})
    with sqlite3.connect(store.path) as raw:
        raw.execute("UPDATE offsets SET confirmed = '[[1,'")
    raw.close()
    with pytest.raises(StorageError, match="positions of group g"):
        await store.load_confirmed("g")


async def test_positions_of_the_version_before_are_kept(tmp_path: Path) -> None:
    """A database of the first version is brought up to date: its offsets are positions without ranges."""
    store = await SqliteStore.open(tmp_path, shipped()[:1])
    await store.close()
    with sqlite3.connect(tmp_path / "penstock.db") as raw:
        raw.execute("INSERT INTO offsets VALUES ('g', 't', 3, 42)")
    raw.close()
    store = await SqliteStore.open(tmp_path)
    try:
        assert await store.load_confirmed("g") == {TopicPartition("t", 3): Confirmed(42)}
    finally:
        await store.close()


async def test_device_status_is_kept_for_resources_only(store: SqliteStore) -> None:
    """A batch saves what is known, and a late word about a deleted device leaves nothing behind."""
    seen = DeviceStatus(
        product="lot",
        device="1",
        since=1,
        reason="it came",
        last_report=2,
        reports=3,
        rejected=1,
        online=True,
        rejections=(Rejection(5, "lot/out/1", "status: not in enum"),),
    )
    await store.apply([DEVICE])
    await store.save_device_status([seen, DeviceStatus("lot", "gone")])
    assert await store.load_device_status() == [seen]


async def test_the_instance_id_is_kept_for_ever(tmp_path: Path) -> None:
    """The id is made once."""
    ids = set()
    for _ in range(3):
        store = await SqliteStore.open(tmp_path)
        ids.add((await store.instance()).id)
        await store.close()
    assert len(ids) == 1


async def test_only_the_owner_may_read_the_database(store: SqliteStore) -> None:
    """The database, its WAL and its backup are closed to other users."""
    await store.apply([APP])
    copy = await store.backup_into(store.path.parent / "copy")
    files = [*store.path.parent.glob("penstock.db*"), copy]
    assert len(files) >= 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


async def test_backup_while_writing_is_consistent(store: SqliteStore) -> None:
    """A backup made under writes opens as a store and holds whole transactions only."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write_pairs, store, 50)
        await store.backup_into(store.path.parent / "copy")
    copy = await SqliteStore.open(store.path.parent / "copy")
    try:
        positions = await copy.load_confirmed("g")
        assert (await copy.instance()).id == (await store.instance()).id
    finally:
        await copy.close()
    assert len(set(positions.values())) <= 1


async def _write_pairs(store: SqliteStore, count: int) -> None:
    for offset in range(count):
        position = Confirmed(offset)
        await store.save_confirmed("g", {TopicPartition("t", 0): position, TopicPartition("t", 1): position})


async def test_backup_never_overwrites(store: SqliteStore) -> None:
    """A second backup into the same folder is refused and names the file; the first stays as it is."""
    folder = store.path.parent / "copy"
    first = (await store.backup_into(folder)).read_bytes()
    with pytest.raises(StorageError, match=r"copy/penstock\.db: .*File exists"):
        await store.backup_into(folder)
    assert (folder / "penstock.db").read_bytes() == first


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A foreign file under the store's name is refused by name, and not touched."""
    (tmp_path / "penstock.db").write_text("these are not the tables you are looking for" * 100)
    with pytest.raises(StorageError, match=r"penstock\.db: file is not a database"):
        await SqliteStore.open(tmp_path)


async def test_a_spec_of_another_world_names_the_resource(store: SqliteStore) -> None:
    """A stored resource that cannot be decoded says which one it is."""
    await store.apply([APP])
    with sqlite3.connect(store.path) as raw:
        raw.execute('UPDATE resources SET spec = \'{"kind": "hologram"}\'')
    raw.close()
    with pytest.raises(StorageError, match="the stored app city cannot be read"):
        await store.load_all()


async def test_many_callers_share_the_one_connection(store: SqliteStore) -> None:
    """Calls at the same time do not disturb one another."""
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(store.save_confirmed, f"g{number}", {TopicPartition("t", 0): Confirmed(number)})
            nursery.start_soon(store.load_all)
    assert [await store.load_confirmed(f"g{number}") for number in range(20)] == [
        {TopicPartition("t", 0): Confirmed(number)} for number in range(20)
    ]


CHILD = """
import sys, trio
from pathlib import Path
from config.resources import App
from daemon.store import Meta, StoredResource
from daemon.store.migrate import shipped
from daemon.store.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    for number in range(1, 100_000):
        pair = [StoredResource(App(name=name, key=str(number)), Meta(number, 1, 1)) for name in ("a", "b")]
        await store.apply(pair)
        print(number, flush=True)

trio.run(main)
"""


async def test_kill_loses_nothing_and_halves_nothing(tmp_path: Path) -> None:
    """After SIGKILL at any moment the last transaction that was answered is there, and none is there by half."""
    child = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this test
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert child.stdout is not None
    answered = [int(child.stdout.readline()) for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    answered += [int(line) for line in child.stdout.read().splitlines()]
    child.stdout.close()
    child.wait()
    store = await SqliteStore.open(tmp_path)
    try:
        one, two = await store.load_all()
    finally:
        await store.close()
    assert one.meta.version == two.meta.version
    assert one.meta.version in (answered[-1], answered[-1] + 1)


async def test_secrets_of_another_key_can_be_forgotten(store: SqliteStore) -> None:
    """Re-issue deletes every secret and keeps every resource."""
    await store.apply([APP, DEVICE])
    await store.set_key_check(b"new", forget_secrets=True)
    assert (await store.instance()).key_check == b"new"
    assert [(one.identity, dict(one.secrets)) for one in await store.load_all()] == [
        (Identity("app", "city"), {}),
        (Identity("device", "lot/1"), {}),
    ]
