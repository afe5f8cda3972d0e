"""A process that runs scripts, as the daemon sees it: started, spoken to, measured, ended."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import trio

from actors.errors import PenstockError
from actors.functions.javascript.frames import FrameError, FrameReader, Kind

START_SECONDS = 30.0
"""A process that is not ready after so many seconds is given up."""

_READ_BYTES = 256 * 1024
_TOLD_BYTES = 4096
_GREETING_BYTES = 4096
_PAGE = resource.getpagesize()
_ENTRY = (
    "import sys; sys.path[:0] = sys.argv[3:]; "
    "from actors.functions.javascript.guest.confinement import give_way; give_way(); "
    "from actors.functions.javascript.guest.main import main; main()"
)


class ProcessLostError(PenstockError):
    """The process has ended, or does not start; tells how. `unread`: it left something that we sent it unread."""

    def __init__(self, message: str, *, unread: bool = False) -> None:
        super().__init__(message)
        self.unread = unread


class Process:
    """Owns the process, our end of its socket, and what is held of it to measure and end it.

    It was started with nothing of ours: no environment, no descriptor but its end of the socket, and memory of its own.
    """

    def __init__(self, popen: subprocess.Popen[bytes], connection: socket.socket, told: int) -> None:
        self._popen = popen
        self._told = told
        self._sizes = os.open(f"/proc/{popen.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._pidfd = os.pidfd_open(popen.pid)
        except OSError:
            os.close(self._sizes)
            raise
        self._socket = connection
        self._reader = FrameReader(_GREETING_BYTES)
        self.pid = popen.pid

    async def ready(self) -> None:
        """Wait until it takes calls.

        Raises:
            ProcessLostError: it does not start.
        """
        with trio.move_on_after(START_SECONDS):
            try:
                frames = await self.receive()
            except FrameError as error:
                raise ProcessLostError(f"a process for scripts began with what is no frame: {error}") from error
            if [kind for kind, _ in frames] == [Kind.READY]:
                return
            raise ProcessLostError("a process for scripts began with what is no greeting")
        raise ProcessLostError(f"a process for scripts was not ready after {START_SECONDS:g} seconds")

    async def send(self, data: memoryview) -> None:
        """Write all of it, as soon as there is room. ProcessLostError where it has ended."""
        while data := self.send_some(data):
            await trio.lowlevel.wait_writable(self._socket)

    def send_some(self, data: memoryview) -> memoryview:
        """Write what there is room for; the rest.

        Raises:
            ProcessLostError: it has ended.
        """
        try:
            while data:
                data = data[self._socket.send(data) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise ProcessLostError(f"the process takes nothing any more: {error}", unread=True) from error
        return data

    def send_nowait(self, data: bytes) -> bool:
        """Write a few bytes, if they fit whole."""
        try:
            return self._socket.send(data) == len(data)
        except OSError:
            return False

    def listen(self, most: int) -> None:
        """Take no frame with more bytes than these from now on."""
        self._reader.most = most

    async def receive(self) -> list[tuple[Kind, bytes]]:
        """At least one frame, as soon as there is one.

        Raises:
            ProcessLostError: it has ended.
            FrameError: it sends what are no frames.
        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError as error:
                unread = isinstance(error, ConnectionResetError)
                raise ProcessLostError(f"the process says nothing any more: {error}", unread=unread) from error
            if not data:
                raise ProcessLostError("the process has ended")
            if frames := self._reader.feed(data):
                return frames

    def resident(self) -> int:
        """How much memory it has now, in bytes; 0 when it has ended."""
        try:
            return int(os.pread(self._sizes, 128, 0).split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def reap(self) -> int:
        """Wait for its end; its return code, negative for a signal."""
        await trio.lowlevel.wait_readable(self._pidfd)
        return self._popen.wait()

    def told(self) -> str:
        """What it wrote before its end: why V8, or Python, gave up."""
        with suppress(OSError):
            return os.read(self._told, _TOLD_BYTES).decode("utf-8", "replace").strip()
        return ""

    def close(self) -> None:
        """Let go of all that is held of it, once it is reaped."""
        self._socket.close()
        for descriptor in (self._pidfd, self._sizes, self._told):
            os.close(descriptor)


class Spawner:
    """Starts processes, all from one thread of its own, alive as long as this is.

    A child is tied to the thread that started it (PR_SET_PDEATHSIG), not to the process: threads of a pool, which end
    when they have rested for a while, would take their children with them.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="penstock spawner")
        self._paths = _import_paths()

    async def start(self) -> Process:
        """A process that is started, and not ready yet.

        Raises:
            ProcessLostError: the system does not start any.
        """
        token = trio.lowlevel.current_trio_token()
        done = trio.Event()
        future = self._thread.submit(_start, self._paths)
        future.add_done_callback(lambda _: _wake(token, done.set))
        with trio.CancelScope(shield=True):  # it is a matter of milliseconds, and nobody else would reap it
            await done.wait()
        try:
            return future.result()
        except OSError as error:
            raise ProcessLostError(f"no process for scripts can be started: {error}") from error

    def close(self) -> None:
        """Start no more; processes that still live end with the thread."""
        self._thread.shutdown(wait=False)


def _wake(token: trio.lowlevel.TrioToken, wake: Callable[[], None]) -> None:
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(wake)


def _start(paths: list[str]) -> Process:
    ours, theirs = socket.socketpair()
    told, tells = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    ours.setblocking(False)  # noqa: FBT003 - that is how sockets have it
    popen: subprocess.Popen[bytes] | None = None
    try:
        popen = _popen(paths, theirs.fileno(), tells)
        return Process(popen, ours, told)
    except BaseException:
        if popen is not None:
            popen.kill()
            popen.wait()
        ours.close()
        os.close(told)
        raise
    finally:
        theirs.close()
        os.close(tells)


def _popen(paths: list[str], connection: int, tells: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", "-B", "-c", _ENTRY, str(connection), str(os.getpid()), *paths]
    return subprocess.Popen(  # noqa: S603 - our own interpreter, and nothing that anyone else wrote
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=tells,
        pass_fds=[connection],
        cwd="/",
        env={},
        start_new_session=True,
    )


def _import_paths() -> list[str]:
    """Where the process finds this program and mini-racer: it looks nowhere else by itself."""
    racer = find_spec("py_mini_racer")
    if racer is None or racer.origin is None:
        raise PenstockError("functions of JavaScript need mini-racer, which is not installed: pip install mini-racer")
    here = Path(__file__).resolve().parents[3]
    return list(dict.fromkeys([str(here), str(Path(racer.origin).resolve().parents[1])]))
