"""Kill a process that writes to a session store: what it said is on disk is there, whole, and nothing is left over."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import trio

from actors.session_store.messages import ReadQueue
from daemon.store.sessions import SessionFile
from tests.crash.session_writer import DONE_EVERY, LIMITS, SESSIONS

ROOT = Path(__file__).parents[2]
ROUNDS = 6


def write_and_die(folder: Path) -> int:
    """Run a writer, kill it at a random moment; returns the last sequence that it said is on disk."""
    command = [sys.executable, "-m", "tests.crash.session_writer", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(random.uniform(0.02, 0.3))
        process.kill()
        said += process.stdout.read().splitlines()
    return int(said[-1].split()[1])


async def stored(folder: Path) -> dict[str, list[int]]:
    """The numbers in each queue, with their bodies; every body has a holder, and each holder a body."""
    file = await SessionFile.open(folder, LIMITS)
    queues: dict[str, list[int]] = {}
    for name in SESSIONS:
        (page,) = await file.read_queues([ReadQueue(name, 0, 1 << 30)])
        assert all(entry.message.payload == b"%d" % entry.sequence for entry in page.entries)
        queues[name] = [entry.sequence for entry in page.entries]
    (problem,) = file._writer.execute("PRAGMA integrity_check").fetchone()
    assert problem == "ok"
    bodies = file._writer.execute("SELECT count(*) FROM bodies").fetchone()
    assert bodies == file._writer.execute("SELECT count(DISTINCT body) FROM queue").fetchone()
    await file.close()
    return queues


def test_what_was_answered_survives_sigkill(tmp_path: Path) -> None:
    """Over SIGKILLs at random moments each answered write is there, all of it or none of one that was not answered."""
    for _ in range(ROUNDS):
        last = write_and_die(tmp_path)
        queues = trio.run(stored, tmp_path)
        assert queues["s1"] == queues["s2"]
        queue = queues["s1"]
        # What came after the last answer may be there as well, as far as it was committed.
        assert queue[-1] >= last
        begin = queue[-1] // DONE_EVERY * DONE_EVERY
        assert queue == list(range(max(begin, 1), queue[-1] + 1))
