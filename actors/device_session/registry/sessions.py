"""All living sessions: who they are, takeover, and the ends that are asked for from outside."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

import trio

from actors.device_session.counters import Counters
from actors.wire.mqtt.reasons import Reason

# A device with a bad line leaves dead connections behind, and a tester connects beside it; more than so many
# connections of one device are not needed by anybody but somebody who exhausts the listener with one stolen secret.
SESSIONS_PER_DEVICE: Final = 8
# How long a takeover waits for the old session's end: ending one takes a task switch, so this is never reached.
TAKEOVER_SECONDS: Final = 5.0
# Sessions that are looked at before other tasks get their turn.
_SWEEP_SLICE: Final = 500


class Account(NamedTuple):
    """Who logged in: an app by its name, a device as `<product>/<device>`, or passing devices by their product."""

    kind: Literal["app", "device", "anonymous"]
    name: str


class ClientKey(NamedTuple):
    """A client id belongs to the account that uses it: nobody can throw out another account's session with it."""

    account: Account
    client_id: str


class Standing(NamedTuple):
    """What of a session's reports is not acknowledged yet: bytes, and for how many seconds the oldest has waited.

    `held`: its socket is not read meanwhile. `refused`: a policy refuses them.
    """

    client: str
    client_id: str
    address: str
    inflight: int
    waited: float
    held: bool
    refused: bool


class Member(Protocol):
    """What the registry needs of a session."""

    def standing(self) -> Standing | None:
        """What of its reports is not acknowledged yet; None where all are."""

    def close(self, reason: str, code: Reason = Reason.ADMINISTRATIVE_ACTION) -> None:
        """End at once; a client of MQTT 5 is told the code."""

    def drain(self) -> None:
        """Take nothing new, acknowledge what gets stored, then end."""

    def check(self, now: float) -> None:
        """End if the client has been silent, or has not read, for too long."""

    def recheck(self) -> None:
        """End, or give up subscriptions, where the client has no right to them any more."""

    async def wait_ended(self) -> None:
        """Wait until nothing of the session is left."""


@dataclass(frozen=True, slots=True)
class SessionsStatistics:
    """How many connections there are, how many are logged in, by how many accounts; `held` are not read now."""

    connections: int
    connected: int
    accounts: int
    held: int = 0


