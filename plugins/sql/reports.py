"""The connection test that every connector to SQL has."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from plugins.api import ConnectionReport, ConnectorError


async def tried(connect: Callable[[], Awaitable[str]], write: Callable[[], Awaitable[object]]) -> ConnectionReport:
    """What comes of connecting, which tells the version, and then of writing what leaves no trace.

    Either raises ConnectorError where it fails, whose text is the report's problem.
    """
    began = time.perf_counter()
    try:
        version = await connect()
    except ConnectorError as error:
        return ConnectionReport(connected=False, problem=str(error))
    elapsed = (time.perf_counter() - began) * 1000
    problem = ""
    try:
        await write()
    except ConnectorError as error:
        problem = str(error)
    return ConnectionReport(
        connected=True,
        version=version,
        milliseconds=elapsed,
        may_read=True,
        may_write=not problem,
        problem=problem,
    )
