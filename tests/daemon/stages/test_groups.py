"""Groups of tasks and of HTTP consumers, in a whole instance in this process."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
import trio

from actors.consumer_group.groups import GroupReference
from actors.consumer_group.membership import Membership
from actors.errors import ActorGone, GroupBusyError, GroupConflictError, MemberFencedError
from actors.records import Confirmed
from config.settings import GroupSettings
from daemon.catalog.errors import NotFoundError
from daemon.stages.groups import GroupStage
from tests.fakes.house import SETTINGS, Tenant, eventually, living, report
from tests.fakes.numbered import SECRET, manifest
from tests.fakes.plain_http import NO_TLS

TOPIC = "kind: topic\napp: house\nname: {name}\npartitions: 2\n"
QUICK = msgspec.structs.replace(SETTINGS, groups=GroupSettings(sample_interval=0.1, max_http_groups=2))


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with living(tmp_path, QUICK) as one:
        await one.apply(manifest(["a"], partitions=1))
        yield one


def stage_of(tenant: Tenant) -> GroupStage:
    return tenant.house.engine._groups


async def group(tenant: Tenant, name: str) -> dict[str, Any]:
    answer = await tenant.call("GET", f"groups/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def read(reference: GroupReference, member: str = "daemon") -> Membership:
    """A member that has its partitions."""
    membership = Membership(reference, member, lambda: None)
    membership.join(frozenset())
    await eventually(lambda: _told(membership))
    assert membership.hear() is not None
    return membership


async def _told(membership: Membership) -> bool:
    await trio.lowlevel.checkpoint()
    return membership.told


async def publish(tenant: Tenant, count: int) -> None:
    device = await tenant.connect("sensor/a", SECRET)
    for number in range(1, count + 1):
        await device.report("sensor/out/a", report("a", number))


def offsets(data: Path) -> list[int]:
    database = sqlite3.connect(data / "sink.db")
    try:
        return [offset for (offset,) in database.execute('SELECT off FROM "every" ORDER BY rowid')]
    finally:
        database.close()


async def _lag_is(tenant: Tenant, name: str, lag: int) -> bool:
    found = await group(tenant, name)
    return found["lag"] == lag and all(one["committed"] is not None for one in found["partitions"])


async def test_a_group_of_http_consumers_is_made_once_and_outlives_the_daemon(tmp_path: Path) -> None:
    """Made when it is first asked for; its position, and ranges above it, are there after a restart."""
    async with living(tmp_path, QUICK) as tenant:
        await tenant.apply(manifest(["a"], partitions=1))
        found: list[GroupReference] = []

        async def open_it() -> None:
            found.append(await stage_of(tenant).open_http("readers", "reports"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(open_it)
        assert len(set(map(id, found))) == 1
        await publish(tenant, 5)
        member = await read(found[0])
        await member.confirm({0: Confirmed(1, ((3, 4),))})
        member.leave()
    async with living(tmp_path, QUICK) as tenant:
        shown = await group(tenant, "readers")
        assert (shown["kind"], shown["topic"], shown["lag"]) == ("http", "reports", 3)
        assert (shown["partitions"][0]["committed"], shown["partitions"][0]["confirmed_above"]) == (1, 1)
        listed = (await tenant.call("GET", "groups?topic=reports")).json()
        assert [one["name"] for one in listed["items"]] == ["every", "latest", "readers"]
        assert (await tenant.call("GET", "groups?topic=nowhere")).json()["total"] == 0


async def test_tasks_and_http_consumers_do_not_mix(tenant: Tenant) -> None:
    """A group is of one kind and reads one topic; whoever comes second is told, and nothing changes for the first."""
    stage = stage_of(tenant)
    with pytest.raises(GroupConflictError, match="the runners of a task"):
        await stage.open_http("every", "reports")
    await tenant.apply(TOPIC.format(name="other"))
    await stage.open_http("readers", "reports")
    with pytest.raises(GroupConflictError, match="reads topic reports"):
        await stage.open_http("readers", "other")
    with pytest.raises(NotFoundError):
        await stage.open_http("more", "nowhere")
    await stage.open_http("second", "reports")
    with pytest.raises(GroupConflictError, match="max_http_groups"):
        await stage.open_http("third", "reports")
    assert stage.get("third") is None


async def test_a_task_whose_name_is_taken_says_so_and_comes_to_life_later(tenant: Tenant) -> None:
    """A task named as a group of HTTP consumers does not run, tells why, and runs once that group is forgotten."""
    stage = stage_of(tenant)
    await stage.open_http("late", "reports")
    task = (
        "kind: task\napp: house\nname: late\n"
        "source: {topic: reports, fields: [{name: seq, type: integer, path: seq}]}\n"
        "target: {connection: sink, table: late, create: true, columns: {seq: seq, off: $offset}}\n"
    )
    await tenant.call("POST", "apply", content=task.encode())
    assert "HTTP consumers" in (await tenant.status("tasks/late"))["reason"]
    assert (await tenant.call("DELETE", "groups/late")).status_code == 204
    await tenant.call("POST", "tasks/late/start")
    await eventually(lambda: _state_is(tenant, "late", "running"))
    assert (await group(tenant, "late"))["kind"] == "task"


async def _state_is(tenant: Tenant, task: str, state: str) -> bool:
    return bool((await tenant.status(f"tasks/{task}"))["state"] == state)


async def test_only_groups_nobody_uses_are_forgotten(tenant: Tenant) -> None:
    """A task's group goes with its task, one with consumers stays; forgotten, a group begins anew."""
    reference = await stage_of(tenant).open_http("readers", "reports")
    member = await read(reference)
    await member.confirm({0: Confirmed(0)})
    for name, status in (("every", 409), ("readers", 409), ("nobody", 404)):
        assert (await tenant.call("DELETE", f"groups/{name}")).status_code == status
    member.leave()
    await eventually(lambda: _has_members(tenant, "readers", 0))
    assert (await tenant.call("DELETE", "groups/readers")).status_code == 204
    assert (await tenant.call("GET", "groups/readers")).status_code == 404
    with pytest.raises(ActorGone):
        reference.heartbeat("daemon")
    again = await stage_of(tenant).open_http("readers", "reports")
    assert again.statistics().partitions[0].committed is None


