"""The doctor on a whole instance: what it says can be copied into a shell, and works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from actors.doctor.actor import Doctor
from actors.records import Record
from actors.topic_partition.messages import Append
from tests.fakes.house import Tenant, eventually, living

MANIFEST = """
kind: app
name: house
---
kind: topic
app: house
name: reports
partitions: 2
---
kind: connection
app: house
name: sink
connector: sqlite
settings: {path: sink.db}
---
kind: task
app: house
name: stopped
enabled: false
source: {topic: reports, start: earliest, fields: [{name: v, path: v}]}
target: {connection: sink, table: rows, columns: {v: v}, create: true}
"""


async def test_a_stopped_task_is_named_and_the_command_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: nobody consumes. Named first and alone, in the API and the metrics; its command heals it."""
    monkeypatch.setitem(Doctor.__init__.__kwdefaults__, "interval", 0.2)
    monkeypatch.setattr("actors.doctor.diagnosis.LATE_SECONDS", 2.0)
    async with living(tmp_path) as tenant:
        await tenant.apply(MANIFEST)
        await _produce(tenant)
        await eventually(lambda: _causes(tenant, ["unconsumed_partitions"]), seconds=30)
        metrics = (await tenant.call("GET", "../../metrics")).text
        assert 'penstock_group_lag_cause{cause="unconsumed_partitions",group="stopped",topic="reports"} 1.0' in metrics
        assert 'penstock_group_lag_records{group="stopped",topic="reports"} 20.0' in metrics
        (group,) = (await tenant.call("GET", "backlog?group=stopped")).json()["groups"]
        (command,) = group["causes"][0]["remedies"][0]["commands"]
        assert command == "penstock task start stopped"
        await _run(tenant, tmp_path, command)
        await eventually(lambda: _causes(tenant, []), seconds=30)
        assert (await tenant.call("GET", "backlog")).json()["groups"][0]["lag"] == 0
        raised = "(penstock get task stopped -o yaml | grep -v '^runners:'; echo 'runners: 2') | penstock apply -f -"
        await _run(tenant, tmp_path, raised)
        assert len((await tenant.status("tasks/stopped"))["runners"]) == 2
        assert (await tenant.call("GET", "backlog?group=nobody")).status_code == 404


async def _produce(tenant: Tenant) -> None:
    topic = tenant.house.engine._topics._topics.get("reports")
    assert topic is not None
    for partition in topic.partitions:
        append = Append([Record(b"k", b'{"v": "1"}', 1)] * 10, 100)
        await partition.put(append)
        await append.reply.wait()


async def _causes(tenant: Tenant, expected: list[str]) -> bool:
    groups = (await tenant.call("GET", "backlog")).json()["groups"]
    return bool(groups) and [cause["kind"] for one in groups for cause in one["causes"]] == expected


async def _run(tenant: Tenant, data: Path, command: str) -> None:
    note = {"mqtt": "-", "gateway": "-", "control": tenant.house.addresses()["control"], "token": tenant.house.token}
    (data / "daemon.json").write_text(json.dumps(note | {"pid": 1}))
    script = f'penstock() {{ "{sys.executable}" -m daemon.cli.main --data "{data}" "$@"; }}\n{command}\n'
    ended = await trio.run_process(["bash", "-c", script], check=False, capture_stdout=True, stderr=subprocess.STDOUT)
    assert ended.returncode == 0, ended.stdout.decode()
