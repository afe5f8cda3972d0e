"""The topic aliases that a client uses for what it publishes (MQTT 5, 3.3.2.3.4)."""

from __future__ import annotations

from typing import Final

from actors.device_session.errors import ProtocolViolationError
from actors.wire.mqtt.reasons import Reason

# What one client's aliases may take of the memory; a topic is seldom longer than a hundred characters.
_MOST_CHARACTERS: Final = 64 * 1024


class TopicAliases:
    """What each alias of one connection stands for; aliases end with it [MQTT5-3.3.2-7]."""

    __slots__ = ("_maximum", "_topics")

    def __init__(self, maximum: int) -> None:
        """Aliases from 1 to `maximum` may be used."""
        self._maximum = maximum
        self._topics: dict[int, str] = {}

    def resolve(self, topic: str, alias: int) -> str:
        """The topic of a PUBLISH with an alias; one that is not empty is what the alias stands for from now on.

        Raises:
            ProtocolViolationError: the alias is none that may be used [MQTT5-3.3.2-9], or stands for nothing yet.
        """
        if not 1 <= alias <= self._maximum:
            what = f"topic alias {alias}; this server takes 1 to {self._maximum} [MQTT5-3.3.2-9]"
            raise ProtocolViolationError(what, Reason.TOPIC_ALIAS_INVALID)
        if topic:
            self._topics[alias] = topic
            if sum(map(len, self._topics.values())) > _MOST_CHARACTERS:
                what = f"topic aliases for more than {_MOST_CHARACTERS} characters"
                raise ProtocolViolationError(what, Reason.QUOTA_EXCEEDED)
            return topic
        known = self._topics.get(alias)
        if known is None:
            raise ProtocolViolationError(f"topic alias {alias} stands for no topic yet (MQTT 5, 3.3.2.3.4)")
        return known
