"""A session journal that keeps what is written as a disk would, and answers when the test says so."""

from __future__ import annotations

from collections.abc import Sequence

from actors.device_session.delivery.message import Message
from actors.device_session.journal import (
    Change,
    Done,
    DropQueued,
    DropSession,
    Enqueue,
    OpenIncoming,
    Queued,
    QueuePage,
    Received,
    Released,
    Retain,
    SavedQueue,
    SaveSession,
    SaveSubscription,
    Unretain,
)
from actors.errors import PenstockError
from actors.runtime.reply import Reply


class DiskError(PenstockError):
    pass


def copied(message: Message) -> Message:
    """As it comes back from a disk: another object."""
    return Message(
        message.topic,
        message.payload,
        message.qos,
        message.published_at,
        retain=message.retain,
        properties=message.properties,
        expires_at=message.expires_at,
    )


class Disk:
    """`SessionJournal`: in order, each answer after the change is applied."""

    def __init__(self) -> None:
        self.answers_at_once = True
        self.fails = False
        self.queues: dict[str, dict[int, Enqueue]] = {}
        self.received: dict[str, list[int]] = {}
        self.subscriptions: dict[tuple[str, str], SaveSubscription] = {}
        self.retained: dict[str, Message] = {}
        self.log: list[Change] = []
        self.pages: list[tuple[int, int]] = []
        self._waiting: list[tuple[Sequence[Change], Reply[None] | None] | tuple[str, int, int, Reply[QueuePage]]] = []

    def write(self, changes: Sequence[Change], reply: Reply[None] | None) -> None:
        self._waiting.append((tuple(changes), reply))
        if self.answers_at_once:
            self.answer()

    def read_queue(self, session: str, after: int, limit_bytes: int, reply: Reply[QueuePage]) -> None:
        self.pages.append((after, limit_bytes))
        self._waiting.append((session, after, limit_bytes, reply))
        if self.answers_at_once:
            self.answer()

    def answer(self, most: int = 1_000_000) -> None:
        """Do what waits, oldest first."""
        while self._waiting and most:
            most -= 1
            self._do(self._waiting.pop(0))

    def lose(self) -> None:
        """A kill: what waits was never done."""
        self._waiting.clear()

    def saved(self, session: str) -> SavedQueue:
        """What a restart finds."""
        received = self.received.get(session, [])
        queue = self.queues.get(session, {})
        waiting = [(sequence, one.message.size) for sequence, one in sorted(queue.items()) if sequence not in received]
        return SavedQueue(waiting, tuple(received), max([*queue, *received, 0]))

    def _do(self, job: tuple[Sequence[Change], Reply[None] | None] | tuple[str, int, int, Reply[QueuePage]]) -> None:
        if len(job) == 4:
            session, after, limit_bytes, reply = job
            if self.fails:
                reply.fail(DiskError("no disk"))
            else:
                reply.set(self._page(session, after, limit_bytes))
            return
        changes, answer = job
        if self.fails:
            if answer is not None:
                answer.fail(DiskError("no disk"))
            return
        for change in changes:
            self._apply(change)
        if answer is not None:
            answer.set(None)

    def _page(self, session: str, after: int, limit_bytes: int) -> QueuePage:
        received = self.received.get(session, [])
        rest = [one for s, one in sorted(self.queues.get(session, {}).items()) if s > after and s not in received]
        entries: list[Queued] = []
        size = 0
        for one in rest:
            if entries and size + one.message.size > limit_bytes:
                break
            size += one.message.size
            entries.append(Queued(one.sequence, one.qos, one.retain, one.subscription_ids, copied(one.message)))
        return QueuePage(tuple(entries), complete=len(entries) == len(rest))

    def _apply(self, change: Change) -> None:  # noqa: C901, PLR0912 - a table of changes
        self.log.append(change)
        match change:
            case Enqueue():
                queue = self.queues.setdefault(change.session, {})
                assert change.sequence not in queue
                queue[change.sequence] = change
            case Done(session, sequences):
                for sequence in sequences:
                    self.queues.get(session, {}).pop(sequence, None)
                    if sequence in self.received.get(session, []):
                        self.received[session].remove(sequence)
            case Received(session, sequences):
                self.received.setdefault(session, []).extend(sequences)
            case DropQueued(session, first, last):
                for sequence in range(first, last + 1):
                    self.queues.get(session, {}).pop(sequence, None)
            case SaveSubscription():
                self.subscriptions[change.session, change.filter] = change
            case Retain(message):
                self.retained[message.topic] = message
            case Unretain(topic):
                del self.retained[topic]
            case DropSession(session):
                self.queues.pop(session, None)
                self.received.pop(session, None)
            case SaveSession() | OpenIncoming() | Released():
                pass
            case _:
                self.subscriptions.pop((change.session, change.filter), None)  # type: ignore[union-attr]
