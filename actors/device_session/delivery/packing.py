"""How deliveries are put on the wire for one connection: topic aliases, packet ids, and what is too large for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.device_session.delivery.message import Delivery, Pieces
    from actors.device_session.registry.state import Link

# One alias is set for a topic that is sent again; a client gets so many at most, however many it allows.
_ALIASES: Final = 64
_DUP: Final = 0x08


class Packing:
    """The PUBLISH packets of one connection; aliases are its own and end with it (MQTT5-3.3.2-7)."""

    __slots__ = ("_aliases", "_link", "_most_aliases")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._most_aliases = min(link.topic_alias_maximum, _ALIASES)
        self._aliases: dict[str, int] = {}

    def at_most_once(self, delivery: Delivery, now: int) -> bytes | None:
        """A packet of QoS 0; None where it is larger than the client takes (MQTT5-3.1.2-24)."""
        pieces = self._pieces(delivery, now)
        return None if pieces is None else pieces.head

    def otherwise(
        self, delivery: Delivery, packet_id: int, now: int, *, dup: bool
    ) -> tuple[bytes, bytes, bytes] | None:
        """A packet of QoS 1 or 2 in pieces; None where it is larger than the client takes."""
        pieces = self._pieces(delivery, now)
        if pieces is None:
            return None
        head = bytes((pieces.head[0] | _DUP,)) + pieces.head[1:] if dup else pieces.head
        return head, packet_id.to_bytes(2, "big"), pieces.tail

    def _pieces(self, delivery: Delivery, now: int) -> Pieces | None:
        link = self._link
        if not self._most_aliases:
            pieces = delivery.pieces(link.dialect, now)
            return pieces if link.max_packet_bytes is None or pieces.length <= link.max_packet_bytes else None
        topic = delivery.message.topic
        alias = self._aliases.get(topic)
        if alias is not None:
            pieces = delivery.pieces(link.dialect, now, alias=alias)
        elif len(self._aliases) < self._most_aliases:
            pieces = delivery.pieces(link.dialect, now, alias=len(self._aliases) + 1, first=True)
        else:
            pieces = delivery.pieces(link.dialect, now)
        if link.max_packet_bytes is not None and pieces.length > link.max_packet_bytes:
            return None
        if alias is None and len(self._aliases) < self._most_aliases:
            self._aliases[topic] = len(self._aliases) + 1
        return pieces
