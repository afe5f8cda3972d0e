"""Topics over HTTP: an actor for each group of HTTP consumers that is in use, and the gateway before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import trio

from actors.consumer_group.groups import GroupReference
from actors.errors import ActorGone, GroupConflictError
from actors.http_calls.callers import Apps
from actors.runtime.child import ChildSpec
from actors.runtime.mailbox import Mailbox
from actors.runtime.supervisor import Supervisor
from actors.topic_gateway.actor import HttpGroupActor, HttpGroupStatistics
from actors.topic_gateway.consume import ConsumeCalls
from actors.topic_gateway.deliveries import DeliveryLimits
from actors.topic_gateway.fetch import FetchCalls
from actors.topic_gateway.gateway import TopicGateway
from actors.topic_gateway.messages import HttpGroupMessage
from actors.topic_gateway.producing import Producing
from actors.topic_gateway.publish import Publish
from actors.topic_gateway.reading import dead_letter_topic
from actors.topic_gateway.windows import ProducerWindows
from actors.topic_partition.topic import Topics
from config.resources import Topic
from config.resources.identity import Identity
from config.settings import TopicGatewaySettings
from daemon.catalog.catalog import Catalog
from daemon.catalog.planning import DEAD_LETTER_TAG
from daemon.stages.groups import GroupStage

_DRAIN_SECONDS = 5.0

MakeTopic = Callable[[Topic], Awaitable[None]]
"""Creates a topic where there is none of its name."""


class HttpGroupStage:
    """Runs an actor for each group of HTTP consumers from the first call on; `make_topic` is set before it runs."""

    def __init__(self, catalog: Catalog, topics: Topics, groups: GroupStage, settings: TopicGatewaySettings) -> None:
        self.make_topic: MakeTopic | None = None
        self._catalog = catalog
        self._topics = topics
        self._groups = groups
        groups.forgotten = self._forget
        self._on_damage = settings.on_damage
        self._limits = DeliveryLimits(settings.max_deliveries, settings.max_unconfirmed, settings.fetch_ahead_bytes)
        self._actors: dict[str, HttpGroupActor] = {}
        self._references: dict[str, GroupReference] = {}
        self._opening = trio.Lock()
        self._supervisor: Supervisor | None = None

    def supervisor(self) -> Supervisor:
        """A fresh supervisor, of nobody yet: a group's actor starts when somebody asks for it."""
        self._actors.clear()
        self._references.clear()
        self._supervisor = Supervisor("consumers", [])
        return self._supervisor

    async def open(self, group: str, topic: str) -> Mailbox[HttpGroupMessage]:
        """See `ConsumerGroups.open`."""
        if not self._current(group, topic):
            async with self._opening:
                if not self._current(group, topic):
                    await self._start(group, topic)
        actor = self._actors.get(group)
        if actor is None:
            raise ActorGone(f"group {group}")  # forgotten while it was made
        return actor.mailbox

    def knows(self, group: str, topic: str) -> bool:
        """See `ConsumerGroups.knows`."""
        return self._groups.find_http(group, topic) is not None

    def statistics(self) -> Mapping[str, HttpGroupStatistics]:
        """Every group in use as it stands."""
        return {name: actor.statistics() for name, actor in self._actors.items()}

    async def _forget(self, group: str) -> None:
        """End the actor of a group that is no more; one that somebody asks for meanwhile is of a new group."""
        self._references.pop(group, None)
        if self._actors.pop(group, None) is not None and self._supervisor is not None:
            await self._supervisor.remove(group)

    def _current(self, group: str, topic: str) -> bool:
        reference = self._groups.find_http(group, topic)
        return reference is not None and self._references.get(group) is reference and group in self._actors

    async def _start(self, group: str, topic: str) -> None:
        supervisor = self._supervisor
        if supervisor is None:
            raise ActorGone("consumers")
        self._dead_letters(group, topic)
        reference = await self._groups.open_http(group, topic)
        # A group of that name that was deleted and made anew knows nothing of what the earlier one handed out.
        await supervisor.remove(group)
        self._references[group] = reference
        make = partial(self._make_dead_letters, group, topic)

        def start() -> HttpGroupActor:
            actor = self._actors[group] = HttpGroupActor(
                reference, self._topics, self._limits, make_dead_letters=make, on_damage=self._on_damage
            )
            return actor

        await supervisor.add(ChildSpec(group, start, shutdown=_DRAIN_SECONDS, resource=True))

    def _dead_letters(self, group: str, topic: str) -> Topic:
        """The dead-letter topic of a group, there with its first message, which hides what the group's topic hides.

        Raises:
            GroupConflictError: another app has a topic of that name.
        """
        read, name = self._topic(topic), dead_letter_topic(group)
        if read is None:
            raise ActorGone(f"topic {topic}")
        there = self._topic(name)
        if there is not None and there.app != read.app:
            raise GroupConflictError(
                f"the dead-letter topic {name} of group {group} is already there and belongs to app {there.app}; "
                "take another name"
            )
        return there or Topic(name=name, app=read.app, tags=(DEAD_LETTER_TAG,), mask=read.mask)

    async def _make_dead_letters(self, group: str, topic: str) -> None:
        letters = self._dead_letters(group, topic)
        if self.make_topic is not None:
            await self.make_topic(letters)

    def _topic(self, name: str) -> Topic | None:
        return _written(self._catalog, name)


def topic_gateway(
    *,
    apps: Apps,
    catalog: Catalog,
    topics: Topics,
    consumers: HttpGroupStage,
    key: bytes,
    settings: TopicGatewaySettings,
) -> TopicGateway:
    """The gateway with its parts; `key` is what handlers are made with."""
    producing = Producing(topics, ProducerWindows(settings.producer_window), settings.publish_wait)
    return TopicGateway(
        apps,
        partial(_written, catalog),
        Publish(producing, settings.bulk_bytes),
        ConsumeCalls(consumers, key),
        FetchCalls(topics),
    )


def _written(catalog: Catalog, name: str) -> Topic | None:
    stored = catalog.get(Identity("topic", name))
    return stored.resource if stored is not None and isinstance(stored.resource, Topic) else None
