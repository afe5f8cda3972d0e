"""The session store's actor: takes all that waits, writes one commit of it, answers all."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog
import trio

from actors.errors import ActorGone, AppendRefusedError, PenstockError, StorageError
from actors.runtime.actor import Actor, fail_replies
from actors.runtime.mailbox import Mailbox
from actors.session_store import core
from actors.session_store.messages import Checkpoint, ReadQueue, SessionStoreMessage, Write, weigh
from actors.session_store.reference import NAME, SessionStoreReference
from actors.session_store.store import SessionStore, StoreSize

logger = structlog.get_logger()

# How long a store that refuses waits before it tries the disk again, in seconds.
RETRY_SECONDS: Final = 1.0
# What nobody waits for is kept in memory while the disk takes nothing, up to so many bytes.
KEPT_BYTES: Final = 8 * 1024 * 1024
# Pages that are read with one call of the thread.
_PAGES: Final = 64


class Checkpoints(Protocol):
    """Says when and what to write down of the partitions' tails."""

    def due(self) -> Checkpoint | None:
        """What is to be written now; None where nothing has changed."""


class SessionStoreActor(Actor[SessionStoreMessage]):
    """Owner of the store; one commit is in flight at a time, what comes meanwhile is the next one.

    A commit that fails is wholly undone: everybody who waits for something in it gets the error, and so does everybody
    who comes until a probe write has succeeded. What nobody waits for (an acknowledgement, an end) is true all the
    same: it is kept, and written then. `restore` is awaited before it calls `started`.
    """

    def __init__(
        self,
        store: SessionStore,
        reference: SessionStoreReference,
        *,
        restore: Callable[[], Awaitable[None]],
        checkpoints: Checkpoints,
        mailbox_bytes: int,
        checkpoint_interval: float,
    ) -> None:
        super().__init__(NAME, Mailbox(NAME, mailbox_bytes, weigh))
        self._store = store
        self._reference = reference
        self._restore = restore
        self._checkpoints = checkpoints
        self._interval = checkpoint_interval
        self._in_hand: Sequence[SessionStoreMessage] = ()
        self._kept: list[Write] = []
        self._kept_bytes = 0
        self._refusal = ""
        self._fault = ""
        self._retry_at = math.inf
        self._checkpoint_at = math.inf
        self._reads: list[ReadQueue] = []
        self._read_wanted = trio.Event()
        self._ending = False

    async def serve(self, started: Callable[[], None]) -> None:
        """Restore, serve until the mailbox is sealed and empty, and write down once more where the tails end.

        Raises:
            StorageError: what is stored cannot be read.
        """
        self._note(await self._store.size())
        await self._restore()
        await self._checkpoint()
        self._checkpoint_at = trio.current_time() + self._interval
        self._reference.open(self.mailbox)
        started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_pages, name="session queues")
                await self._work()
                self._ending = True
                self._read_wanted.set()
            await self._checkpoint()
            self._tell_lost()
        finally:
            fail_replies([*self._in_hand, *self._reads], ActorGone(self.name))

    async def _work(self) -> None:
        while True:
            try:
                with trio.move_on_at(min(self._retry_at, self._checkpoint_at)):
                    self._in_hand = await self.mailbox.get_all()
            except trio.EndOfChannel:
                return
            await self._take()
            now = trio.current_time()
            if now >= self._retry_at:
                await self._try_again()
            if now >= self._checkpoint_at:
                self._checkpoint_at = now + self._interval
                self._ask_checkpoint()

    async def _take(self) -> None:
        for together in core.commits(self._in_hand):
            await self._commit(together)
        # After the commits: a page sees what was written before it was asked for.
        reads = [message for message in self._in_hand if isinstance(message, ReadQueue)]
        self._in_hand = ()
        if reads:
            self._reads += reads
            self._read_wanted.set()

    def _tell_lost(self) -> None:
        if self._kept:
            self._reference.counters.lost += sum(len(write.changes) for write in self._kept)
            logger.error("Ends of messages were not stored: they may be delivered again", reason=self._fault)

    # --- commits ------------------------------------------------------------------------------------------------------

    async def _commit(self, messages: Sequence[Write | Checkpoint]) -> None:
        taken = [message for message in messages if not self._is_refused(message)]
        if self._fault:
            self._keep(taken)
            return
        folded = core.fold([*self._kept, *taken])
        began = trio.current_time()
        if folded:
            try:
                size = await self._store.commit(folded)
            except StorageError as error:
                self._fail(taken, error)
                return
            self._note(size)
            counters = self._reference.counters
            counters.commits += 1
            counters.commit_seconds += trio.current_time() - began
        self._kept, self._kept_bytes = [], 0
        for message in taken:
            if message.reply is not None:
                message.reply.set(None)

    def _is_refused(self, message: Write | Checkpoint) -> bool:
        """Refuse what somebody waits for while the disk takes nothing, and what grows while there is no room."""
        if message.reply is None:
            return False
        reason = self._fault or (self._refusal if isinstance(message, Write) and core.grows(message) else "")
        if not reason:
            return False
        self._reference.counters.refused += 1
        message.reply.fail(AppendRefusedError(reason))
        return True

    def _fail(self, messages: Sequence[Write | Checkpoint], error: StorageError) -> None:
        logger.error(
            "Sessions cannot be stored: what waits for it is refused until the disk takes it", reason=str(error)
        )
        self._reference.counters.failed_commits += 1
        self._fault = self._reference.fault = f"{error}; nothing of it was kept"
        self._retry_at = trio.current_time() + RETRY_SECONDS
        fail_replies([message for message in messages if message.reply is not None], error)
        self._keep(messages)

    def _keep(self, messages: Sequence[Write | Checkpoint]) -> None:
        """For later, what nobody waits for."""
        for message in messages:
            if not isinstance(message, Write) or message.reply is not None:
                continue
            if self._kept_bytes + message.size > KEPT_BYTES:
                self._reference.counters.lost += len(message.changes)
                continue
            self._kept.append(message)
            self._kept_bytes += message.size

    async def _try_again(self) -> None:
        self._retry_at = math.inf
        try:
            if self._fault:
                await self._store.probe()
            self._note(await self._store.size())
        except StorageError as error:
            self._fault = self._reference.fault = f"{error}; sessions are refused until the disk takes writes again"
            self._retry_at = trio.current_time() + RETRY_SECONDS
            return
        if self._fault:
            logger.info("Sessions are stored again")
            self._fault = ""
            self._reference.fault = self._refusal
            await self._commit([])

    def _note(self, size: StoreSize) -> None:
        """How full the store is; without room it is looked at again and again."""
        if bool(size.refusal) != bool(self._refusal):
            if size.refusal:
                logger.error("Sessions take nothing new: there is no room", reason=size.refusal)
            else:
                logger.info("Sessions take new messages again: there is room")
        self._refusal = size.refusal
        self._reference.used = size.used
        if not self._fault:
            self._reference.fault = size.refusal
            self._retry_at = trio.current_time() + RETRY_SECONDS if size.refusal else math.inf

    async def _checkpoint(self) -> None:
        """Write down where the tails end, while nobody else writes."""
        checkpoint = self._checkpoints.due()
        await self._commit([checkpoint] if checkpoint is not None else [])

    def _ask_checkpoint(self) -> None:
        """Through the mailbox, so that it takes its place behind what was handed over before."""
        checkpoint = None if self._fault else self._checkpoints.due()
        if checkpoint is not None and not self.mailbox.sealed:
            self._reference.counters.checkpoints += 1
            self.mailbox.submit(checkpoint)

    # --- pages, read beside the commits -------------------------------------------------------------------------------

    async def _read_pages(self) -> None:
        while not self._ending:
            await self._read_wanted.wait()
            self._read_wanted = trio.Event()
            while self._reads:
                await self._read_some()

    async def _read_some(self) -> None:
        # They stay in the list until they are answered: whoever cuts this off answers them.
        some = self._reads[:_PAGES]
        try:
            pages = await self._store.read_queues(some)
        except PenstockError as error:
            fail_replies(some, error)
        else:
            self._reference.counters.pages += len(pages)
            for request, page in zip(some, pages, strict=True):
                request.reply.set(page)
        del self._reads[: len(some)]
