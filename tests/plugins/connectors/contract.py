"""What the tests of all connectors to SQL speak of: a table of parked cars, and the task that writes to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import trio

from plugins.api import (
    Connector,
    ConnectorError,
    Position,
    ResultLimits,
    RowRejectedError,
    TargetTable,
    TopicPartition,
    WriteBatch,
)

LIMITS = ResultLimits(rows=1000, bytes=1_000_000)
PARKING = TargetTable("ParkingData", (("DeviceId", "string"), ("Status", "string")), key=("DeviceId",))
SOURCE = TopicPartition("parking-status", 2)


def batch(rows: list[tuple], *, epoch: int = 1, expected: int | None, table: TargetTable = PARKING) -> WriteBatch:
    return WriteBatch("to-table", SOURCE, epoch, expected, (expected or 0) + len(rows), table, rows)


async def ask(connector: Connector, sql: str, **parameters: object) -> list[tuple]:
    return list((await connector.query(sql, parameters, LIMITS)).rows)


async def parked(connector: Connector) -> list[tuple]:
    return await ask(connector, "SELECT DeviceId, Status FROM ParkingData ORDER BY DeviceId")


async def claimed(connector: Connector) -> None:
    await connector.create_table(PARKING)
    await connector.claim("to-table", SOURCE)


async def wait_until(true: Callable[[], bool]) -> None:
    """Return once it is true, which takes real time."""
    for _ in range(500):
        if await trio.to_thread.run_sync(true):
            return
        await trio.sleep(0.02)
    pytest.fail("it has not come true")


async def settled_position(connector: Connector) -> Position:
    """The position, once the server knows what became of a COMMIT."""
    while True:
        with suppress(ConnectorError):
            return await connector.position("to-table", SOURCE)


async def rejects(connector: Connector, bad: tuple, told: str) -> None:
    """A bad row takes the good one of its batch with it, and says why; the good one alone is written."""
    await connector.claim("to-table", SOURCE)
    with pytest.raises(RowRejectedError, match=told):
        await connector.write(batch([("a", "0"), bad], expected=None))
    assert await parked(connector) == []
    await connector.write(batch([("a", "0")], expected=None))
    assert await parked(connector) == [("a", "0")]


async def blames_the_table(connector: Connector, told: str, mend: Callable[[], object]) -> None:
    """The table as it stands is the sink's fault; once it is mended, the same batch is written."""
    await connector.claim("to-table", SOURCE)
    with pytest.raises(ConnectorError, match=told) as caught:
        await connector.write(batch([("a", "0")], expected=None))
    assert type(caught.value) is ConnectorError
    mend()
    await connector.write(batch([("a", "0")], expected=None))
    assert await parked(connector) == [("a", "0")]