class Sessions:
    """The registry of connections and sessions of one broker."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.held = 0
        """How many are not read now, because too much of theirs is outstanding; kept by the sessions themselves."""
        self._connections: set[Member] = set()
        # Those that have not logged in, the oldest first.
        self._strangers: dict[Member, None] = {}
        self._clients: dict[ClientKey, Member] = {}
        # Who waits for a client id to become free: the newest only, so that a thousand that ask for one cost a
        # thousand closes, and not a million wake-ups.
        self._heirs: dict[ClientKey, Member] = {}
        self._accounts: dict[Account, tuple[Member, ...]] = {}
        self._empty: trio.Event | None = None
        self._draining = False

    def __len__(self) -> int:
        """How many connections there are, logged in or not."""
        return len(self._connections)

    def opened(self, session: Member) -> None:
        """A connection was accepted."""
        self._connections.add(session)
        self._strangers[session] = None
        if self._draining:
            session.drain()

    def closed(self, session: Member) -> None:
        """A connection is gone."""
        self._connections.discard(session)
        self._strangers.pop(session, None)
        if not self._connections and self._empty is not None:
            self._empty.set()

    async def join(self, session: Member, key: ClientKey) -> bool:
        """Enter a session that has logged in; whoever has its client id is closed first (MQTT-3.1.4-2).

        Returns False when the old session did not end in time.
        """
        self._strangers.pop(session, None)
        # In the list of its account from now on: whoever closes a device finds this session too.
        self._accounts[key.account] = (*self._accounts.get(key.account, ()), session)
        other = self._clients.get(key)
        # Where there is an heir, the one before it is ending already.
        before = self._heirs.get(key, other)
        if before is not None:
            self._counters.takeovers += 1
            before.close("taken over by a new connection with the same client id", Reason.SESSION_TAKEN_OVER)
        if other is not None and not await self._inherit(session, key, other):
            return False
        self._heirs.pop(key, None)
        self._clients[key] = session
        self._bound(key.account)
        return True

    async def _inherit(self, session: Member, key: ClientKey, other: Member) -> bool:
        """Wait for the end of the session that has the client id; False where it does not come in time."""
        self._heirs[key] = session
        try:
            with trio.move_on_after(TAKEOVER_SECONDS):
                await other.wait_ended()
            # Closed while it was on its way here: a newer one takes it all.
            await trio.lowlevel.checkpoint_if_cancelled()
            return self._heirs.get(key) is session and key not in self._clients
        finally:
            if self._heirs.get(key) is session:
                del self._heirs[key]

    def leave(self, session: Member, key: ClientKey) -> None:
        """A session that had joined has ended."""
        if self._clients.get(key) is session:
            del self._clients[key]
        others = tuple(other for other in self._accounts.get(key.account, ()) if other is not session)
        if others:
            self._accounts[key.account] = others
        else:
            self._accounts.pop(key.account, None)

    def make_room(self) -> bool:
        """End the connection that has been silent about who it is for longest; False where all have logged in."""
        for oldest in self._strangers:
            del self._strangers[oldest]
            self._counters.evicted += 1
            oldest.close("its place was needed, and it had not sent CONNECT yet")
            return True
        return False

    def close_device(self, device: str, reason: str) -> bool:
        """End every session of `<product>/<device>`; False where there was none."""
        return self._close_account(Account("device", device), reason)

    async def end_client(self, key: ClientKey, reason: str) -> bool:
        """End the connection of one client, and wait for its end; False where it had none."""
        session = self._clients.get(key)
        if session is None:
            return False
        session.close(reason)
        await session.wait_ended()
        return True

    def close_app(self, app: str, reason: str) -> bool:
        """End every session of an app; False where there was none."""
        return self._close_account(Account("app", app), reason)

    def recheck(self) -> None:
        """Ask every session whether it still has the rights it logged in with: after each change of the directory."""
        for session in tuple(self._connections):
            session.recheck()

    async def sweep(self) -> None:
        """Look at every session once: the one clock of keep alive and of every other deadline."""
        for number, session in enumerate(tuple(self._connections)):
            if number % _SWEEP_SLICE == 0:
                await trio.lowlevel.checkpoint()
            session.check(trio.current_time())

    async def drain(self, deadline: float = math.inf) -> None:
        """End all: take nothing new, acknowledge what gets stored; what has not ended by the deadline is cut off."""
        self._draining = True
        try:
            for session in tuple(self._connections):
                session.drain()
            with trio.move_on_at(deadline):
                await self._wait_empty()
                return
            for session in tuple(self._connections):
                session.close("shutdown: its reports were not stored in time", Reason.SERVER_SHUTTING_DOWN)
            await self._wait_empty()
        finally:
            self._draining = False

    async def _wait_empty(self) -> None:
        if self._connections:
            self._empty = trio.Event()
            await self._empty.wait()

    def statistics(self) -> SessionsStatistics:
        """How many there are now."""
        return SessionsStatistics(len(self._connections), len(self._clients), len(self._accounts), self.held)

    def busiest(self, count: int) -> list[Standing]:
        """Those that are held or refused, and those whose reports have waited for longest."""
        found = (session.standing() for session in self._connections)
        standing = (one for one in found if one is not None)
        return heapq.nlargest(count, standing, key=lambda one: (one.held or one.refused, one.waited, one.inflight))

    def _bound(self, account: Account) -> None:
        sessions = self._accounts[account]
        if account.kind == "device" and len(sessions) > SESSIONS_PER_DEVICE:
            what = f"the device has more than {SESSIONS_PER_DEVICE} connections, and this was the oldest"
            sessions[0].close(what, Reason.QUOTA_EXCEEDED)

    def _close_account(self, account: Account, reason: str) -> bool:
        sessions = self._accounts.get(account, ())
        for session in sessions:
            session.close(reason)
        return bool(sessions)
