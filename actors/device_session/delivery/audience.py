"""Who gets the messages of a topic, and on what terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from actors.device_session.delivery.fan_out import FanOut
    from actors.device_session.delivery.message import Delivery


class Terms(NamedTuple):
    """What was granted to a subscription: the highest QoS, and its options (MQTT 5, 3.8.3.1).

    `partly`: the subscriber has no right to some of what the filter matches, so it is asked for each topic.
    """

    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    subscription_ids: tuple[int, ...] = ()
    partly: bool = False


class Subscriber(Protocol):
    """Who can be delivered to; hashable by identity."""

    @property
    def is_connected(self) -> bool:
        """Whether what is delivered now can leave."""

    @property
    def has_room(self) -> bool:
        """Whether it is connected, and keeps up with what it gets."""

    def may_receive(self, topic: str) -> bool:
        """Whether it has a right to messages of this topic, as things stand now."""

    def deliver(self, at_most_once: Sequence[Delivery], otherwise: Sequence[Delivery], fan_out: FanOut) -> None:
        """Take deliveries of QoS 0, and of QoS 1 and 2, without waiting; what does not fit is dropped and counted."""


class SharedGroup:
    """The members of one shared subscription: each message goes to one of them (MQTT5-4.8.2-3)."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        # In the order of their turns.
        self._members: dict[Subscriber, Terms] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._members)

    def add(self, subscriber: Subscriber, terms: Terms) -> None:
        """A member, or its new terms."""
        self._members[subscriber] = terms

    def remove(self, subscriber: Subscriber) -> None:
        """It is none any more; not to have been one is no error."""
        self._members.pop(subscriber, None)

    def choose(self, topic: str) -> tuple[Subscriber, Terms] | None:
        """Whose turn it is: round robin over those who are connected and keep up, where there are any.

        None where no member may receive this topic.
        """
        second: Subscriber | None = None
        chosen: Subscriber | None = None
        for subscriber, terms in self._members.items():
            if terms.partly and not subscriber.may_receive(topic):
                continue
            if subscriber.has_room:
                chosen = subscriber
                break
            if second is None or (subscriber.is_connected and not second.is_connected):
                second = subscriber
        chosen = chosen or second
        if chosen is None:
            return None
        terms = self._members[chosen] = self._members.pop(chosen)
        return chosen, terms


ByTerms = tuple[tuple[Terms, tuple[Subscriber, ...]], ...]
"""Subscribers with the terms that they have in common."""


class Audience:
    """What `Subscriptions.match` found for one topic.

    `by_terms` are the subscribers, each once, together with those that have the same terms: of overlapping
    subscriptions the highest QoS, and all of their identifiers (MQTT5-3.3.4-2, MQTT5-3.3.4-3). `own` says what those
    who set No Local get of what they publish themselves; None: nothing (MQTT5-3.8.3-3). `groups` are the shared
    subscriptions.
    """

    __slots__ = ("by_terms", "groups", "own", "prefix_slot", "slot", "version")

    def __init__(self, version: int, slot: int, prefix_slot: int) -> None:
        """Nobody yet; the numbers are `Subscriptions`' own, for `is_current`."""
        self.version = version
        self.slot = slot
        self.prefix_slot = prefix_slot
        self.by_terms: ByTerms = ()
        self.own: dict[Subscriber, Terms | None] | None = None
        self.groups: tuple[SharedGroup, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self.by_terms or self.groups)


def gather(
    topic: str, direct: Sequence[dict[Subscriber, Terms]]
) -> tuple[ByTerms, dict[Subscriber, Terms | None] | None]:
    """The subscribers of every matching filter, as `Audience` has them: by terms, and what they get of their own."""
    found: dict[Subscriber, Terms] = {}
    local: dict[Subscriber, Terms | None] = {}
    for subscribers in direct:
        for subscriber, terms in subscribers.items():
            if terms.partly and not subscriber.may_receive(topic):
                continue
            present = found.get(subscriber)
            if terms.no_local or subscriber in local:
                _add_own(local, subscriber, present, terms)
            found[subscriber] = terms if present is None else _merge(present, terms)
    by_terms: dict[Terms, list[Subscriber]] = {}
    for subscriber, terms in found.items():
        by_terms.setdefault(terms, []).append(subscriber)
    return tuple((terms, tuple(some)) for terms, some in by_terms.items()), local or None


def _add_own(
    local: dict[Subscriber, Terms | None], subscriber: Subscriber, present: Terms | None, terms: Terms
) -> None:
    """Note what a subscriber gets of its own messages: what its subscriptions without No Local bring."""
    # Who is not noted yet has only had subscriptions without No Local.
    so_far = local.get(subscriber, present)
    if terms.no_local:
        local[subscriber] = so_far
    else:
        local[subscriber] = terms if so_far is None else _merge(so_far, terms)


def _merge(one: Terms, other: Terms) -> Terms:
    return Terms(
        max(one.qos, other.qos),
        no_local=False,
        retain_as_published=one.retain_as_published or other.retain_as_published,
        subscription_ids=one.subscription_ids + other.subscription_ids,
    )
