"""What a process of scripts can still do: tried from within, by Python in place of a broken V8."""

from __future__ import annotations

import ast
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from actors.functions.javascript.guest.confinement import seccomp_program

_HOUSE = str(Path(__file__).parents[4])

TRIES = """
import sys; sys.path.insert(0, sys.argv[1])
import fcntl, os, socket, subprocess, threading, ctypes, resource, signal, errno
from actors.functions.javascript.guest.confinement import CallBounds, confine
bounds = CallBounds()
out = os.dup(1)
held = confine(os.getppid())
def tried(act):
    try:
        act()
    except (OSError, RuntimeError) as error:
        return getattr(error, "errno", None)
    return 0
AMD = os.uname().machine == "x86_64"
READV = 310 if AMD else 270
TGKILL = 234 if AMD else 131
SIGQUEUE = 129 if AMD else 138
DUP = 32 if AMD else 23
libc = ctypes.CDLL(None, use_errno=True)
def raw(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
thread = threading.Thread(target=lambda: None)
found = {
    "open": tried(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "write": tried(lambda: os.open("/tmp/penstock-escape", os.O_CREAT | os.O_WRONLY)),
    "socket": tried(lambda: socket.socket()),
    "unix socket": tried(lambda: socket.socketpair()),
    "fork": tried(os.fork),
    "exec": tried(lambda: os.execv("/bin/true", ["true"])),
    "kill": tried(lambda: os.kill(os.getppid(), 0)),
    "signal to a thread": tried(lambda: raw(TGKILL, os.getppid(), os.getppid(), 0)),
    "signal in a queue": tried(lambda: raw(SIGQUEUE, os.getppid(), 0, 0)),
    "signals by its socket": tried(lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())),
    "processors of the parent": tried(lambda: os.sched_setaffinity(os.getppid(), {0})),
    "times of files": tried(lambda: os.utime("/tmp")),
    "own thread": tried(lambda: raw(TGKILL, os.getpid(), threading.get_native_id(), 0)),
    "pidfd": tried(lambda: os.pidfd_open(os.getppid())),
    "limits of the parent": tried(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)),
    "unlink": tried(lambda: os.unlink("/tmp/penstock-escape")),
    "rename": tried(lambda: os.rename("/tmp/penstock-escape", "/tmp/penstock-escaped")),
    "memory of others": tried(lambda: raw(READV, os.getppid(), 0, 0, 0, 0, 0)),
    "more descriptors": tried(lambda: raw(DUP, 0)),
    "thread": tried(lambda: (thread.start(), thread.join())),
    "own limits": tried(lambda: bounds.set(1.0, 1 << 20)),
}
os.write(out, repr((held, found, errno.EPERM, (errno.EMFILE, errno.EINVAL))).encode())
"""


def test_a_confined_process_has_nothing() -> None:
    """No file, socket, program, process, signal, or other's memory; threads and limits of its own remain."""
    command = [sys.executable, "-I", "-c", TRIES, _HOUSE]
    run = subprocess.run(command, capture_output=True, check=False, env={}, timeout=30)
    held, found, refused, too_many = ast.literal_eval(run.stdout.decode() or f"({run.stderr!r},)")
    if "no system calls but those it needs" not in held:
        pytest.skip("this kernel has no seccomp filters")
    allowed = {name for name, error in found.items() if error == 0}
    assert allowed == {"thread", "own thread", "own limits"}
    assert found.pop("more descriptors") in too_many
    assert {error for name, error in found.items() if name not in allowed} == {refused}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_whole(machine: str) -> None:
    """It fits into what the kernel takes, and ends by allowing what it has not refused."""
    program = seccomp_program(machine, 1234)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096
    assert program[-8:] == b"\x06\x00\x00\x00" + (0x7FFF0000).to_bytes(4, sys.byteorder)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no list of system calls for it")
def test_every_measure_holds_here(scripts: object) -> None:
    """On this machine each of the measures is in force, which `confine` tells."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import os\n"
    code += "from actors.functions.javascript.guest.confinement import confine; print(len(confine(os.getppid())))"
    run = subprocess.run([sys.executable, "-I", "-c", code, _HOUSE], capture_output=True, check=True, timeout=30)
    assert int(run.stdout) == 6
