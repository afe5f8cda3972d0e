"""The way to the session store, through all of its lives: the journal of every session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.device_session.journal import Change, QueuePage
from actors.errors import ActorGone
from actors.runtime.mailbox import Mailbox, MailboxStatistics
from actors.runtime.reply import Reply
from actors.session_store.messages import ReadQueue, SessionStoreMessage, Write, size_of

NAME = "sessions"


@dataclass(slots=True)
class StoreCounters:
    """What the store has done; `changes` were handed over, `lost` could be kept nowhere. Times in seconds."""

    changes: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    failed_commits: int = 0
    refused: int = 0
    lost: int = 0
    pages: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """The session store for display; `fault` says why it refuses what it refuses, `used` is in bytes."""

    alive: bool
    used: int
    fault: str
    counters: StoreCounters
    mailbox: MailboxStatistics | None


class SessionStoreReference:
    """Implements `SessionJournal`. While the store does not run, everything is answered with ActorGone."""

    def __init__(self) -> None:
        self.counters = StoreCounters()
        self.used = 0
        self.fault = ""
        self._mailbox: Mailbox[SessionStoreMessage] | None = None

    def write(self, changes: Sequence[Change], reply: Reply[None] | None) -> None:
        """Hand over changes without waiting; what is more than the mailbox takes stands in line."""
        self.counters.changes += len(changes)
        self._submit(Write(changes, size_of(changes), reply))

    def read_queue(self, session: str, after: int, limit_bytes: int, reply: Reply[QueuePage]) -> None:
        """Read queued messages back (see `SessionJournal`)."""
        self._submit(ReadQueue(session, after, limit_bytes, reply))

    def open(self, mailbox: Mailbox[SessionStoreMessage]) -> None:
        """The store lives; only its actor calls this."""
        self._mailbox = mailbox

    def statistics(self) -> StoreStatistics:
        """The store as it stands, or as it last stood."""
        mailbox = self._mailbox
        statistics = mailbox.statistics() if mailbox is not None else None
        alive = mailbox is not None and not mailbox.sealed
        return StoreStatistics(alive, self.used, self.fault, self.counters, statistics)

    def _submit(self, message: Write | ReadQueue) -> None:
        if self._mailbox is not None:
            try:
                self._mailbox.submit(message)
            except ActorGone:
                pass
            else:
                return
        if message.reply is not None:
            message.reply.fail(ActorGone(NAME))
        elif isinstance(message, Write):
            self.counters.lost += len(message.changes)
