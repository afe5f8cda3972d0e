"""Processes whose script has broken out of V8, and says whatever it likes: one call ends, and nobody else notices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.errors import FunctionError, FunctionLostError
from actors.functions.javascript import process as process_module
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.javascript.runtime import JavaScriptRuntime
from config.settings import JavaScriptSettings
from tests.actors.functions.javascript.running import PATIENT, RecordingHost, running, until

SETTINGS = JavaScriptSettings(max_processes=2, max_processes_per_app=1, max_wait=30.0)
MEBIBYTE = 1024 * 1024
GROWTH = 20 * MEBIBYTE

GUEST = """
import os, socket, struct, sys, time
sys.path[:0] = sys.argv[2:]
from actors.functions.javascript.frames import *
link = socket.socket(fileno=int(sys.argv[1]))
link.sendall(frame(Kind.READY))
reader, came = FrameReader(), []

def take():
    while not came:
        data = link.recv(1 << 18)
        if not data:
            os._exit(0)
        came.extend(reader.feed(data))
    return came.pop(0)

def take_call():
    while True:
        kind, body = take()
        if kind is Kind.CALL:
            return read_call(body)

def finish(call, body=b"1", status=Status.DONE):
    link.sendall(write_results(call.number, [Result(status, body)] * len(call.items)))

