"""The system under a log fails it at one system call after the other: what was acknowledged is there all the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.log.disk import Disk
from actors.log.verify import verify_folder
from actors.records import StoredRecord
from tests.actors.log.parts import open_log, read_all
from tests.crash.log_writer import COMMITS, RECORDS

ROOT = Path(__file__).parents[2]
NUMBERS_A_RUN = COMMITS * RECORDS
# More calls than any run makes: strace is told to fail this one.
AT = 100


@pytest.fixture(scope="session")
def strace() -> str:
    """Where strace is, and may trace."""
    command = shutil.which("strace")
    if command is None:
        pytest.skip("strace is not installed (Debian package strace)")
    tried = subprocess.run([command, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")
    return command


class Run:
    """What one run said and how it ended."""

    def __init__(self, lines: list[list[str]], number: int) -> None:
        self.acknowledged: list[int] = []
        self.refused = 0
        self.sizes: dict[str, int] = {}
        calls = 0
        for line in lines:
            match line:
                case ["acknowledged", *numbers, file, size]:
                    self.acknowledged += map(int, numbers)
                    self.sizes[file] = int(size)
                case ["refused", *_]:
                    self.refused += 1
                case ["calls", made]:
                    calls = int(made)
        *_, (_, code) = lines
        self.code = int(code)
        self.met = self.code != 0 or calls >= number
        # Killed, given up, or done: anything else is the writer's own fault.
        assert self.code in (-signal.SIGKILL, 3, 0)


class Writers:
    """Runs of the writer under one strace."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, folder: Path, first: int, number: int) -> Run:
        """A run whose n-th call fails."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder} {first} {number}\n")
        self._process.stdin.flush()
        lines: list[list[str]] = []
        while not lines or lines[-1][0] != "ended":
            lines.append(self.line())
        return Run(lines, number)

    def line(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the writer is gone: {self._process.wait()}"
        return line.split()

    def runs(self, folder: Path) -> Iterator[tuple[int, Run]]:
        """A run for each n-th call, until a run has no n-th one; each goes on in the folder that the last one left."""
        for number in range(1, AT):
            run = self.run(folder, NUMBERS_A_RUN * number, number)
            yield number, run
            if not run.met:
                assert number > 1, "the call was never made"
                return
        pytest.fail("a run makes more calls than expected")


@contextmanager
def writers(strace: str, call: str, failure: str) -> Iterator[Writers]:
    """Writers who are killed at a call (`signal=KILL`) or whose call fails (`error=EIO`): once, with `+` for good."""
    inject = f"--inject={call}:{failure.rstrip('+')}:when={AT}{'+' * failure.endswith('+')}"
    # Not --seccomp-bpf: where it stops a call no signal can be given.
    command = [strace, "-f", "-qqq", "-o", os.devnull, "-e", f"trace={call}", inject]
    command += [sys.executable, "-m", "tests.crash.log_writer", call, str(AT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        started = Writers(process)
        assert started.line() == ["ready"]
        yield started


def recovered(folder: Path, copy: Path) -> list[int]:
    """The numbers that a start finds, on a copy: the next run is to meet the folder as this one left it."""
    shutil.rmtree(copy, ignore_errors=True)
    if not folder.exists():
        return []
    shutil.copytree(folder, copy)
    log = open_log(copy)
    found, damage = read_all(log)
    assert not damage
    log.close()
    # What a failed sync took leaves a gap between two segments, told by their names; all else is to be whole.
    assert not [flaw for flaw in verify_folder(copy, Disk()).described if "are in no segment" not in flaw.reason]
    return [number_of(record) for record in found]


def number_of(record: StoredRecord) -> int:
    number = int((record.key or b"").removeprefix(b"key-"))
    assert (record.value or b"").startswith(b"value-%d;" % number)
    return number


@pytest.mark.parametrize("call", ["fsync", "ftruncate"])
def test_killed_at_any_system_call_nothing_acknowledged_is_lost(tmp_path: Path, strace: str, call: str) -> None:
    """Killed at the n-th call for each n of a run, recovery has all that was acknowledged, whole, once and in order."""
    folder = tmp_path / "t-0"
    acknowledged: list[int] = []
    with writers(strace, call, "signal=KILL") as started:
        for _, run in started.runs(folder):
            assert (run.code == -signal.SIGKILL) == run.met
            acknowledged += run.acknowledged
            numbers = recovered(folder, tmp_path / "copy")
            assert set(acknowledged) <= set(numbers)
            assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_killed_and_without_power_nothing_acknowledged_is_lost(tmp_path: Path, strace: str, call: str) -> None:
    """As above, and what no sync had returned for is gone: what was acknowledged is there, and nothing else."""
    with writers(strace, call, "signal=KILL") as started:
        for number in range(1, AT):
            folder = tmp_path / f"t-{number}"
            run = started.run(folder, 0, number)
            assert (run.code == -signal.SIGKILL) == run.met
            for path in folder.glob("*.log"):
                os.truncate(path, min(path.stat().st_size, run.sizes.get(path.name, 0)))
            assert recovered(folder, tmp_path / "copy") == run.acknowledged
            if not run.met:
                break
    # There is one of each for a commit, at the least.
    assert number > COMMITS
    assert len(run.acknowledged) == NUMBERS_A_RUN


@pytest.mark.parametrize(
    ("call", "error"),
    [("fdatasync", "EIO"), ("fsync", "EIO"), ("pwrite64", "ENOSPC"), ("ftruncate", "EIO")],
)
def test_one_system_call_that_fails_loses_and_doubles_nothing(
    tmp_path: Path, strace: str, call: str, error: str
) -> None:
    """Whichever call fails once, what is refused then is not kept, and is taken when sent again, without a restart."""
    folder = tmp_path / "t-0"
    acknowledged: list[int] = []
    refused = 0
    with writers(strace, call, f"error={error}") as started:
        for _, run in started.runs(folder):
            assert len(run.acknowledged) == NUMBERS_A_RUN
            refused += run.refused
            acknowledged += run.acknowledged
            assert recovered(folder, tmp_path / "copy") == acknowledged
    assert refused


@pytest.mark.parametrize(("call", "error"), [("fdatasync", "EIO"), ("pwrite64", "ENOSPC")])
def test_a_disk_that_fails_for_good_loses_nothing_acknowledged(
    tmp_path: Path, strace: str, call: str, error: str
) -> None:
    """From the n-th call on each one fails: the writer gives up, and recovery has what was acknowledged before."""
    folder = tmp_path / "t-0"
    acknowledged: list[int] = []
    with writers(strace, call, f"error={error}+") as started:
        for _, run in started.runs(folder):
            assert (run.code == 3) == run.met
            acknowledged += run.acknowledged
            assert recovered(folder, tmp_path / "copy") == acknowledged
