"""Somebody who may log in: from joining the registry of sessions to leaving it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import trio

from actors.device_session.connection import handshake
from actors.device_session.connection.conversation import Conversation
from actors.device_session.core import Admission, Refusal
from actors.device_session.journal import KeptWill
from actors.device_session.registry.sessions import Member
from actors.device_session.registry.statuses import DeviceStatus, LivingSession
from actors.device_session.registry.will import publish_will
from actors.errors import PenstockError
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.device_session.broker import Broker
    from actors.device_session.connection.ending import Ending
    from actors.device_session.connection.pace import Pace
    from actors.device_session.connection.writer import Writer
    from actors.device_session.profile import ListenerProfile
    from actors.device_session.registry.state import SessionState


class Entrant(LivingSession, Member, Protocol):
    """The connection that logs in."""


class Entry:
    """What one connection has while its client is logged in, and what is to be given back at its end."""

    __slots__ = ("_before", "_broker", "_pace", "_session", "_state", "_status", "has_begun", "login")

    def __init__(self, broker: Broker, session: Entrant, login: Admission) -> None:
        self._broker = broker
        self._session = session
        self._state: SessionState | None = None
        self._status: DeviceStatus | None = None
        self._pace: Pace | None = None
        # How long the session was to be kept, and its will, before this connection; None where it is a new one.
        self._before: tuple[int, KeptWill | None] | None = None
        self.login = login
        """Who it is, and on what terms."""
        self.has_begun = False
        """Whether the client has heard that it is logged in."""

    async def join(self) -> bool | Refusal:
        """End the client's other connection, and take its session; whether that was there before."""
        login, broker = self.login, self._broker
        if not await broker.sessions.join(self._session, login.key):
            return Refusal(Reason.SERVER_UNAVAILABLE, "the session with this client id did not end in time")
        found = broker.states.get(login.key)
        before = (found.expiry, found.will) if found is not None else None
        self._state, present, stored = handshake.attach(login, broker)
        self._before = before if present else None
        self._status = broker.presence.joined(self._session, login.identity)
        try:
            await stored.wait()
        except PenstockError as error:
            if not present:
                self._state.expiry = 0  # nobody was promised that it is kept
            return Refusal(Reason.SERVER_UNAVAILABLE, f"the session could not be stored: {error}")
        return present

    def begin(
        self, profile: ListenerProfile, writer: Writer, close: Callable[[Reason, str], None]
    ) -> tuple[Conversation, Pace | None]:
        """The client has its answer: go on with what its session left. `close` ends the connection.

        Returns what is said from now on, and how fast it may publish (None: as it likes).
        """
        assert self._state is not None  # noqa: S101 - it has joined
        writer.state = self._state
        self._pace = self._broker.paces.join(self.login.identity, trio.current_time())
        conversation = Conversation(
            self._broker,
            self.login.connect,
            profile,
            state=self._state,
            status=self._status,
            writer=writer,
            close=close,
        )
        self.has_begun = True
        conversation.resume()
        return conversation, self._pace

    def leave(self, ending: Ending) -> None:
        """Take the session off every list, keep what outlives its connection, and see to its will. Never waits."""
        reason = ending.reason or "shutdown"
        if self._state is not None:
            self._broker.presence.left(self._session, self.login.identity, self._status, reason)
            self._detach(self._state, reason, graceful=ending.is_graceful)
        if self._pace is not None:
            self._broker.paces.leave(self._pace)
        self._broker.sessions.leave(self._session, self.login.key)

    def _detach(self, state: SessionState, reason: str, *, graceful: bool) -> None:
        will = self.login.connect.will if self.has_begun and not graceful else None
        delayed = will is not None and will.delay > 0 and state.is_persistent
        state.will = KeptWill(will, time.time() + will.delay) if will is not None and delayed else None
        if not self.has_begun and self._before is not None:
            # Who was not let in has left no will [MQTT-3.1.2-8], and changed nothing.
            state.expiry, state.will = self._before
        # Of one that was deleted nothing is kept: another one may get its name.
        states, is_known = self._broker.states, self._broker.directory.knows(self.login.identity)
        changes = states.detach(state) if is_known else states.end(state)
        if changes:
            self._broker.journal.write(changes, None)
        if will is not None and not delayed:
            publish_will(self._broker, state, will, reason)
