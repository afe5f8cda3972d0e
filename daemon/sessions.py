"""Sessions that outlive their connections, as operators see them, and how one is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog
import trio

from actors.device_session.broker import Broker
from actors.device_session.profile import NEVER
from actors.device_session.registry.sessions import Account
from actors.device_session.registry.state import SessionState
from actors.device_session.registry.will import publish_kept_will
from actors.runtime.reply import Reply
from daemon.catalog.errors import NotFoundError

log = structlog.get_logger()

_LEVELS: Final = {3: "3.1", 4: "3.1.1", 5: "5.0"}
_DROP_SECONDS: Final = 10.0


class SessionControl:
    """Looks at the sessions that the broker keeps, with and without a connection, and ends one."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def sessions(self, account: Account | None = None) -> Sequence[SessionState]:
        """Those of one account, or all of them, in the order in which they began."""
        return self._broker.states.kept(account)

    def session(self, name: str) -> SessionState:
        """The session of that id.

        Raises:
            NotFoundError: there is none.
        """
        for state in self._broker.states.kept():
            if state.incarnation == name:
                return state
        raise NotFoundError(f"there is no session {name}; `penstock session list` shows those there are")

    async def drop(self, name: str) -> None:
        """End a session: its connection, its subscriptions, its queue. It is gone from the disk when this returns.

        Raises:
            NotFoundError: there is none.
            PenstockError: it cannot be written.
        """
        state = self.session(name)
        with trio.fail_after(_DROP_SECONDS):
            await self._broker.sessions.end_client(state.key, "its session was dropped by an operator")
            changes = self._broker.states.end(state)
            publish_kept_will(self._broker, state, "its session was dropped by an operator")
            if not changes:
                return  # it was not to be kept beyond its connection
            reply: Reply[None] = Reply()
            self._broker.journal.write(changes, reply)
            await reply.wait()
        log.info("session dropped", session=name, client=str(state.identity), client_id=state.key.client_id)


def session_json(state: SessionState) -> dict[str, Any]:
    """A session ready for JSON; times are ISO 8601 in UTC, `expiry_seconds` is null where it never expires."""
    receiver = state.receiver
    messages, size = receiver.queued if receiver is not None else (0, 0)
    return {
        "session": state.incarnation,
        "account": {"kind": state.key.account.kind, "name": state.key.account.name},
        "client_id": state.key.client_id,
        "connected": state.detached_at is None,
        "mqtt": _LEVELS.get(state.level, str(state.level)),
        "subscriptions": len(receiver.subscriptions) if receiver is not None else 0,
        "queued_messages": messages,
        "queued_bytes": size,
        "open_messages": len(state.incoming) if state.incoming is not None else 0,
        "expiry_seconds": None if state.expiry == NEVER else state.expiry,
        "disconnected_at": _time(state.detached_at),
        "expires_at": _time(state.expires_at()),
    }


def subscriptions_json(state: SessionState) -> list[Mapping[str, Any]]:
    """Its subscriptions, by filter."""
    if state.receiver is None:
        return []
    return [
        {
            "filter": topic_filter,
            "qos": terms.qos,
            "no_local": terms.no_local,
            "retain_as_published": terms.retain_as_published,
            "identifiers": list(terms.subscription_ids),
        }
        for topic_filter, terms in sorted(state.receiver.subscriptions.items())
    ]


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
