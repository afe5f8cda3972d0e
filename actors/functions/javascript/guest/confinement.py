"""What a process that runs scripts gives up before the first of them: files, sockets, other programs and processes.

Scripts cannot reach any of it by themselves; this is for one that has broken out of V8. Each measure is for itself, and
where the kernel lacks one the others hold: `confine` says which do. Linux, without privileges.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# Whatever scripts do, the daemon comes first.
_NICE = 5
_SCHED_OTHER = 0
_SLICE_NANOSECONDS = 500_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}

_CLONE_THREAD = 0x00010000

# linux/audit.h, and the numbers of the calls that are refused, by architecture (`uapi/asm/unistd.h`). In both, what
# comes after 424 has the same number everywhere.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "open": 2, "creat": 85, "openat": 257, "open_by_handle_at": 304, "name_to_handle_at": 303, "truncate": 76,
        "unlink": 87, "unlinkat": 263, "rename": 82, "renameat": 264, "renameat2": 316, "mkdir": 83, "mkdirat": 258,
        "rmdir": 84, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266, "chmod": 90, "fchmodat": 268,
        "chown": 92, "lchown": 94, "fchownat": 260, "mknod": 133, "mknodat": 259,
        "socket": 41, "socketpair": 53, "connect": 42, "bind": 49, "listen": 50, "accept": 43, "accept4": 288,
        "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "kill": 62, "tkill": 200, "ptrace": 101,
        "process_vm_readv": 310, "process_vm_writev": 311, "setpriority": 141, "unshare": 272,
        "setns": 308, "mount": 165, "umount2": 166, "chroot": 161, "pivot_root": 155, "bpf": 321,
        "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249,
        "memfd_create": 319, "init_module": 175, "finit_module": 313, "kexec_load": 246, "reboot": 169,
        "personality": 135, "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64, "mq_open": 240, "inotify_init1": 294,
        "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "fcntl": 72, "ioctl": 16, "sched_setparam": 142,
        "sched_setscheduler": 144, "sched_setaffinity": 203, "sched_setattr": 314, "ioprio_set": 251,
        "migrate_pages": 256, "move_pages": 279, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280,
        "setxattr": 188, "lsetxattr": 189, "removexattr": 197, "lremovexattr": 198,
    },
    "aarch64": {
        "openat": 56, "open_by_handle_at": 265, "name_to_handle_at": 264, "truncate": 45, "unlinkat": 35,
        "renameat": 38, "renameat2": 276, "mkdirat": 34, "linkat": 37, "symlinkat": 36, "fchmodat": 53,
        "fchownat": 54, "mknodat": 33,
        "socket": 198, "socketpair": 199, "connect": 203, "bind": 200, "listen": 201, "accept": 202, "accept4": 242,
        "execve": 221, "execveat": 281, "kill": 129, "tkill": 130, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "setpriority": 140, "unshare": 97, "setns": 268, "mount": 40,
        "umount2": 39, "chroot": 51, "pivot_root": 41, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "keyctl": 219, "add_key": 217, "request_key": 218, "memfd_create": 279, "init_module": 105,
        "finit_module": 273, "kexec_load": 104, "reboot": 142, "personality": 92, "shmget": 194, "shmat": 196,
        "msgget": 186, "semget": 190, "mq_open": 180, "inotify_init1": 26,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "fcntl": 25, "ioctl": 29, "sched_setparam": 118,
        "sched_setscheduler": 119, "sched_setaffinity": 122, "sched_setattr": 274, "ioprio_set": 30,
        "migrate_pages": 238, "move_pages": 239, "utimensat": 88, "setxattr": 5, "lsetxattr": 6, "removexattr": 14,
        "lremovexattr": 15,
    },
}  # fmt: skip
_CALLS_EVERYWHERE = {
    "io_uring_setup": 425, "pidfd_send_signal": 424, "pidfd_open": 434, "openat2": 437, "pidfd_getfd": 438,
    "process_madvise": 440, "memfd_secret": 447, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fspick": 433,
    "mount_setattr": 442, "fchmodat2": 452,
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_TGKILL = {"x86_64": 234, "aarch64": 131}
_PRLIMIT = {"x86_64": 302, "aarch64": 261}

# Classic BPF (`linux/bpf_common.h`, `linux/seccomp.h`).
_LOAD, _EQUAL, _AND_SET, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _FIRST_ARGUMENT_OFFSET = 0, 4, 16
_X32 = 0x40000000


def give_way() -> bool:
    """Come after the daemon, and leave a processor soon to whoever waits for it, others that run scripts among them.

    A slice of its own is known from Linux 6.12 on (sched_setattr(2), `sched_runtime`); before, only the first holds.
    """
    os.nice(_NICE)
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return False
    attributes = struct.pack("IIQiIQQQ", 48, _SCHED_OTHER, 0, os.nice(0), 0, _SLICE_NANOSECONDS, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)


def confine(parent: int) -> list[str]:
    """Give it all up; the names of what could be given up. What needs files must have been opened before."""
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
    held = []
    if library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
        held.append("dies with its parent")
    if os.getppid() != parent:
        os._exit(0)  # it has died before it could be tied to
    if _is_first_to_be_ended():
        held.append("first to be ended")
    if library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        held.append("not to be traced")
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        held.append("no new privileges")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    held.append("no files")
    if _filter_calls(library):
        held.append("no system calls but those it needs")
    return held


def _is_first_to_be_ended() -> bool:
    """Whether the kernel, when memory runs out, ends this process and not the daemon."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return False
    return True


