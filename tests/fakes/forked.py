"""The command line as processes of their own that need not import it.

What it imports is most of what a start costs, and hundreds of tests start one. So one process of a test run imports it,
and those that tests ask for are forks of that one: the same code, in a process of its own with its own files,
environment and signals. How the command line starts from nothing is the matter of tests that do so.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from daemon.cli.main import main

Before = Callable[[], None]
"""What a process calls before anything else: a function of a module."""

_IMPORTED = ["daemon.cli.main", "daemon.cli.client", "daemon.cli.show", "daemon.lifecycle", "httpcore"]


class ForkedCommand:
    """`penstock ARGUMENTS` as a fork, in the folder that is current; of `subprocess.Popen` what tests need.

    What it says goes to the end of the files `stdout` and `stderr`, which may be the same.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        before: Before | None = None,
    ) -> None:
        self._process = _forks().Process(
            target=_command, args=(list(arguments), dict(environment), stdout, stderr, before), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns its exit code."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("penstock", timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def run_forked(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        command = ForkedCommand(arguments, environment, out, err)
        try:
            code = command.wait(timeout)
        except subprocess.TimeoutExpired:
            command.kill()
            raise
        return subprocess.CompletedProcess(["penstock", *arguments], code, out.read_text(), err.read_text())


@cache
def _forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED, __name__])
    return context


def _command(
    arguments: list[str], environment: dict[str, str], stdout: Path, stderr: Path, before: Before | None
) -> None:
    """In the fork: take on what a process of its own would have been started with, and be the command."""
    for path, descriptor in ((stdout, 1), (stderr, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["penstock", *arguments]
    if before is not None:
        before()
    main()