async def _has_members(tenant: Tenant, name: str, count: int) -> bool:
    return len((await group(tenant, name))["members"]) == count


async def test_positions_go_with_the_topics_data(tenant: Tenant) -> None:
    """Deleted with its data, a topic leaves no group of HTTP consumers behind that would skip what comes later."""
    await tenant.apply(TOPIC.format(name="spare"))
    await stage_of(tenant).open_http("readers", "spare")
    assert (await tenant.call("DELETE", "topics/spare?data=true")).status_code == 204
    assert stage_of(tenant).get("readers") is None


async def test_nothing_is_left_running_of_a_forgotten_group(tenant: Tenant) -> None:
    """The actor of its HTTP consumers ends with it; asked for again, the group is a new one."""
    await tenant.apply(TOPIC.format(name="spare"))
    await take_over_http(tenant, "spare", "readers")
    assert tenant.entry("consumers").status("readers") is not None
    assert (await tenant.call("DELETE", "topics/spare?data=true")).status_code == 204
    assert tenant.entry("consumers").status("readers") is None
    await tenant.apply(TOPIC.format(name="spare"))
    await take_over_http(tenant, "spare", "readers")
    assert tenant.entry("consumers").status("readers") is not None


async def take_over_http(tenant: Tenant, topic: str, group: str) -> None:
    """Ask for messages once, as the app that owns everything."""
    path = f"http://{tenant.house.addresses()['topics']}/v1/topic/{topic}/group/{group}/messages?time_wait=1"
    async with httpx.AsyncClient(verify=NO_TLS, auth=("house", SECRET)) as client:
        assert (await client.get(path)).json() == []


async def test_a_reset_is_refused_under_a_running_task_and_moves_a_stopped_one(tenant: Tenant, tmp_path: Path) -> None:
    """409 names the runner and changes nothing; stopped, the sink's position moves, and the rows come once more."""
    await publish(tenant, 6)
    await eventually(lambda: _lag_is(tenant, "every", 0))
    refused = await tenant.call("POST", "groups/every/reset", json={"to": "earliest"})
    assert refused.status_code == 409
    assert "every-0" in refused.json()["error_msg"]
    await tenant.call("POST", "tasks/every/stop")
    with structlog.testing.capture_logs() as logs:
        moved = await tenant.call("POST", "groups/every/reset", json={"to": 4})
    assert moved.json() == {"group": "every", "partitions": [{"partition": 0, "before": 6, "after": 4}]}
    (line,) = [one for one in logs if one["event"] == "group reset"]
    assert (line["group"], line["moved"], line["forced"]) == ("every", "0: 6 -> 4", False)
    (entry,) = (await tenant.call("GET", "audit")).json()["entries"]
    told = {name: entry[name] for name in ("subject", "action", "before", "after", "reason")}
    assert told == {
        "subject": "group every", "action": "reset", "before": "0: 6", "after": "0: 4", "reason": "to 4"
    }  # fmt: skip
    assert (await group(tenant, "every"))["lag"] == 2
    await tenant.call("POST", "tasks/every/start")
    await eventually(lambda: _lag_is(tenant, "every", 0))
    assert offsets(tmp_path) == [0, 1, 2, 3, 4, 5, 4, 5]


