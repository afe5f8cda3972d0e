"""The last will of a client: what is published for it when it is gone (MQTT 5, 3.1.2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.device_session.intake.publishing import Publisher
from actors.errors import PenstockError
from actors.runtime.reply import Reply

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.registry.state import SessionState
    from actors.wire.mqtt.packets import Will

_TOPIC_SHOWN: Final = 200


def publish_kept_will(broker: Broker, state: SessionState, reason: str) -> None:
    """Publish the will that a session without a connection has kept, if it has."""
    kept, state.will = state.will, None
    if kept is not None:
        publish_will(broker, state, kept.will, reason)


def publish_will(broker: Broker, state: SessionState, will: Will, reason: str) -> None:
    """Publish it as any message of that client: rights, thing model, rules, subscribers, retained. Never waits.

    Nobody is there to be answered: what cannot be stored is counted and logged.
    """
    broker.counters.wills += 1
    intake = Publisher(broker, state, None).take_will(will)
    for batch in intake.batches:
        reply: Reply[int] = Reply()
        reply.also(lambda reply=reply: _tell_lost(broker, state, will, reply.error))  # type: ignore[misc]  # as bound
        try:
            batch.hand_over(reply, broker.conditions)
        except PenstockError as error:
            reply.fail(error)
    broker.presence.will(state.identity, state.key.client_id, will.topic, reason)


def _tell_lost(broker: Broker, state: SessionState, will: Will, error: BaseException | None) -> None:
    if error is not None:
        facts = {"client": str(state.identity), "topic": will.topic[:_TOPIC_SHOWN], "reason": str(error)}
        broker.log.warning("A will could not be stored", **facts)
