"""A session store in memory that fails when it is told to, and what a test hands to the actor beside it."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from actors.device_session.delivery.message import Message
from actors.device_session.journal import Enqueue, Queued, QueuePage
from actors.errors import StorageError
from actors.session_store.core import Folded
from actors.session_store.messages import Checkpoint, ReadQueue
from actors.session_store.store import StoreSize


class MemoryStore:
    """Keeps what it is given; `gate` holds commits back, `broken` and `refusal` make them fail or full."""

    def __init__(self) -> None:
        self.commits: list[Folded] = []
        self.waiting: dict[str, dict[int, Enqueue]] = {}
        self.broken = False
        self.refusal = ""
        self.probes = 0
        self.gate = trio.Event()
        self.gate.set()

    async def commit(self, folded: Folded) -> StoreSize:
        await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise StorageError("sessions.db: disk I/O error")
        self.commits.append(folded)
        for session, changes in folded.sessions.items():
            queue = self.waiting.setdefault(session, {})
            for sequence in changes.done:
                queue.pop(sequence, None)
            queue.update(changes.enqueued)
        return await self.size()

    async def size(self) -> StoreSize:
        return StoreSize(100, self.refusal)

    async def probe(self) -> None:
        self.probes += 1
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise StorageError("sessions.db: disk I/O error")

    async def read_queues(self, requests: Sequence[ReadQueue]) -> Sequence[QueuePage]:
        await trio.lowlevel.checkpoint()
        return [
            QueuePage(
                tuple(
                    Queued(one.sequence, one.qos, one.retain, one.subscription_ids, one.message)
                    for sequence, one in sorted(self.waiting.get(request.session, {}).items())
                    if sequence > request.after
                ),
                complete=True,
            )
            for request in requests
        ]


class NoCheckpoints:
    """Nothing of the log changes."""

    def due(self) -> Checkpoint | None:
        return None


def enqueue(session: str, sequence: int, payload: bytes = b"x") -> Enqueue:
    """A message for a session."""
    message = Message("t", payload, 1, 1_000)
    return Enqueue(session, sequence, 1, retain=False, subscription_ids=(), message=message)
