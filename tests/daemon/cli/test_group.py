"""`penstock group`: what it asks and what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl

GROUP: dict[str, Any] = {
    "name": "to-table",
    "topic": "reports",
    "kind": "task",
    "generation": 4,
    "rebalances": 1,
    "refused_commits": 0,
    "lag": 120,
    "lag_bytes": 4096,
    "lag_seconds": 75.2,
    "produce_rate": 10.0,
    "consume_rate": 12.0,
    "produce_rate_minute": 10.0,
    "consume_rate_minute": 12.0,
    "drain_seconds": 3661.0,
    "growing": False,
    "members": [
        {
            "name": "to-table-0",
            "partitions": [0],
            "last_seen_seconds": 1.0,
            "last_progress_seconds": 2.4,
            "seconds": {"fetch": 0.0, "write": 12.34},
        }
    ],
    "expelled": [{"member": "to-table-1", "partitions": [1], "seconds_ago": 90.0, "reason": "silent"}],
    "partitions": [
        {
            "partition": 0,
            "committed": 5,
            "high_watermark": 125,
            "lag": 120,
            "member": "to-table-0",
            "lag_bytes": 4096,
            "lag_seconds": 75.2,
            "produce_rate": 10.0,
            "consume_rate": 12.0,
            "produce_rate_minute": 10.0,
            "consume_rate_minute": 12.0,
            "confirmed_above": 0,
        }
    ],
}


def words(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if line.strip()]


def test_list_tells_lag_rates_and_the_end(penstock: Penstock, control: FakeControl) -> None:
    """One line a group; a backlog that grows says so."""
    growing = GROUP | {"name": "worse", "drain_seconds": None, "growing": True, "lag_bytes": None}
    calm = GROUP | {"name": "calm", "lag": 0, "lag_bytes": 0, "lag_seconds": 0.0, "drain_seconds": 0.0}
    control.lists("group", GROUP, growing, calm, GROUP | {"name": "elsewhere", "topic": "other"})
    ended = penstock("group", "list", "--topic", "reports")
    assert ended.code == 0, ended.err
    _, first, second, third = words(ended.out)
    assert " ".join(first) == "to-table reports task 1 120 4096 1 min 15 s 10.0 12.0 1 h 1 min"
    assert second[-1] == "growing"
    assert third[-2:] == ["no", "lag"]
    assert "elsewhere" not in ended.out


def test_show_tells_partitions_members_and_who_was_thrown_out(penstock: Penstock, control: FakeControl) -> None:
    """The whole group; a partition that nobody reads says so."""
    orphan = GROUP["partitions"][0] | {"partition": 1, "member": "", "confirmed_above": 3}
    control.on("GET", "groups/to-table", GROUP | {"partitions": [GROUP["partitions"][0], orphan]})
    ended = penstock("group", "show", "to-table")
    assert ended.code == 0, ended.err
    assert "nobody" in ended.out
    assert "write 12.3 s" in ended.out
    assert "1 min 30 s" in ended.out
    assert json.loads(penstock("group", "show", "to-table", "-o", "json").out)["lag"] == 120


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--to", "earliest"], {"to": "earliest", "force": False}),
        (["--to", "17", "--partition", "0"], {"to": 17, "partition": 0, "force": False}),
        (["--to", "2026-01-31T12:00:00Z", "--force"], {"to": "2026-01-31T12:00:00Z", "force": True}),
    ],
)
def test_reset_says_where_to(
    penstock: Penstock, control: FakeControl, arguments: list[str], body: dict[str, Any]
) -> None:
    """A word, an offset or a time is passed on, and what was moved is shown."""
    moved = {"group": "to-table", "partitions": [{"partition": 0, "before": 5, "after": 0}]}
    control.on("POST", "groups/to-table/reset", moved)
    ended = penstock("group", "reset", "to-table", *arguments)
    assert ended.code == 0, ended.err
    assert json.loads(control.requests[-1].body) == body
    assert words(ended.out)[1] == ["0", "5", "0"]


def test_a_refused_reset_ends_with_its_reason(penstock: Penstock, control: FakeControl) -> None:
    """Live members: one line and exit code 1."""
    problem = {"error_code": "APIC.0602", "error_msg": "it has members: x", "request_id": "1", "details": []}
    control.on("POST", "groups/g/reset", problem, status=409)
    ended = penstock("group", "reset", "g", "--to", "latest")
    assert (ended.code, ended.err) == (1, "penstock: it has members: x\n")


def test_delete_forgets_a_group(penstock: Penstock, control: FakeControl) -> None:
    """It says what it forgot."""
    control.on("DELETE", "groups/g", None, status=204)
    assert penstock("group", "delete", "g") == (0, "forgot group g\n", "")