"""
HONEST = "while True: finish(take_call())\n"


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Processes run this from now on, in place of scripts."""
    code = [""]

    def popen(paths: list[str], connection: int, tells: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", "-c", GUEST + code[0], str(connection), *paths]
        return subprocess.Popen(command, stderr=tells, pass_fds=[connection])

    monkeypatch.setattr(process_module, "_popen", popen)
    return lambda source: code.__setitem__(0, source)


def version(limits: Limits = PATIENT) -> FunctionVersion:
    return FunctionVersion("parking", "f", 1, "", limits)


async def call(runtime: JavaScriptRuntime, *, host: Any = None, data: bytes = b"1", limits: Limits = PATIENT) -> bytes:
    return await runtime.call(version(limits), data, host or RecordingHost())


def resident() -> int:
    return int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * 4096


@asynccontextmanager
async def unhurt(runtime: JavaScriptRuntime) -> AsyncIterator[None]:
    """Nobody else waits for longer than a second meanwhile, and the daemon does not grow."""
    before = resident()
    longest = most = 0.0

    async def look() -> None:
        nonlocal longest, most
        while True:
            since = trio.current_time()
            await trio.sleep(0.005)
            longest = max(longest, trio.current_time() - since)
            most = max(most, resident() - before)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        with trio.fail_after(30):
            yield
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert longest < 1.0
    assert most < GROWTH


async def test_more_results_than_there_are_items(guest: Any, nothing_leaks: None) -> None:
    """A million results, each of no length, are not even counted."""
    guest(
        "call = take_call()\n"
        "body = struct.pack('<I', call.number) + bytes(5) * (1 << 20)\n"
        "link.sendall(frame(Kind.RESULTS, body))\ntime.sleep(60)"
    )
    async with running(SETTINGS) as runtime, unhurt(runtime):
        with pytest.raises(FunctionLostError):
            await call(runtime, limits=Limits(seconds=20.0, result=64 * MEBIBYTE))


async def test_results_that_are_larger_than_they_may_be(guest: Any, nothing_leaks: None) -> None:
    """They are not taken: whatever holds scripts to that is not there any more."""
    guest("finish(take_call(), b'1' * 2_000_000)\ntime.sleep(60)")
    async with running(SETTINGS) as runtime, unhurt(runtime):
        with pytest.raises(FunctionLostError):
            await call(runtime)


@pytest.mark.parametrize("told", [b"much", b"\xff", b"9" * 5000, b""])
async def test_a_size_that_is_no_number(guest: Any, nothing_leaks: None, told: bytes) -> None:
    """What a result is told to have had of bytes is read by the daemon: it is a number, or the process ends."""
    guest(f"finish(take_call(), {told!r}, Status.TOO_LARGE)\ntime.sleep(60)")
    async with running(SETTINGS) as runtime, unhurt(runtime):
        with pytest.raises(FunctionLostError):
            await runtime.call_batch(version(), [b"1", b"2"], RecordingHost())


@pytest.mark.parametrize("asked", [b'query {"sql":"\xff"}', b'query {"\xff":1}', b"", b"query " + b"[" * 9999])
async def test_requests_that_are_no_text(guest: Any, nothing_leaks: None, asked: bytes) -> None:
    """What cannot be read is answered so, and ends nothing."""
    guest(
        f"call = take_call()\nlink.sendall(write_ask(Ask(7, {asked!r})))\nkind, body = take()\n"
        "answer = read_answer(body)\nassert kind is Kind.ANSWER and not answer.ok and answer.number == 7\n"
        "finish(call)\n" + HONEST
    )
    async with running(SETTINGS) as runtime, unhurt(runtime):
        assert await call(runtime) == b"1"


async def test_a_frame_without_an_end_at_rest(guest: Any, nothing_leaks: None) -> None:
    """A process has nothing to say while nothing runs there; it is not listened to."""
    guest(
        "finish(take_call())\ntime.sleep(0.2)\nlink.sendall(struct.pack('<IB', 60 << 20, Kind.LOG))\n"
        "while True: link.sendall(bytes(1 << 16)); time.sleep(0.0005)"
    )
    async with running(SETTINGS) as runtime, unhurt(runtime):
        assert await call(runtime) == b"1"
        await until(lambda: runtime.statistics().kills == {"broken": 1})


@pytest.mark.parametrize("kind", ["LOG", "ASK", "RESULTS"])
async def test_a_frame_without_an_end_in_a_call(guest: Any, nothing_leaks: None, kind: str) -> None:
    """What is longer than anything a script may say is not waited for."""
    guest(
        f"take_call()\nlink.sendall(struct.pack('<IB', 60 << 20, Kind.{kind}))\n"
        "while True: link.sendall(bytes(1 << 16)); time.sleep(0.0005)"
    )
    async with running(SETTINGS) as runtime, unhurt(runtime):
        with pytest.raises(FunctionLostError):
            await call(runtime)


async def test_lines_without_text(guest: Any, nothing_leaks: None) -> None:
    """They cost what others cost, and are held to as many as a script could write."""
    guest("take_call()\nwhile True: link.sendall(frame(Kind.LOG) * 1000)")
    host = RecordingHost()
    async with running(SETTINGS) as runtime, unhurt(runtime):
        with pytest.raises(FunctionLostError, match="more log lines"):
            await call(runtime, host=host)
    assert len(host.lines) < 100_000


async def test_results_of_what_was_not_read(guest: Any, nothing_leaks: None) -> None:
    """Whoever answers calls without reading them does not make the daemon keep them."""
    guest(
        "call = take_call()\nfinish(call)\nnumber = call.number\n"
        "while True:\n    number += 1\n    link.recv(100)\n"
        "    link.sendall(write_results(number, [Result(Status.DONE, b'1')]))\n    time.sleep(0.005)"
    )
    async with running(SETTINGS) as runtime:
        await call(runtime)
        large = b'"' + b"x" * (2 * MEBIBYTE) + b'"'
        async with unhurt(runtime):
            with pytest.raises(FunctionLostError, match="has not read"):  # noqa: PT012 - any of them
                for _ in range(40):
                    await call(runtime, data=large)


async def test_requests_without_number(guest: Any, nothing_leaks: None) -> None:
    """Who asks for ever, and never ends, ends with its time; and is not written about in the log each time."""
    guest(
        "call = take_call()\nn = 0\nwhile True:\n"
        "    for _ in range(50):\n        n += 1\n        link.sendall(write_ask(Ask(n, b'nothing {}')))\n"
        "    link.recv(1 << 18)"
    )
    async with running(SETTINGS) as runtime, unhurt(runtime):
        with pytest.raises(FunctionError):
            await call(runtime, limits=Limits(seconds=1.0))


@pytest.mark.parametrize(
    "said",
    [
        "link.sendall(write_results(call.number + 1, [Result(Status.DONE, b'1')]))",
        "link.sendall(write_results(0, [Result(Status.DONE, b'1')]))",
        "finish(call); finish(call)",
        "link.sendall(frame(Kind.READY))",
        "link.sendall(write_number(Kind.RECALLED, call.number))",
        "link.sendall(frame(Kind.RECALLED, b'ab'))",
        "link.sendall(frame(Kind.CALL))",
        "link.sendall(b'\\xff' * 100)",
        "link.sendall(frame(Kind.RESULTS))",
        "link.sendall(frame(Kind.ASK, b'ab'))",
        "link.shutdown(socket.SHUT_WR)",
        "link.shutdown(socket.SHUT_RDWR)",
        "link.close()",
    ],
)
async def test_what_is_no_answer(guest: Any, nothing_leaks: None, said: str) -> None:
    """The process is ended at once, the call fails, and the next one has another process."""
    guest(f"call = take_call()\n{said}\ntime.sleep(60)")
    async with running(SETTINGS) as runtime:
        async with unhurt(runtime):
            try:
                await call(runtime)
            except FunctionLostError:
                pass
            else:
                assert said.startswith("finish")
            guest(HONEST)
            await until(
                lambda: runtime.statistics().kills.get("broken", 0) + runtime.statistics().kills.get("lost", 0) == 1
            )
        assert runtime.statistics().kills
