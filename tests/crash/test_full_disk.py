"""A file system that fills up for real: refusals, no loss, and on without a restart once there is room."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from actors.errors import AppendRefusedError
from actors.log.log import Log
from tests.actors.log.parts import Clock, append, open_log, plain, read_all, records
from tests.fakes.daemon import ChildDaemon
from tests.fakes.topic_files import read_topic

MEBIBYTE = 1024 * 1024
RESERVE = 4 * MEBIBYTE
AUTH = ("house", "house-secret")
MANIFEST = f"""
kind: app
name: house
key: {AUTH[0]}
secret: {AUTH[1]}
---
kind: topic
app: house
name: orders
partitions: 2
"""

Mount = Callable[[Path, int], None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts an empty file system of so many mebibytes on a folder, where that is permitted."""
    mounted: list[Path] = []

    def small(folder: Path, mebibytes: int) -> None:
        folder.mkdir()
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("mounting a tmpfs takes root and mount(8)")
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"mounting a tmpfs is not permitted here: {done.stderr.strip()}")
        mounted.append(folder)

    yield small
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_log_on_a_full_disk(tmp_path: Path, mount: Mount) -> None:
    """Without a reserve the disk itself says no: what was acknowledged stays, also over a start on the full disk.

    Once there is room the log that refused goes on by itself.
    """
    disk = tmp_path / "disk"
    mount(disk, 1)
    filler = disk / "filler"
    filler.write_bytes(bytes(256 * 1024))
    clock = Clock()
    log = open_log(disk / "t-0", clock=clock)
    with pytest.raises(AppendRefusedError, match="No space left on device") as caught:
        _append_until_refused(log)
    full = log.next_offset
    assert 0 < full * 700 < MEBIBYTE
    assert str(log.active.path) in str(caught.value)
    clock.now += 10
    with pytest.raises(AppendRefusedError, match="tried again: No space left on device"):
        append(log, records(10, full, 700))
    started = open_log(disk / "t-0")
    for each in (log, started):
        found, damage = read_all(each)
        assert plain(found) == records(full, 0, 700)
        assert not damage
    del started
    filler.unlink()
    clock.now += 10
    append(log, records(10, full, 700))
    log.close()
    assert plain(read_all(open_log(disk / "t-0"))[0]) == records(full + 10, 0, 700)


def test_a_daemon_on_a_full_disk(tmp_path: Path, mount: Mount) -> None:
    """Below the reserve producers are told 503; consumers confirm all there is; with room producers go on."""
    data = tmp_path / "data"
    mount(data, 20)
    filler = data / "filler"
    filler.write_bytes(bytes(RESERVE))
    with ChildDaemon(data, PENSTOCK_LOG__RESERVE_BYTES=str(RESERVE)) as daemon:
        daemon.apply(MANIFEST)
        with daemon.topics(auth=AUTH) as client:
            stored = _fill(client)
            assert 2 * RESERVE < stored * 8000 < 14 * MEBIBYTE
            # What goes into the reserve is offsets, indexes and metadata.
            assert shutil.disk_usage(data).free > RESERVE - MEBIBYTE // 4
            daemon.wait_log("Logs take no appends: the disk is nearly full")
            assert _consume(client, stored) == set(range(stored))
            assert _store(client, stored).status_code == 503
            assert daemon.ask("groups/billing")["lag"] == 0
            filler.unlink()
            _wait_taken(client, stored)
            daemon.wait_log("Logs take appends again: there is room")
            assert _consume(client, 20) == set(range(stored, stored + 20))
        assert daemon.stop() == 0
    numbers = [json.loads(record.value or b"")["number"] for part in read_topic(data, "orders") for record in part]
    assert sorted(numbers) == list(range(stored + 20))


def _append_until_refused(log: Log) -> NoReturn:
    while True:
        append(log, records(10, log.next_offset, 700))


def _store(client: httpx.Client, first: int) -> httpx.Response:
    """Twenty records of 8 kB each, for one partition or the other."""
    lines = [
        json.dumps({"content": {"number": number, "text": "x" * 8000}, "key": str(first)})
        for number in range(first, first + 20)
    ]
    return client.post("/v1/topic/orders/records", content="\n".join(lines))


def _fill(client: httpx.Client) -> int:
    """Store until the daemon refuses; how many were acknowledged."""
    stored = 0
    while (answer := _store(client, stored)).status_code == 200:
        stored += 20
        assert stored * 8000 < 20 * MEBIBYTE, "more was taken than there is room for"
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["error_msg"].startswith("The topic takes no records now: its storage refuses appends")
    assert "orders-" not in answer.text, "files are the operator's affair"
    return stored


def _consume(client: httpx.Client, count: int) -> set[int]:
    """Take and confirm until so many messages came."""
    path, seen = "/v1/topic/orders/group/billing/messages", set[int]()
    while len(seen) < count:
        taken = client.get(path, params={"time_wait": 5}).raise_for_status().json()
        assert taken, f"{len(seen)} of {count} came"
        seen |= {json.loads(base64.b64decode(one["message"]["content"]))["number"] for one in taken}
        told = {"messages": [{"handler": one["handler"], "status": "success"} for one in taken]}
        assert client.post(path, json=told).json() == {"success": len(taken), "fail": 0}
    return seen


def _wait_taken(client: httpx.Client, first: int) -> None:
    deadline = time.monotonic() + 10
    while (answer := _store(client, first)).status_code != 200:
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, "the daemon refuses although there is room"
        time.sleep(0.1)