def _filter_calls(library: ctypes.CDLL) -> bool:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    program = seccomp_program(machine, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    holder = ctypes.create_string_buffer(header, len(header))
    return bool(library.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(holder), 0, 0) == 0)


def seccomp_program(machine: str, process: int) -> bytes:
    """The filter (seccomp(2)) of a process: refused calls fail with EPERM, new processes too, threads are allowed."""
    refused = sorted({*_CALLS[machine].values(), *_CALLS_EVERYWHERE.values()})
    return b"".join(_instructions(machine, refused, process))


def _instructions(machine: str, refused: Iterable[int], process: int) -> Iterable[bytes]:
    refuse = _instruction(_RETURN, _ERRNO | errno.EPERM)
    yield _instruction(_LOAD, _ARCHITECTURE_OFFSET)
    yield _instruction(_EQUAL, _ARCHITECTURES[machine], if_true=1)
    yield refuse
    yield _instruction(_LOAD, _NUMBER_OFFSET)
    yield _instruction(_AT_LEAST, _X32, if_false=1)
    yield refuse
    for number in refused:
        yield _instruction(_EQUAL, number, if_false=1)
        yield refuse
    # glibc falls back to clone, whose flags can be looked at.
    yield _instruction(_EQUAL, _CLONE3, if_false=1)
    yield _instruction(_RETURN, _ERRNO | errno.ENOSYS)
    # By this abort(3) ends its own process; nobody else is to be sent signals.
    yield _instruction(_EQUAL, _TGKILL[machine], if_false=4)
    yield _instruction(_LOAD, _FIRST_ARGUMENT_OFFSET)
    yield _instruction(_EQUAL, process, if_true=1)
    yield refuse
    yield _instruction(_RETURN, _ALLOW)
    # Limits of its own (process id 0) are set at each call.
    yield _instruction(_EQUAL, _PRLIMIT[machine], if_false=4)
    yield _instruction(_LOAD, _FIRST_ARGUMENT_OFFSET)
    yield _instruction(_EQUAL, 0, if_true=1)
    yield refuse
    yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_EQUAL, _CLONE[machine], if_false=3)
    yield _instruction(_LOAD, _FIRST_ARGUMENT_OFFSET)
    yield _instruction(_AND_SET, _CLONE_THREAD, if_true=1)
    yield refuse
    yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


_CALLS_A_LOOK = 100

_SLACK = 64 * 1024 * 1024
"""What V8 may need on top, for its compilers. And twice the memory: it copies what lives to collect the rest."""


class CallBounds:
    """What the kernel holds each call to: CPU time, and memory beyond what there is when it begins.

    The daemon sees to both by itself; this holds where it is slow, or gone. Anonymous memory is what counts
    (RLIMIT_DATA): V8 reserves a terabyte of addresses, so that RLIMIT_AS says nothing.
    """

    def __init__(self) -> None:
        self._sizes = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._page = resource.getpagesize()
        self._most = {kind: resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_CPU, resource.RLIMIT_DATA)}
        self._until = 0
        self._memory = 0
        self._calls = 0

    def set(self, seconds: float, memory: int) -> None:
        """For the call that begins now. What is there already is looked up anew every `_CALLS_A_LOOK` calls."""
        until = int(time.process_time() + seconds) + 2
        if until != self._until:
            self._until = until
            self._limit(resource.RLIMIT_CPU, until)
        self._calls -= 1
        if memory != self._memory or self._calls < 0:
            self._memory, self._calls = memory, _CALLS_A_LOOK
            data = int(os.pread(self._sizes, 256, 0).split()[5]) * self._page
            self._limit(resource.RLIMIT_DATA, data + 2 * memory + _SLACK)

    def look_again(self) -> None:
        """An isolate has come or gone."""
        self._calls = 0

    def _limit(self, kind: int, soft: int) -> None:
        hard = self._most[kind]
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
