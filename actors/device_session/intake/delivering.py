"""How what a session publishes reaches subscribers, and what is waited for before it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.device_session.delivery.message import Message
from actors.runtime.reply import Reply
from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.connection.reading import Reading
    from actors.device_session.intake.paths import Path
    from actors.device_session.registry.state import SessionState
    from actors.wire.mqtt.packets import Publish

# Past so many it is looked which of them are over.
_JOINED: Final = 64


class Deliverer:
    """Hands the messages of one session to those who have subscribed, and to the retained ones.

    `refuses`: the publishing client can be told that a message was not taken. `answered` is called when something that
    was waited for has its answer.
    """

    __slots__ = ("_answered", "_broker", "_joined", "_refuses", "_state")

    def __init__(self, broker: Broker, state: SessionState, answered: Callable[[], None], *, refuses: bool) -> None:
        self._broker = broker
        self._state = state
        self._answered = answered
        self._refuses = refuses
        # What was asked for by earlier packets, perhaps of another connection, and repetitions wait for.
        self._joined: set[Reply[Any]] = set()

    def deliver(self, topic: str, path: Path, publishes: Sequence[Publish], now: int, reading: Reading) -> None:
        """Give messages to those who have subscribed to their topic, and retain those that are to be."""
        audience = path.audience
        if audience is None or not self._broker.subscriptions.is_current(audience):
            audience = path.audience = self._broker.subscriptions.match(topic)
        if reading.special is not None:
            for publish in publishes:
                self._deliver_one(path, publish, now, reading)
        elif audience:
            messages = [Message(topic, publish[1], publish[2], now) for publish in publishes]
            reading.giving().give(messages, audience, self._state.receiver)

    def _deliver_one(self, path: Path, publish: Publish, now: int, reading: Reading) -> None:
        """Give one message to subscribers, and retain it; what a QoS 2 message has had of that is not done again."""
        opened = reading.message_of(publish)
        if opened is not None:
            if (under_way := opened.delivery) is not None:
                reading.replies.append(under_way)
                return
            reading.made_special().delivered.append(opened)
        if not path.audience and not publish.retain:
            return
        properties, retain = publish.properties, publish.retain
        message = Message(publish.topic, publish.payload, publish.qos, now, retain=retain, properties=properties)
        fan_out = reading.giving()
        written, refused = len(fan_out.changes), fan_out.refused
        if retain:
            self._broker.counters.refused_retained += not fan_out.retain(message, self._broker.retained, now)
        if path.audience:
            fan_out.give((message,), path.audience, self._state.receiver)
        if self._refuses and fan_out.refused > refused and not path.routes:
            reading.refuse((publish,), Reason.QUOTA_EXCEEDED)
        incoming = self._state.incoming
        if opened is None or incoming is None or not self._state.is_persistent:
            return
        if len(fan_out.changes) > written:
            fan_out.changes.append(incoming.opened(publish.packet_id, delivered=True))

    def write(self, reading: Reading) -> None:
        """Have written down what was promised to subscribers: the read is answered once it is."""
        for waited_for in reading.replies:
            self._join(waited_for)
        reply: Reply[None] | None = None
        if reading.fan_out is not None:
            reply = reading.fan_out.write(self._broker.journal, self._answered)
        if reply is not None:
            reading.replies.append(reply)
        if reading.special is not None and reading.special.delivered:
            delivery = reply or _done()
            for message in reading.special.delivered:
                message.delivered_with(delivery)

    def give_up(self, refused: Sequence[int], reading: Reading) -> None:
        """These QoS 2 messages are refused: nobody may take the next ones of their packet ids for them."""
        incoming = self._state.incoming
        assert incoming is not None  # noqa: S101 - they are open there
        given_up = [released for packet_id in refused if (released := incoming.give_up(packet_id)) is not None]
        if given_up:
            reply: Reply[None] = Reply(self._answered)
            self._broker.journal.write(given_up, reply)
            reading.replies.append(reply)

    def _join(self, reply: Reply[Any]) -> None:
        """Wait for what was asked before, perhaps over another connection; told once, however often it is asked."""
        if reply.done or reply in self._joined:
            return
        if len(self._joined) >= _JOINED:
            self._joined = {one for one in self._joined if not one.done}
        self._joined.add(reply)
        reply.also(self._answered)


def _done() -> Reply[None]:
    reply: Reply[None] = Reply()
    reply.set(None)
    return reply
