"""The sessions that outlive their connections: which there are, who resumes which, and when they expire."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from actors.device_session.journal import Change, DropSession, KeptWill, SaveSession
from actors.device_session.registry.state import SessionState

if TYPE_CHECKING:
    from actors.device_session.registry.sessions import Account, ClientKey
    from actors.directory.identities import Identity
    from actors.wire.mqtt.packets import Will

# One device that connects with ever new client ids leaves no more behind than this; an app may have a fleet of clients.
KEPT_PER_ACCOUNT: Final = {"device": 16, "app": 10_000, "anonymous": 10_000}


class States:
    """All sessions that are kept, by client: in memory here, and in the journal.

    It changes what is in memory and returns what the journal is to be told; the caller writes it, and waits for it
    where something is promised. `clock` is in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[ClientKey, SessionState] = {}
        # Those without a connection, in the order in which they lost it.
        self._detached: dict[SessionState, None] = {}
        self._by_account: dict[Account, dict[ClientKey, None]] = {}
        # Those that were ended to keep the bounds, and have left a will.
        self._pushed_out: list[SessionState] = []

    def __len__(self) -> int:
        """How many are kept, with a connection or without."""
        return len(self._kept)

    @property
    def waiting(self) -> int:
        """How many are without a connection."""
        return len(self._detached)

    def get(self, key: ClientKey) -> SessionState | None:
        """The session that is kept for a client, if there is one."""
        return self._kept.get(key)

    def kept(self, account: Account | None = None) -> tuple[SessionState, ...]:
        """Those of one account, or all of them; in the order in which they began."""
        if account is None:
            return tuple(self._kept.values())
        return tuple(self._kept[key] for key in self._by_account.get(account, ()))

    def restore(self, state: SessionState) -> None:
        """It was kept when the daemon ended; it waits for its client from now on, or since `state.detached_at`."""
        if state.detached_at is None:
            state.detached_at = self._clock()
        self._keep(state)
        self._detached[state] = None

    def attach(
        self,
        key: ClientKey,
        identity: Identity,
        level: int,
        expiry: int,
        *,
        clean_start: bool,
        will: Will | None = None,
    ) -> tuple[SessionState, bool, list[Change]]:
        """The session for a new connection, and whether it was there before [MQTT-3.1.2-4, MQTT5-3.1.2-5].

        Whoever had it before has been detached. The client is answered once the changes are on disk.
        """
        changes: list[Change] = []
        found = self._kept.get(key)
        if found is not None and (clean_start or self._is_over(found)):
            changes += self.end(found)
            found = None
        state = found or SessionState(key, identity, level, expiry)
        state.identity, state.level, state.expiry, state.detached_at = identity, level, expiry, None
        state.will = KeptWill(will) if will is not None and expiry else None
        self._detached.pop(state, None)
        if expiry or found is not None:
            self._keep(state)
            changes.append(saved(state))
            changes += self._bound(key)
        return state, found is not None, changes

    def detach(self, state: SessionState) -> list[Change]:
        """Its connection is gone: from now on it waits for its client, or ends where it is not to be kept."""
        if not state.is_persistent:
            return self.end(state)
        if state.receiver is not None:
            state.receiver.detach()
        state.detached_at = self._clock()
        self._keep(state)
        self._detached[state] = None
        return [saved(state), *self._bound(state.key)]

    def end(self, state: SessionState) -> list[Change]:
        """It is over: its subscriptions and all that waits for it go. Its will is whoever's who calls this."""
        if state.receiver is not None:
            state.receiver.close()
            state.receiver = None
        self._detached.pop(state, None)
        if self._kept.get(state.key) is not state:
            return []
        del self._kept[state.key]
        others = self._by_account[state.key.account]
        del others[state.key]
        if not others:
            del self._by_account[state.key.account]
        return [DropSession(state.incarnation)]

    def expired(self) -> Iterator[SessionState]:
        """Those without a connection whose time is over."""
        return (state for state in tuple(self._detached) if self._is_over(state))

    def pushed_out(self) -> list[SessionState]:
        """Those that were ended because their account had too many, and whose wills are to be published; each once."""
        pushed_out, self._pushed_out = self._pushed_out, []
        return pushed_out

    def without_connection(self) -> tuple[SessionState, ...]:
        """Those that wait for their client, the longest waiting first."""
        return tuple(self._detached)

    def _is_over(self, state: SessionState) -> bool:
        at = state.expires_at()
        return at is not None and self._clock() >= at

    def _keep(self, state: SessionState) -> None:
        self._kept[state.key] = state
        self._by_account.setdefault(state.key.account, {})[state.key] = None

    def _bound(self, key: ClientKey) -> list[Change]:
        """End the session of this account that waits for longest, where the account has too many."""
        keys = self._by_account.get(key.account, {})
        if len(keys) <= KEPT_PER_ACCOUNT[key.account.kind]:
            return []
        waiting = [self._kept[other] for other in keys if other != key and self._kept[other].detached_at is not None]
        oldest = min(waiting, key=lambda state: state.detached_at or math.inf, default=None)
        if oldest is None:
            return []
        if oldest.will is not None:
            self._pushed_out.append(oldest)
        return self.end(oldest)


def saved(state: SessionState) -> SaveSession:
    """What the journal is to know of a session."""
    sent = None
    if state.detached_at is not None:
        sent = state.receiver.sent if state.receiver is not None else 0
    return SaveSession(state.incarnation, state.key, state.level, state.expiry, state.detached_at, sent, state.will)
