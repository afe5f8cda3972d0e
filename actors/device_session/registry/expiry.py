"""What time brings to sessions without a connection: their wills, and their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import trio

from actors.device_session.registry.states import saved
from actors.device_session.registry.statuses import milliseconds
from actors.device_session.registry.will import publish_kept_will

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.journal import Change
    from actors.device_session.registry.state import SessionState

# Sessions that are looked at before other tasks get their turn.
_SLICE: Final = 500


async def expire(broker: Broker) -> None:
    """Publish the wills whose delay is over, end sessions and forget retained messages whose time is over.

    To be called each second.
    """
    broker.paces.sweep(trio.current_time())
    forgotten = broker.retained.take_expired(milliseconds())
    if forgotten:
        broker.journal.write(forgotten, None)
    for state in broker.states.pushed_out():
        publish_kept_will(broker, state, "its session was pushed out by newer ones")
    for number, state in enumerate(broker.states.without_connection()):
        if number % _SLICE == 0:
            await trio.lowlevel.checkpoint()
        now = time.time()
        # It may have got a connection, or have ended, while others had their turn.
        if state.detached_at is None or broker.states.get(state.key) is not state:
            continue
        if _is_due(state, now):
            publish_kept_will(broker, state, "its delay is over")
            broker.journal.write([saved(state)], None)
        at = state.expires_at()
        if at is not None and now >= at:
            end(broker, state, "its session expired")


def end(broker: Broker, state: SessionState, reason: str) -> None:
    """End a session without a connection: its will, should it still wait, is published now [MQTT5-3.1.2-10]."""
    changes: list[Change] = broker.states.end(state)
    if changes:
        broker.journal.write(changes, None)
    broker.counters.expired_sessions += 1
    publish_kept_will(broker, state, reason)


def _is_due(state: SessionState, now: float) -> bool:
    return state.will is not None and state.will.due is not None and now >= state.will.due
