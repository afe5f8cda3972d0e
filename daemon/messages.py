"""What people do with the messages of topics: look at them, send them again, check the files they lie in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import trio

from actors.errors import PenstockError
from actors.ports import AuditEntry, AuditTrail
from actors.topic_partition.topic import TopicReference, Topics
from actors.topic_query.query import Page, query, resume
from actors.topic_query.replay import Replay, Replayed
from actors.topic_query.selection import Order, Selection, SelectionError
from actors.topic_query.shape import message
from config.resources import Topic
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.service import missing

# Each holds some memory and asks for time of its own: more of them wait for their turn.
_QUERIES = 4
_REPLAYS = 2
_CHECKS = 1


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """Which messages are sent again, and to where; `dry_run` only counts them."""

    target: str
    selection: Selection
    limit: int | None = None
    dry_run: bool = False


class TopicMessages:
    """The messages of all topics as the control plane sees them (see `daemon.control.topics.MessageEngine`)."""

    def __init__(
        self, topics: Topics, catalog: Catalog, audit: AuditTrail, clock: Callable[[], float] = time.time
    ) -> None:
        self._topics = topics
        self._catalog = catalog
        self._audit = audit
        self._clock = clock
        self._queries = trio.CapacityLimiter(_QUERIES)
        self._replays = trio.CapacityLimiter(_REPLAYS)
        self._checks = trio.CapacityLimiter(_CHECKS)

    async def query(self, name: str, selection: Selection, order: Order, limit: int) -> Mapping[str, Any]:
        """The first page of what a selection finds."""
        topic = self._require(name)
        async with self._queries:
            return _page_json(topic, await query(topic, selection, order=order, limit=limit))

    async def resume(self, name: str, cursor: str, limit: int) -> Mapping[str, Any]:
        """The next page of a query."""
        topic = self._require(name)
        async with self._queries:
            return _page_json(topic, await resume(topic, cursor, limit=limit))

    async def replay(self, name: str, order: ReplayOrder) -> Mapping[str, Any]:
        """Send chosen messages again, and say in the log that it was done, also where it was broken off."""
        source = self._require(name)
        self._require_open(order.target)
        replay = Replay(self._topics, source, order.target, order.selection, limit=order.limit)
        async with self._replays:
            if order.dry_run:
                return _replayed_json(await replay.dry_run())
            outcome = "broken off"
            try:
                await replay.run(int(self._clock() * 1000))
                outcome = replay.progress.reason or "done"
            except PenstockError as error:
                outcome = str(error)
                raise
            finally:
                # What was sent is sent, also where nobody waits for the answer any more.
                with trio.CancelScope(shield=True):
                    await self._record(name, order, replay.progress.messages, outcome)
        return _replayed_json(replay.progress)

    async def _record(self, name: str, order: ReplayOrder, messages: int, outcome: str) -> None:
        chosen = ", ".join(f"{part} {value}" for part, value in _told(order.selection).items())
        await self._audit.record(
            AuditEntry(
                at=int(self._clock() * 1000),
                by="operator",
                subject=f"topic {name}",
                action="replay",
                before="",
                after=f"{messages} messages sent to topic {order.target}",
                reason=chosen or "all messages",
                outcome=outcome,
            )
        )

    async def verify(self, name: str) -> Mapping[str, Any]:
        """Check the files of every partition of a topic while it runs."""
        topic = self._require(name)
        partitions = []
        async with self._checks:
            for partition in topic.partitions:
                verified = await partition.verify()
                partitions.append({"partition": partition.partition.partition, **asdict(verified)})
        return {"topic": name, "flaws": sum(one["flaws"] for one in partitions), "partitions": partitions}

    def _require(self, name: str) -> TopicReference:
        topic = self._topics.get(name)
        if topic is None:
            raise missing(Identity("topic", name))
        return topic

    def _require_open(self, name: str) -> None:
        """See that messages can be published to a topic at all."""
        self._require(name)
        stored = self._catalog.get(Identity("topic", name))
        if stored is not None and isinstance(stored.resource, Topic) and not stored.resource.offers("publish"):
            reason = f"topic {name} has `access: {stored.resource.access}`, so nothing can be published to it"
            raise SelectionError("target", reason)


def _page_json(topic: TopicReference, page: Page) -> Mapping[str, Any]:
    mask = topic.mask_for(None)
    return {
        "topic": topic.name,
        "messages": [message(number, record, mask) for number, record in page.messages],
        "cursor": page.cursor,
        "scanned": {"messages": page.scanned_records, "bytes": page.scanned_bytes},
        "looked": [
            {"partition": one.partition, "from": one.start, "to": one.end, "left": one.left} for one in page.looked
        ],
        "damage": list(page.damage),
    }


def _replayed_json(replayed: Replayed) -> Mapping[str, Any]:
    return {
        "messages": replayed.messages,
        "scanned": replayed.scanned,
        "complete": not replayed.reason,
        "reason": replayed.reason,
        "positions": [{"partition": number, "offset": offset} for number, offset in sorted(replayed.positions.items())],
        "damage": replayed.damage,
    }


def _told(selection: Selection) -> dict[str, Any]:
    parts = {name: value for name, value in asdict(selection).items() if value is not None}
    return parts | ({"key": selection.key.decode(errors="replace")} if selection.key is not None else {})
