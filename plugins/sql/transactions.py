"""Transactions on a server, the same for each of its kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol


class TransactionalSession(Protocol):
    """A connection as a transaction sees it."""

    async def begin(self) -> None:
        """Begin a transaction."""

    async def commit(self, where: str) -> None:
        """Commit it; `where` the server is stands in the error."""

    async def roll_back(self) -> None:
        """Leave the transaction, if there is one; raises nothing."""


@asynccontextmanager
async def transaction(session: TransactionalSession, where: str) -> AsyncIterator[None]:
    """A block that is done whole or not at all.

    Raises:
        CommitUnknownError: the answer to COMMIT was lost, or did not come before the time was over.
    """
    await session.begin()
    try:
        yield
        await session.commit(where)
    finally:
        await session.roll_back()
