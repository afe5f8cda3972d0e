"""What runs follows what is applied, and nobody else notices. A whole instance in this process."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from actors.errors import PenstockError
from config.resources.identity import Identity
from config.resources.topics import Topic
from daemon.engine import Change
from daemon.house import opened
from daemon.settings_in_force import SettingsInForce
from tests.actors.log.parts import append, open_log, records
from tests.fakes.house import SETTINGS, Tenant, eventually, living, report
from tests.fakes.numbered import SECRET, manifest

TOPIC = "kind: topic\napp: house\nname: {name}\npartitions: {partitions}\n"
ROUTE = """kind: route
app: house
name: {name}
request: {{method: GET, path: {path}}}
auth: none
backend: {{mock: {{status: 200, body: "{name}"}}}}
"""


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with living(tmp_path) as one:
        await one.apply(manifest(["a", "b"]))
        yield one


async def until_rows(data: Path, count: int) -> None:
    async def reached() -> bool:
        return rows(data) >= count

    await eventually(reached)


def rows(data: Path, table: str = "every") -> int:
    database = sqlite3.connect(data)
    try:
        return int(database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()


async def test_other_words_leave_a_connection_alone(tenant: Tenant) -> None:
    """A new title does not build a new connector; another setting does."""
    connections = tenant.house.engine._connections
    before = connections.get("sink")
    text = "kind: connection\napp: house\nname: sink\nconnector: sqlite\n"
    await tenant.apply(text + "title: The sink\nsettings: {path: sink.db}\n")
    assert connections.get("sink") is before
    await tenant.apply(text + "title: The sink\nsettings: {path: other.db}\n")
    assert connections.get("sink") is not before


async def test_a_replaced_connection_is_used_by_running_tasks(tenant: Tenant, tmp_path: Path) -> None:
    """Tasks of a connection that becomes another one finish with the old one and go on with the new one."""
    device = await tenant.connect("sensor/a", SECRET)
    await device.report("sensor/out/a", report("a", 1))
    await eventually(lambda: _has_rows(tmp_path / "sink.db", 1))
    await tenant.apply("kind: connection\napp: house\nname: sink\nconnector: sqlite\nsettings: {path: other.db}\n")
    await device.report("sensor/out/a", report("a", 2))
    # The positions are in the sink: the new one knows none, and gets everything from the start.
    await eventually(lambda: _has_rows(tmp_path / "other.db", 2))
    assert rows(tmp_path / "sink.db") == 1
    for task in ("every", "latest"):
        assert (await tenant.status(f"tasks/{task}"))["state"] == "running"


async def _has_rows(path: Path, count: int) -> bool:
    return rows(path) >= count


async def test_a_topic_comes_goes_and_comes_again(tenant: Tenant, tmp_path: Path) -> None:
    """Deleted, a topic keeps its files; made again it has its records; its files go when that is asked for."""
    await tenant.apply(TOPIC.format(name="spare", partitions=1))
    rule = "kind: rule\napp: house\nname: forward\nfrom: {product: sensor}\nto: [{topic: %s}]\n"
    await tenant.apply(rule % "spare")
    device = await tenant.connect("sensor/a", SECRET)
    await device.report("sensor/out/a", report("a", 1))
    await tenant.apply(rule % "reports")
    assert (await tenant.call("DELETE", "topics/spare")).status_code < 300
    assert list((tmp_path / "topics").glob("spare-*"))
    await tenant.apply(TOPIC.format(name="spare", partitions=2))
    status = await tenant.status("topics/spare")
    assert (status["state"], status["messages"], len(status["partitions"])) == ("running", 1, 2)
    assert (await tenant.call("DELETE", "topics/spare")).status_code < 300
    assert await tenant.house.engine.delete_topic_data("spare")
    assert sum(path.stat().st_size for path in (tmp_path / "topics").glob("spare-*/*.log")) == 0
    assert list((tmp_path / "topics").glob("reports-*"))
    await tenant.apply(TOPIC.format(name="spare", partitions=1))
    assert (await tenant.status("topics/spare"))["messages"] == 0


async def test_a_topic_made_anew_never_hands_out_an_offset_twice(tenant: Tenant, tmp_path: Path) -> None:
    """A task that comes again with its topic, whose records were deleted, moves just what is reported afterwards."""
    device = await tenant.connect("sensor/a", SECRET)
    for number in (1, 2, 3):
        await device.report("sensor/out/a", report("a", number))
    await until_rows(tmp_path / "sink.db", 3)
    for path in ("tasks/latest", "tasks/every", "rules/forward"):
        assert (await tenant.call("DELETE", path)).status_code < 300
    assert (await tenant.call("DELETE", "topics/reports?data=true")).status_code < 300
    await tenant.apply(manifest(["a", "b"]))
    device = await tenant.connect("sensor/a", SECRET)
    for number in (4, 5):
        await device.report("sensor/out/a", report("a", number))
    await until_rows(tmp_path / "sink.db", 5)
    await trio.sleep(0.5)
    assert rows(tmp_path / "sink.db") == 5


async def test_topics_whose_names_look_alike_are_kept_apart(tenant: Tenant, tmp_path: Path) -> None:
    """`a`, `a-1` and `a-1-0` each have partitions, statuses and files of their own."""
    for name in ("a", "a-1", "a-1-0"):
        await tenant.apply(TOPIC.format(name=name, partitions=2))
    await tenant.entry("partitions").remove("a-1-0")  # the first partition of `a-1`
    for name in ("a", "a-1-0"):
        assert (await tenant.status(f"topics/{name}"))["state"] == "running"
    assert (await tenant.status("topics/a-1"))["state"] != "running"
    assert (await tenant.call("DELETE", "topics/a")).status_code < 300
    for folder in ("a-0", "a-9-0"):
        append(open_log(tmp_path / "topics" / folder), records(3))
    assert await tenant.house.engine.delete_topic_data("a")
    assert not sum(path.stat().st_size for path in (tmp_path / "topics" / "a-0").glob("*.log"))
    assert sum(path.stat().st_size for path in (tmp_path / "topics" / "a-9-0").glob("*.log"))


async def test_partitions_are_raised_under_load(tenant: Tenant, tmp_path: Path) -> None:
    """While a topic gets more partitions its publishers stay connected, and nothing acknowledged is missing."""
    devices = {name: await tenant.connect(f"sensor/{name}", SECRET) for name in "ab"}
    counts = dict.fromkeys("ab", 0)
    done = trio.Event()

    async def publish(name: str) -> None:
        while not done.is_set():
            await devices[name].report(f"sensor/out/{name}", report(name, counts[name] + 1))
            counts[name] += 1

    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(publish, name)
        await trio.sleep(0.2)
        await tenant.apply(TOPIC.format(name="reports", partitions=12))
        await trio.sleep(0.2)
        done.set()
    assert len((await tenant.status("topics/reports"))["partitions"]) == 12
    await eventually(lambda: _has_rows(tmp_path / "sink.db", sum(counts.values())))


async def test_a_task_moves_to_another_topic(tenant: Tenant, tmp_path: Path) -> None:
    """A task that reads another topic starts there as it says, whatever it had read in the one before."""
    device = await tenant.connect("sensor/a", SECRET)
    for number in range(5):
        await device.report("sensor/out/a", report("a", number))
    await eventually(lambda: _has_rows(tmp_path / "sink.db", 5))
    await tenant.apply(TOPIC.format(name="other", partitions=3))
    await tenant.apply("kind: rule\napp: house\nname: forward\nfrom: {product: sensor}\nto: [{topic: other}]\n")
    documents = manifest(["a"]).split("---\n")
    task = next(text for text in documents if "name: every" in text)
    await tenant.apply(task.replace("topic: reports", "topic: other"))
    await device.report("sensor/out/a", report("a", 6))
    await eventually(lambda: _has_rows(tmp_path / "sink.db", 6))
    status = await tenant.status("tasks/every")
    assert sum(partition["high_watermark"] for partition in status["partitions"]) == 1
    assert status["lag"] == 0


async def test_routes_may_swap_their_paths(tenant: Tenant) -> None:
    """Two routes applied together with each other's path are both served at their new ones."""
    one, two = ROUTE.format(name="one", path="/x"), ROUTE.format(name="two", path="/y")
    await tenant.apply(f"{one}---\n{two}")
    assert await tenant.get("/x") == (200, "one")
    one, two = ROUTE.format(name="one", path="/y"), ROUTE.format(name="two", path="/x")
    await tenant.apply(f"{one}---\n{two}")
    assert await tenant.get("/x") == (200, "two")
    assert await tenant.get("/y") == (200, "one")
    for name in ("one", "two"):
        assert (await tenant.status(f"routes/{name}")).get("state") != "failed"


