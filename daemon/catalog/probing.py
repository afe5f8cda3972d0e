"""Tests of connections, a few at a time and each with a deadline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec
import structlog
import trio

from actors.errors import PenstockError
from actors.ports import ConnectionReport
from actors.runtime.child import describe
from config.resources import Connection
from config.resources.identity import Identity
from daemon.engine import Engine
from daemon.store.model import StoredResource

log = structlog.get_logger()

SECONDS = 30.0
AT_ONCE = 8

Probe = Callable[[StoredResource], Awaitable[ConnectionReport]]


OpenSettings = Callable[[StoredResource], Awaitable[Mapping[str, Any]]]


async def probe(engine: Engine, open_settings: OpenSettings, stored: StoredResource) -> ConnectionReport:
    """Test one connection; whatever goes wrong is in the report."""
    connection = stored.resource
    if not isinstance(connection, Connection):
        return ConnectionReport(connected=False, problem=f"{stored.identity} is no connection")
    try:
        settings = dict(await open_settings(stored))
        opened = msgspec.structs.replace(connection, settings=settings)
        with trio.fail_after(SECONDS):
            return await engine.test_connection(opened)
    except trio.TooSlowError:
        return ConnectionReport(connected=False, problem=f"there was no answer within {SECONDS:g} seconds")
    except PenstockError as error:
        return ConnectionReport(connected=False, problem=str(error))
    except Exception as error:
        # A plugin may raise anything; it is the connection that fails, not who applies it.
        log.exception("a connector crashed in its test", connection=connection.name, connector=connection.connector)
        fault = f"connector {connection.connector} has a fault of its own, the daemon's log says more"
        return ConnectionReport(connected=False, problem=f"{fault}: {describe(error)}")


async def probe_all(probe_one: Probe, wanted: Mapping[Identity, StoredResource]) -> dict[Identity, ConnectionReport]:
    """Test several connections, a few at a time."""
    reports: dict[Identity, ConnectionReport] = {}
    left = iter(wanted.items())

    async def work(left: Iterator[tuple[Identity, StoredResource]]) -> None:
        for identity, stored in left:
            reports[identity] = await probe_one(stored)

    async with trio.open_nursery() as nursery:
        for _ in range(min(AT_ONCE, len(wanted))):
            nursery.start_soon(work, left)
    return reports
