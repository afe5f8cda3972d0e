"""`penstock topic`: what it asks, what it shows, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from daemon.folder import claimed
from tests.actors.log.parts import flip, log_file
from tests.actors.log.test_verify import written
from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl


def message(offset: int, value: Any = 1, value_format: str = "json") -> dict[str, Any]:
    return {
        "partition": 0,
        "offset": offset,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "key": "lot-1",
        "key_format": "text",
        "headers": [{"name": "penstock-id", "value": f"m{offset}", "format": "text"}],
        "value": value,
        "value_format": value_format,
    }


def page(*messages: dict[str, Any], cursor: str | None = None, damage: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "topic": "t",
        "messages": list(messages),
        "cursor": cursor,
        "scanned": {"messages": 200_000, "bytes": 12_345},
        "looked": [{"partition": 0, "from": 5, "to": 9, "left": 5}],
        "damage": list(damage),
    }


# --- query ---


def test_a_query_shows_a_table(penstock: Penstock, control: FakeControl) -> None:
    """A line a message: where, when, key, id, and the value as it is; columns without anything are left out."""
    control.on("GET", "topics/t/messages?limit=20", page(message(7, {"n": 1}), message(6, "text", "text")))
    ended = penstock("topic", "query", "t")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["PARTITION", "OFFSET", "TIME", "KEY", "ID", "VALUE"]
    assert lines[1].split(maxsplit=5) == ["0", "7", "2026-03-01T12:00:00.000Z", "lot-1", "m7", '{"n": 1}']
    assert lines[2].endswith("text")
    assert (ended.code, ended.err) == (0, "")


def test_a_query_shows_why_dead_letters_are_there(penstock: Penstock, control: FakeControl) -> None:
    """Beside their value; a header that somebody else calls `reason` is none."""
    dead = message(7)
    source = {"name": "source_topic", "value": "t", "format": "text"}
    dead["headers"] += [{"name": "reason", "value": "n is missing", "format": "text"}, source]
    other = message(6)
    other["headers"] += [{"name": "reason", "value": "because", "format": "text"}]
    control.on("GET", "topics/t.dead/messages?limit=20", page(dead, other))
    lines = penstock("topic", "query", "t.dead").out.splitlines()
    assert lines[0].split() == ["PARTITION", "OFFSET", "TIME", "KEY", "ID", "REASON", "VALUE"]
    assert lines[1].split(maxsplit=5)[5].split("   ") == ["n is missing", "1"]
    assert "because" not in lines[2]


def test_a_query_asks_for_what_was_said(penstock: Penstock, control: FakeControl) -> None:
    """Each selector goes to the daemon under its own name."""
    penstock(
        "topic", "query", "a/t", "--partition", "1", "--offset", "5", "--from", "10m", "--to", "1m", "--key", "k&",
        "--id", "m", "--tag", "x", "--order", "oldest", "--limit", "3",
    )  # fmt: skip
    asked = urlsplit(control.requests[0].path)
    assert asked.path == "/api/v1/topics/a%2Ft/messages"
    assert parse_qs(asked.query) == {
        "limit": ["3"], "partition": ["1"], "offset": ["5"], "from": ["10m"], "to": ["1m"], "key": ["k&"], "id": ["m"],
        "tag": ["x"], "order": ["oldest"],
    }  # fmt: skip


def test_a_query_follows_pages_up_to_its_limit(penstock: Penstock, control: FakeControl) -> None:
    """Pages are fetched while they bring something and the limit is not reached; then the cursor is told."""
    control.on("GET", "topics/t/messages?limit=3", page(message(9), message(8), cursor="one"))
    control.on("GET", "topics/t/messages?limit=1&cursor=one", page(message(7), cursor="two"))
    ended = penstock("topic", "query", "t", "--limit", "3", "-o", "json")
    assert [one["offset"] for one in json.loads(ended.out)] == [9, 8, 7]
    assert ended.err == "there is more: --cursor two\n"


def test_a_bounded_scan_says_how_far_it_looked(penstock: Penstock, control: FakeControl) -> None:
    """Where a page found nothing and there is more to look at, that is told, with what cannot be read."""
    control.on("GET", "topics/t/messages?limit=20&id=m", page(cursor="more", damage=("offsets 1 to 2 are damaged",)))
    ended = penstock("topic", "query", "t", "--id", "m")
    assert ended.err.splitlines() == [
        "damaged: offsets 1 to 2 are damaged",
        "looked at 200000 messages, 12345 bytes:",
        "  partition 0: offsets 5 to 9, 5 are left",
        "there is more: --cursor more",
    ]


# --- replay ---


def replayed(**changes: Any) -> dict[str, Any]:
    done = {"messages": 3, "scanned": 10, "complete": True, "reason": "", "damage": [], "positions": []}
    return done | changes


def test_a_replay_sends_what_was_chosen(penstock: Penstock, control: FakeControl) -> None:
    """Selectors go as they were said, and the count is told."""
    control.on("POST", "topics/t/replay", replayed())
    ended = penstock("topic", "replay", "t", "--target", "u", "--from", "1h", "--key", "k", "--limit", "3")
    assert (ended.code, ended.out) == (0, "3 messages were sent to topic u\n")
    body = json.loads(control.requests[0].body)
    assert body == {"target": "u", "from": "1h", "key": "k", "limit": 3, "dry_run": False}
    assert penstock("topic", "replay", "t", "--dry-run").out == "3 messages would be sent to topic t\n"
    control.on("POST", "topics/t/replay", replayed(messages=1))
    assert penstock("topic", "replay", "t", "--id", "7").out == "1 message was sent to topic t\n"


def test_a_whole_topic_is_not_sent_again_by_mistake(penstock: Penstock, control: FakeControl) -> None:
    """Without a choice nothing is sent but with --all."""
    control.on("POST", "topics/t/replay", replayed())
    ended = penstock("topic", "replay", "t", "--target", "u")
    assert (ended.code, control.requests) == (2, [])
    assert "--all" in ended.err
    assert penstock("topic", "replay", "t", "--all").out == "3 messages were sent to topic t\n"


def test_a_replay_that_was_broken_off(penstock: Penstock, control: FakeControl) -> None:
    """Exit code 1, the reason, and where it can go on."""
    broken = replayed(complete=False, reason="the disk is full", positions=[{"partition": 0, "offset": 7}])
    control.on("POST", "topics/t/replay", broken)
    ended = penstock("topic", "replay", "t", "--all")
    assert ended.code == 1
    assert "3 messages were sent, then: the disk is full; it can go on at partition 0 offset 7" in ended.err


# --- verify ---


def test_verify_without_a_daemon(penstock: Penstock, tmp_path: Path) -> None:
    """A data folder that nobody uses is checked as it lies: 0 where all is well, 1 with file and offset where not."""
    folder = tmp_path / "var" / "topics" / "t-0"
    folder.parent.mkdir(parents=True)
    ends = written(folder)
    good = penstock("topic", "verify")
    assert (good.code, good.err) == (0, "")
    assert good.out.splitlines()[1].split() == ["t", "0", "0", "60", "2", "20", "60", str(ends[9] + ends[19]), "0"]
    flip(log_file(folder), ends[3] + 80)
    bad = penstock("topic", "verify", "t")
    assert bad.code == 1
    assert f"topics/t-0/{log_file(folder).name}: position {ends[3]}, offset 12: offsets 12 to 14" in bad.err
    assert json.loads(penstock("topic", "verify", "-o", "json").out)[0]["flaws"] == 1


def test_verify_repairs_indexes(penstock: Penstock, tmp_path: Path) -> None:
    """Told what was made anew, and what cannot be; under a daemon, or from afar, nothing is touched."""
    folder = tmp_path / "var" / "topics" / "t-0"
    folder.parent.mkdir(parents=True)
    ends = written(folder)
    index = log_file(folder).with_suffix(".index")
    flip(index, 8)
    damaged = index.read_bytes()
    with claimed(tmp_path / "var"):
        held = penstock("topic", "verify", "--repair")
    afar = penstock("topic", "verify", "--repair", "--url", "http://127.0.0.1:9")
    assert (held.code, afar.code) == (1, 1)
    assert "--repair needs the data folder for itself" in held.err
    assert index.read_bytes() == damaged
    assert penstock("topic", "verify").code == 1
    repaired = penstock("topic", "verify", "--repair")
    assert (repaired.code, repaired.err) == (0, "t-0: indexes of 1 segments made anew\n")
    flip(log_file(folder), ends[3] + 80)
    left = penstock("topic", "verify", "--repair")
    assert (left.code, left.err.count("\n")) == (1, 1)
    assert "offsets 12 to 14 cannot be read" in left.err


def test_verify_with_a_stale_note(penstock: Penstock, tmp_path: Path) -> None:
    """After a crash the note of the daemon is still there, and nobody behind it: the folder is checked as it lies."""
    folder = tmp_path / "var" / "topics" / "t-0"
    folder.parent.mkdir(parents=True)
    written(folder)
    (tmp_path / "var" / "daemon.json").write_text("{}")
    assert penstock("topic", "verify").code == 0


def test_verify_through_the_daemon(penstock: Penstock, control: FakeControl, tmp_path: Path) -> None:
    """Where a daemon uses the folder it is asked, topic by topic."""
    (tmp_path / "var" / "topics").mkdir()
    flaw = {"file": "/x/0.log", "position": 4, "offset": 2, "reason": "the CRC-32C does not match"}
    partition = {
        "partition": 0, "start_offset": 0, "end_offset": 5, "segments": 1, "batches": 2, "records": 5, "bytes": 300,
        "torn_bytes": 0, "flaws": 101, "described": [flaw],
    }  # fmt: skip
    control.lists("topic", {"kind": "topic", "name": "t"})
    control.on("POST", "topics/t/verify", {"topic": "t", "flaws": 101, "partitions": [partition]})
    with claimed(tmp_path / "var"):
        ended = penstock("topic", "verify")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "/x/0.log: position 4, offset 2: the CRC-32C does not match",
        "t-0: 100 more flaws",
    ]


@pytest.mark.parametrize(("arguments", "reason"), [(("nope",), "there is no topic nope"), ((), "holds no topics")])
def test_verify_of_what_is_not_there(
    penstock: Penstock, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    """A wrong name or folder is told, and no folder is made for it."""
    if arguments:
        (tmp_path / "var" / "topics").mkdir(parents=True)
    ended = penstock("topic", "verify", *arguments)
    assert ended.code == 1
    assert reason in ended.err
    assert (tmp_path / "var").exists() == bool(arguments)