async def test_a_deleted_device_is_disconnected_and_its_neighbour_is_not(tenant: Tenant) -> None:
    """Deletion ends the device's session at once; a device of the same name, made later, begins without a past."""
    gone, stays = await tenant.connect("sensor/a", SECRET), await tenant.connect("sensor/b", SECRET)
    await gone.report("sensor/out/a", report("a", 1))
    assert (await tenant.call("DELETE", "devices/sensor/a")).status_code < 300
    assert await gone.stream.receive_some(10) == b""
    assert await stays.is_open()
    await tenant.apply(f"kind: device\napp: house\nproduct: sensor\nname: a\nsecret: {SECRET}\n")
    assert (await tenant.status("devices/sensor/a"))["reports"] == 0


async def test_a_change_that_fails_holds_up_no_other(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one change meets, a refusal or a crash, the others are followed, and the caller is told of it."""
    stage = tenant.house.engine._topics
    follow = stage.follow

    async def failing(change: Change) -> None:
        if change.identity.name == "refused":
            raise PenstockError("the disk says no")
        if change.identity.name == "crashed":
            raise RuntimeError("a mistake")
        await follow(change)

    monkeypatch.setattr(stage, "follow", failing)
    names = ("refused", "crashed", "fine")
    warnings = await tenant.apply("---\n".join(TOPIC.format(name=name, partitions=1) for name in names))
    assert (await tenant.status("topics/fine"))["state"] == "running"
    text = " ".join(warnings)
    assert "refused: the disk says no" in text
    assert "crashed: RuntimeError: a mistake" in text


async def test_a_change_that_hangs_holds_up_no_other(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that does not come about in time is given up and named; the next one is followed."""
    stage = tenant.house.engine._topics
    follow = stage.follow

    async def hanging(change: Change) -> None:
        if change.identity.name == "hangs":
            await trio.sleep_forever()
        await follow(change)

    monkeypatch.setattr(stage, "follow", hanging)
    monkeypatch.setattr("daemon.running._CHANGE_SECONDS", 0.2)
    text = "---\n".join(TOPIC.format(name=name, partitions=1) for name in ("hangs", "fine"))
    assert "did not come about" in " ".join(await tenant.apply(text))
    assert (await tenant.status("topics/fine"))["state"] == "running"


async def test_what_is_asked_and_changed_before_the_tree_stands_does_no_harm(tmp_path: Path) -> None:
    """During recovery numbers, statuses and the tree are answered, and changes wait in the catalog."""
    async with living(tmp_path) as tenant:
        await tenant.apply(manifest(["a"]))
    async with opened(SettingsInForce(SETTINGS), tmp_path) as house:
        engine = house.engine
        assert engine.ready() == (True, "") or not engine.ready()[0]
        assert list(engine.metrics())
        assert engine.tree()["name"] == "penstock"
        for kind, name in (("task", "every"), ("topic", "reports"), ("connection", "sink"), ("device", "sensor/a")):
            engine.status(Identity(kind, name))
        spare = Topic(name="spare", app="house")
        await engine.reconcile([Change(Identity("topic", "spare"), None, spare)])
        await engine.start_task("every")
        await engine.stop_task("every")
