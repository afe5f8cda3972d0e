"""What a change of rights does to sessions without a connection; those with one see to it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.device_session.registry.expiry import end

if TYPE_CHECKING:
    from actors.device_session.broker import Broker


def recheck_waiting(broker: Broker) -> None:
    """End the sessions of those who are gone, and have the others give up what they have no right to any more.

    Who is switched off keeps what it has: until it is switched on again it cannot have it.
    """
    directory = broker.directory
    for state in broker.states.without_connection():
        if not directory.knows(state.identity):
            end(broker, state, "it was deleted")
        elif state.receiver is not None and directory.admits(state.identity):
            state.receiver.recheck()
