"""What a person sees of one resource: few words, parts as tables, nothing of the inside."""

from __future__ import annotations

from typing import Any

from config.manifest import KINDS
from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl


def partition(**values: Any) -> dict[str, Any]:
    return {"start_offset": 0, "high_watermark": 0, "segments": 1, "size": 0, "refused": 0, "fault": ""} | values


def cells(out: str, title: str) -> list[list[str]]:
    table = out.split(f"\n{title}\n")[1].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in table.splitlines()]


def test_the_partitions_of_a_topic_are_a_table(penstock: Penstock, control: FakeControl) -> None:
    """A line each, however many there are; what goes on inside is for `-o json`."""
    partitions = [partition(), partition(high_watermark=7, size=900, syncs=3, mailbox={"depth": 0})]
    status = {"state": "running", "messages": 7, "partitions": partitions}
    control.on("GET", "topics/t", {"kind": "topic", "name": "t", "app": "a", "partitions": 2, "status": status})
    out = penstock("get", "topic", "t").out
    assert cells(out, "partitions") == [
        ["PARTITION", "START OFFSET", "HIGH WATERMARK", "SEGMENTS", "BYTES", "REFUSED"],
        ["0", "0", "0", "1", "0", "0"],
        ["1", "0", "7", "1", "900", "0"],
    ]
    assert "mailbox" not in out


def test_a_partition_that_is_at_fault_says_why(penstock: Penstock, control: FakeControl) -> None:
    """The column stands there when something stands in it."""
    status = {"state": "failed", "partitions": [partition(fault="no space left")]}
    control.on("GET", "topics/t", {"kind": "topic", "name": "t", "app": "a", "status": status})
    head, row = cells(penstock("get", "topic", "t").out, "partitions")
    assert (head[-1], row[-1]) == ("FAULT", "no space left")


def test_a_task_shows_its_runners_and_its_lag(penstock: Penstock, control: FakeControl) -> None:
    """By partition, and where the time goes on one line."""
    status = {
        "state": "running",
        "lag": 3,
        "seconds": {"fetch": 0.25, "write": 1.0},
        "runners": [{"member": "t-0", "state": "running", "reason": "", "partitions": [0, 1]}],
        "partitions": [{"partition": 0, "committed": 4, "high_watermark": 7, "lag": 3, "member": "t-0"}],
    }
    control.on("GET", "tasks/t", {"kind": "task", "name": "t", "app": "a", "status": status})
    out = penstock("get", "task", "t").out
    assert "fetch 0.25, write 1\n" in out
    assert cells(out, "runners") == [["MEMBER", "STATE", "PARTITIONS"], ["t-0", "running", "0, 1"]]
    assert cells(out, "partitions")[1] == ["0", "4", "7", "3", "t-0"]


def test_a_task_that_holds_is_seen_in_the_list(penstock: Penstock, control: FakeControl) -> None:
    """`running` alone would hide that nothing moves."""
    status = {"state": "running", "reason": "", "holding": "connection db: refused"}
    control.lists("task", {"kind": "task", "name": "t", "app": "a", "status": status})
    assert penstock("get", "task").out.splitlines()[1].endswith("running, holds: connection db: refused")


def test_a_route_counts_answers_by_class(penstock: Penstock, control: FakeControl) -> None:
    """And says how long they took, without the histogram's buckets."""
    status = {
        "published": True,
        "requests": 5,
        "answers": [3, 0, 1, 0],
        "latency_sum": 0.01,
        "latency_buckets": [4, 0],
        "latency_ms": {"p50": 1.25, "p90": 2.5, "p99": None},
        "statuses": {"200": 3, "404": 1},
        "cache": {"hits": 2, "stale_hits": 0, "misses": 1, "entries": 1, "bytes": 700},
        "admission": {"running": 1, "waiting": 0, "refused": 2, "high_water": 9},
    }
    control.on("GET", "routes/r", {"kind": "route", "name": "r", "app": "a", "status": status})
    out = penstock("get", "route", "r").out
    assert "2xx 3, 3xx 0, 4xx 1, 5xx 0\n" in out
    assert "2.5 ms\n" in out
    assert "200 3, 404 1\n" in out
    assert "p50 1.25 ms, p90 2.5 ms\n" in out
    assert "hits 2, stale_hits 0, misses 1, entries 1, bytes 700\n" in out
    assert "running 1, waiting 0, refused 2\n" in out
    assert "buckets" not in out


def test_latencies_are_numbers_that_people_read(penstock: Penstock, control: FakeControl) -> None:
    """Neither `2.47e+03 ms` for what is slow nor `0.0 ms` for what is fast."""
    status = {"answers": [2, 0, 0, 0], "latency_sum": 0.00008, "latency_ms": {"p50": 0.04, "p99": 2471.4}}
    control.on("GET", "routes/r", {"kind": "route", "name": "r", "app": "a", "status": status})
    out = penstock("get", "route", "r").out
    assert "p50 0.04 ms, p99 2471 ms\n" in out
    assert " 0.04 ms\n" in out


def test_where_there_is_nothing_it_says_so(penstock: Penstock, control: FakeControl) -> None:
    """Not on standard output, where a script counts lines."""
    for kind in KINDS:
        control.lists(kind)
    assert penstock("get") == (0, "", "nothing is applied yet: penstock apply -f FILE\n")
    assert penstock("get", "task") == (0, "", "there is no task yet\n")
    assert penstock("get", "-o", "json") == (0, "[]\n", "")
