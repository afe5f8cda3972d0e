"""The process that runs scripts: `main` is all of it. It ends when the daemon closes its end of the socket."""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback

from actors.functions.javascript.frames import FrameReader, Kind, frame
from actors.functions.javascript.guest.confinement import CallBounds, confine
from actors.functions.javascript.guest.isolate import start_engine
from actors.functions.javascript.guest.worker import Worker

_READ_BYTES = 256 * 1024

# One thread for each isolate is all there is: nothing compiles or collects beside it.
_V8_FLAGS = ("--single-threaded", "--max-semi-space-size=8")

# Two threads take turns at each call; the one that waits for the other should not do so for milliseconds.
_SWITCH_SECONDS = 0.00005


def main() -> None:
    """Serve the daemon over the socket that is file descriptor `argv[1]`; `argv[2]` is the daemon's process id."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    connection = socket.socket(fileno=int(sys.argv[1]))
    engine = start_engine(_V8_FLAGS)
    bounds = CallBounds()
    held = confine(int(sys.argv[2]))
    worker = Worker(engine, connection.sendall, bounds)
    connection.sendall(frame(Kind.READY, json.dumps(held).encode()))
    code = 70
    try:
        _serve(connection, worker)
        code = 0
    except BaseException:  # noqa: BLE001 - told, and nobody else would end the threads of V8
        traceback.print_exc()
    finally:
        # Whatever still runs is of no use to anyone.
        os._exit(code)


def _serve(connection: socket.socket, worker: Worker) -> None:
    reader = FrameReader()
    while data := connection.recv(_READ_BYTES):
        for kind, body in reader.feed(data):
            worker.take(kind, body)
