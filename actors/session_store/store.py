"""What the session store's actor needs of the disk, and what is found there at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from actors.device_session.journal import OpenIncoming, QueuePage, SavedQueue, SaveSession, SaveSubscription
from actors.session_store.core import Folded
from actors.session_store.messages import ReadQueue


@dataclass(slots=True)
class Saved:
    """One session as the store has it: `released` are the numbers of QoS 2 messages that were, since the checkpoint."""

    session: SaveSession
    subscriptions: list[SaveSubscription] = field(default_factory=list)
    queue: SavedQueue = field(default_factory=lambda: SavedQueue((), (), 0))
    incoming: list[OpenIncoming] = field(default_factory=list)
    released: set[int] = field(default_factory=set)


class StoreSize(NamedTuple):
    """Bytes in use of the store's file, and why it takes nothing that grows; empty while it does."""

    used: int
    refusal: str


class SessionStore(Protocol):
    """A durable store of sessions; each call returns when its work is on disk. All raise StorageError."""

    async def commit(self, folded: Folded) -> StoreSize:
        """Write it all, or nothing; returns how full the store is then."""

    async def size(self) -> StoreSize:
        """How full it is now."""

    async def probe(self) -> None:
        """Write something of no meaning, to see whether the disk takes writes."""

    async def read_queues(self, requests: Sequence[ReadQueue]) -> Sequence[QueuePage]:
        """A page for each request, in order, of what is committed; works beside `commit`."""