async def test_a_forced_reset_moves_a_running_task(tenant: Tenant, tmp_path: Path) -> None:
    """Its runners are thrown out and begin anew from there, by a time as well as by a word; nobody has to start it."""
    await publish(tenant, 3)
    await eventually(lambda: _lag_is(tenant, "every", 0))
    answer = await tenant.call("POST", "groups/every/reset", json={"to": "1h", "force": True})
    assert answer.json()["partitions"] == [{"partition": 0, "before": 3, "after": 0}]
    await eventually(lambda: _has_rows(tmp_path, 6))
    assert offsets(tmp_path) == [0, 1, 2, 0, 1, 2]
    await eventually(lambda: _state_is(tenant, "every", "running"))


async def _has_rows(data: Path, count: int) -> bool:
    return len(offsets(data)) >= count


async def test_a_forced_reset_throws_http_consumers_out(tenant: Tenant) -> None:
    """Their member is told, what it confirms of its time before is fenced, and anew it gets the new position."""
    await publish(tenant, 5)
    reference = await stage_of(tenant).open_http("readers", "reports")
    member = await read(reference)
    await member.confirm({0: Confirmed(4)})
    before = member.generation
    assert (await tenant.call("POST", "groups/readers/reset", json={"to": "earliest"})).status_code == 409
    forced = await tenant.call("POST", "groups/readers/reset", json={"to": "earliest", "force": True})
    assert forced.status_code == 200
    member.join(frozenset({0}))
    with pytest.raises(MemberFencedError):
        await reference.confirm("daemon", before, {0: Confirmed(5)})
    again = await reference.join("daemon", frozenset(), lambda: None).wait()
    assert again.positions == {0: Confirmed(0)}


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"to": 99}, 400, "has offsets 0 to 0, not 99"),
        ({"to": "earliest", "partition": 7}, 404, "partitions 0 to 0, not 7"),
    ],
)
async def test_a_reset_to_what_is_not_there_changes_nothing(
    tenant: Tenant, body: dict[str, Any], status: int, told: str
) -> None:
    """An offset beyond the end, a partition that is not: told, and the group goes on, its members with it."""
    answer = await tenant.call("POST", "groups/every/reset", json={**body, "force": True})
    assert answer.status_code == status
    assert told in answer.json()["error_msg"]
    assert (await group(tenant, "every"))["expelled"] == []


async def test_a_sink_that_is_away_leaves_the_position_alone(tenant: Tenant, tmp_path: Path) -> None:
    """502 where the sink refuses; the group has its old position, and may be joined again at once."""
    await publish(tenant, 2)
    await eventually(lambda: _lag_is(tenant, "every", 0))
    await tenant.call("POST", "tasks/every/stop")
    locked = sqlite3.connect(tmp_path / "sink.db", isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    try:
        answer = await tenant.call("POST", "groups/every/reset", json={"to": "earliest"})
    finally:
        locked.execute("ROLLBACK")
        locked.close()
    assert answer.status_code == 502, answer.text
    assert (await group(tenant, "every"))["partitions"][0]["committed"] == 2
    await tenant.call("POST", "tasks/every/start")
    await eventually(lambda: _state_is(tenant, "every", "running"))
    assert offsets(tmp_path) == [0, 1]


async def test_lag_of_a_real_log_has_bytes_and_age(tenant: Tenant) -> None:
    """What waits is told in messages, in bytes as they lie on disk, and by the age of its first record."""
    await stage_of(tenant).open_http("readers", "reports")
    await publish(tenant, 20)

    async def sampled() -> bool:
        found = await group(tenant, "readers")
        # A rate wants a tenth of a second to be told from, an age a millisecond.
        known = found["lag_bytes"] is not None and found["lag_seconds"] and found["produce_rate_minute"]
        return found["lag"] == 20 and bool(known)

    await eventually(sampled)
    found = await group(tenant, "readers")
    assert 20 * 20 < found["lag_bytes"] < 20 * 400
    assert 0 < found["lag_seconds"] < 60
    assert found["produce_rate_minute"] > 0
    assert (found["growing"], found["drain_seconds"]) == (True, None)
    assert found["partitions"][0]["member"] == ""


async def test_busy_is_told_by_the_stage_itself(tenant: Tenant) -> None:
    """Also without the API nobody sets positions under members, or forgets a group that has some."""
    reference = await stage_of(tenant).open_http("readers", "reports")
    await read(reference)
    with pytest.raises(GroupBusyError):
        await reference.hold(force=False, seconds=1)
    with pytest.raises(GroupBusyError):
        await stage_of(tenant).delete("readers")
