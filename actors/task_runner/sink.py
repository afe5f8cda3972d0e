"""One partition's place in a task's sink: claimed once, then moved by each transaction."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from actors.errors import ConnectorError, FencedError
from actors.ports import Connector, Position, WriteBatch
from actors.records import TopicPartition
from actors.task_runner.context import RunnerContext
from actors.task_runner.mapping import Row


class SinkPartition:
    """Knows the epoch and the offset that the sink has, as far as it ever answered.

    After a transaction whose outcome is not known (`doubt`), the position is read back before anything else is done.
    """

    def __init__(self, context: RunnerContext, source: TopicPartition) -> None:
        self._context = context
        self._source = source
        self._position: Position | None = None
        self._pending: tuple[int, int] | None = None
        self._doubtful = False
        self._table_there = False

    @property
    def offset(self) -> int | None:
        """The next offset to write, as the sink knows it; None before there is one."""
        return self._position.offset if self._position is not None else None

    @property
    def claimed(self) -> bool:
        """Whether the partition is this writer's, unless somebody else has claimed it since."""
        return self._position is not None

    def doubt(self) -> None:
        """The sink did not do as asked, or its answer was lost: what was known of it is to be asked for again."""
        self._doubtful = self._position is not None
        self._table_there = False

    async def claim(self, start: int | None) -> None:
        """Fence earlier writers off and learn how far they came; where nothing was written, `start` is written down.

        `start` may be None: then the first transaction writes the first position.
        """
        await self._make_table()
        position = await self._connector().claim(self._context.task.name, self._source)
        if position.offset is None and start is not None:
            await self._connector().write(self._batch(position, start, ()))
            position = position._replace(offset=start)
        # Only now: should the write have failed, the claim is made anew.
        self._position = position

    async def ready(self) -> bool:
        """Read the position back where it is in doubt, and make the table where it should be; True if it had moved.

        Raises:
            FencedError: somebody else has claimed the partition since.
        """
        moved = await self._read_back() if self._doubtful else False
        await self._make_table()
        return moved

    async def write(self, rows: Sequence[Row], next_offset: int) -> float:
        """One transaction; returns the seconds it took.

        Raises:
            ConnectorError: or one of its subclasses, see `Connector.write`.
        """
        assert self._position is not None  # noqa: S101 - claimed before
        batch = self._batch(self._position, next_offset, rows)
        began = trio.current_time()
        self._pending = (next_offset, len(rows))
        await self._connector().write(batch)
        self._moved(next_offset, len(rows))
        return trio.current_time() - began

    def _moved(self, offset: int, rows: int) -> None:
        assert self._position is not None  # noqa: S101 - claimed before
        self._position = self._position._replace(offset=offset)
        self._pending = None
        self._context.progress.rows += rows
        self._context.progress.transactions += 1

    async def _read_back(self) -> bool:
        assert self._position is not None  # noqa: S101 - in doubt only when claimed
        found = await self._connector().position(self._context.task.name, self._source)
        if found.epoch != self._position.epoch:
            raise FencedError(
                f"task {self._context.task.name} has lost {self._source}: epoch {found.epoch} has claimed it, "
                f"this writer's is {self._position.epoch}"
            )
        self._doubtful = False
        pending, known = self._pending, self._position.offset
        self._pending = None
        if found.offset == known or found.offset is None:
            return False
        self._moved(found.offset, pending[1] if pending is not None and pending[0] == found.offset else 0)
        return True

    async def _make_table(self) -> None:
        if self._context.task.target.create and not self._table_there:
            await self._connector().create_table(self._context.mapping.table)
            self._table_there = True

    def _connector(self) -> Connector:
        name = self._context.task.target.connection
        connector = self._context.connections.get(name)
        if connector is None:
            raise ConnectorError(f"there is no connection {name}, or it is disabled; apply or enable it")
        return connector

    def _batch(self, position: Position, next_offset: int, rows: Sequence[Row]) -> WriteBatch:
        return WriteBatch(
            task=self._context.task.name,
            source=self._source,
            epoch=position.epoch,
            expected=position.offset,
            next_offset=next_offset,
            table=self._context.mapping.table,
            rows=rows,
        )
