"""Persistent sessions: their store, and how they come back at the start."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import trio

from actors.device_session.broker import Broker
from actors.device_session.delivery.receiving import Receiver
from actors.device_session.journal import DropSession, KeptWill
from actors.device_session.registry.sessions import ClientKey
from actors.device_session.registry.state import SessionState
from actors.directory.identities import AppIdentity, DeviceIdentity, Identity
from actors.session_store.actor import SessionStoreActor
from actors.session_store.core import fold
from actors.session_store.messages import Write
from actors.session_store.reference import SessionStoreReference
from actors.session_store.store import Saved
from actors.session_store.tails import Found, TailWatch, rebuild, scan_all
from actors.topic_partition.topic import Topics
from config.settings import SessionStoreSettings
from daemon.store.sessions import SessionFile

log = structlog.get_logger()

# Read and entered at a time: between two, others get their turn.
_SESSIONS: Final = 1_000
_RETAINED_BYTES: Final = 1024 * 1024


class SessionStage:
    """Runs the session store, and enters what it has into the broker before a listener opens.

    Sessions of devices and apps that are no more are dropped. Should the store ever be started anew, all connections
    have ended before: what is in memory goes, and what is on disk counts.
    """

    def __init__(
        self,
        file: SessionFile,
        reference: SessionStoreReference,
        broker: Broker,
        topics: Topics,
        settings: SessionStoreSettings,
    ) -> None:
        self._file = file
        self._reference = reference
        self._broker = broker
        self._topics = topics
        self._settings = settings

    def actor(self) -> SessionStoreActor:
        """The store's actor, for each of its lives."""
        return SessionStoreActor(
            self._file,
            self._reference,
            restore=self.restore,
            checkpoints=TailWatch(self._topics, self._broker.open_messages),
            mailbox_bytes=self._settings.mailbox_bytes,
            checkpoint_interval=self._settings.checkpoint_interval,
        )

    async def restore(self) -> None:
        """Bring back sessions with their subscriptions, queues and open messages, and what is retained.

        Raises:
            StorageError: it cannot be read.
        """
        began = trio.current_time()
        for state in self._broker.states.without_connection():
            self._broker.states.end(state)
        kept = await self._file.begin(time.time())
        found = await scan_all(self._topics, await self._file.load_tails()) if kept else Found()
        # Before the sessions, which look for those that they are still to be sent.
        retained = await self._restore_retained()
        with _without_collections():
            sessions = await self._restore_sessions(found)
        seconds = round(trio.current_time() - began, 3)
        if sessions or retained:
            log.info("Sessions restored", sessions=sessions, retained=retained, seconds=seconds)

    async def _restore_sessions(self, found: Found) -> int:
        count, after = 0, ""
        while page := await self._file.load_sessions(after, _SESSIONS):
            after = page[-1].session.session
            gone = [saved for saved in page if not self._enter(saved, found)]
            await self._drop(gone)
            count += len(page) - len(gone)
        return count

    def _enter(self, saved: Saved, found: Found) -> bool:
        """Enter one session into the broker; False where nobody is there any more whose it could be."""
        session, key, level, expiry, detached_at, sent, will = saved.session
        identity = self._identity(key)
        if identity is None:
            return False
        state = SessionState(key, identity, level, expiry, session)
        state.detached_at = detached_at
        if will is not None:
            # Where its connection ended with the daemon, its delay has begun then.
            due = will.due if will.due is not None else (detached_at or time.time()) + will.will.delay
            state.will = KeptWill(will.will, due)
        state.incoming = rebuild(session, saved.incoming, saved.released, found, self._broker.open_messages)
        self._broker.states.restore(state)
        if saved.subscriptions or saved.queue.last:
            state.receiver = Receiver(self._broker, state)
            state.receiver.restore(saved.subscriptions, saved.queue, sent)
        return True

    def _identity(self, key: ClientKey) -> Identity | None:
        """Who the session belongs to; None where the device, the app or the product is gone."""
        directory, (kind, name) = self._broker.directory, key.account
        if kind == "device":
            product, _, device = name.partition("/")
            entry = directory.device(product, device)
            return DeviceIdentity(product, device, entry.app) if entry is not None else None
        if kind == "app":
            return AppIdentity(name) if directory.app(name) is not None else None
        return directory.passer_by(name, key.client_id)

    async def _drop(self, gone: Iterable[Saved]) -> None:
        changes = [DropSession(saved.session.session) for saved in gone]
        if changes:
            log.info("Sessions dropped: their device or app is gone", count=len(changes))
            await self._file.commit(fold([Write(changes, 0)]))

    async def _restore_retained(self) -> int:
        count, after = 0, ""
        while messages := await self._file.load_retained(after, _RETAINED_BYTES):
            after = messages[-1].topic
            self._broker.retained.restore(messages)
            count += len(messages)
        return count


@contextmanager
def _without_collections() -> Iterator[None]:
    """Without the cyclic garbage collector.

    Nothing of a hundred thousand sessions is garbage, and to look through them again and again while they come takes
    longer than all the rest.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
