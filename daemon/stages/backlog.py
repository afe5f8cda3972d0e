"""Backlog policies: the watch that sets the topics' gates, and the homecomings of what was diverted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import trio

from actors.backlog.homecoming import Homecoming, HomecomingProgress, HomecomingRunner, begun, remaining
from actors.backlog.policy import Transition
from actors.backlog.watch import BacklogWatch
from actors.errors import ActorGone, HomecomingError
from actors.ports import AuditEntry, AuditTrail
from actors.runtime.child import ChildSpec, Restart
from actors.runtime.supervisor import Supervisor
from actors.topic_partition.gate import Gate, GateState
from actors.topic_partition.topic import TopicReference, Topics
from config.resources import BacklogPolicy, Task, Topic
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.errors import NotFoundError
from daemon.stages.group_lags import GroupLags
from daemon.stages.groups import GroupStage
from daemon.store.model import Store

# What drains has its records stored within this time, or not at all.
_DRAIN_SECONDS = 15.0

Way = tuple[str, str]
"""A topic, and the one that its records were diverted to."""


class BacklogStage:
    """Makes gates follow backlog policies, and brings diverted records home.

    It has no resources of its own: policies are part of topics, and are looked up in the catalog at each sample.
    `homecomings` are those of the daemon's lives before. Every change that a policy makes, and every homecoming that
    is begun, is kept by `audit`.
    """

    def __init__(
        self,
        catalog: Catalog,
        topics: Topics,
        groups: GroupStage,
        store: Store,
        *,
        audit: AuditTrail,
        homecomings: Iterable[Homecoming],
    ) -> None:
        self._catalog = catalog
        self._topics = topics
        self._store = store
        self._audit = audit
        self._lags = GroupLags(groups, self._starts_at_end)
        self._homecomings = {(one.topic, one.source): one for one in homecomings}
        self._progress: dict[Way, HomecomingProgress] = {}
        self._beginning = trio.Lock()
        self._supervisor: Supervisor | None = None
        self._watch: BacklogWatch | None = None

    def supervisor(self) -> Supervisor:
        """A fresh supervisor of the watch, and of every homecoming that is not finished."""
        unfinished = [way for way, one in self._homecomings.items() if remaining(one.places.values())]
        specs = [ChildSpec("watch", self._new_watch), *map(self._homecoming_spec, unfinished)]
        self._supervisor = Supervisor("backlog", specs)
        return self._supervisor

    def let_drain(self) -> None:
        """Producers drain: nobody is throttled until they have had their time for it."""
        if self._watch is not None:
            self._watch.yield_for(_DRAIN_SECONDS)

    def status(self, topic: str) -> Mapping[str, Any]:
        """What a topic's policy does now, and what it has done since the daemon started; times are ISO 8601 in UTC."""
        reference = self._topics.get(topic)
        if reference is None:
            return {}
        shown = _gate(reference.gate)
        homecomings = self.homecomings(topic)
        return {**shown, "homecomings": homecomings} if homecomings else shown

    def homecomings(self, topic: str) -> list[Mapping[str, Any]]:
        """How far what was diverted from a topic has come home, by the topic it was diverted to."""
        return [_shown(one) for (home, _), one in sorted(self._progress.items()) if home == topic]

    async def bring_home(self, topic: str, *, source: str = "", force: bool = False) -> Mapping[str, Any]:
        """Begin to bring home what was diverted by now, or say how far that has come; see `status` for the rest.

        `source` is the topic it was diverted to; left out, it is that of the policy.

        Raises:
            NotFoundError: there is no such topic.
            HomecomingError: the topic still diverts, and it is not to be forced; or nobody says where from.
            StorageError: it cannot be noted.
            ActorGone: a partition has not opened, or the daemon is starting or ending.
        """
        home = self._require(topic)
        away = self._require(source or self._source_of(home))
        if away is home:
            raise HomecomingError(f"topic {topic} cannot be brought home from itself")
        async with self._beginning:
            way = (home.name, away.name)
            if not self._is_running(way):
                self._check_may_begin(home, away, force=force)
                await self._begin(home, away, force=force)
        return _shown(self._progress[way])

    async def forget_topic(self, topic: str) -> None:
        """The data of a topic is gone: nothing of it comes home, or from it."""
        for way in [way for way in self._homecomings if topic in way]:
            if self._supervisor is not None:
                await self._supervisor.remove(_name(way))
            del self._homecomings[way]
            self._progress.pop(way, None)
        await self._store.delete_backlog(topic)

    # --- homecomings (a `HomecomingStore` for its runners) -----------------------------------------------------------

    async def save_homecoming(self, homecoming: Homecoming) -> None:
        """Keep places in the store, and know them here for the next life of a runner."""
        await self._store.save_homecoming(homecoming)
        way = (homecoming.topic, homecoming.source)
        before = self._homecomings.get(way)
        places = {**before.places, **homecoming.places} if before is not None else homecoming.places
        self._homecomings[way] = homecoming._replace(places=places)

    async def _begin(self, home: TopicReference, away: TopicReference, *, force: bool) -> None:
        if self._supervisor is None:
            raise ActorGone("backlog")
        way = (home.name, away.name)
        coming = begun(home, away, self._homecomings.get(way), force=force)
        await self.save_homecoming(coming)
        self._progress[way] = HomecomingProgress(away.name, remaining=remaining(coming.places.values()))
        waiting = self._progress[way].remaining
        await self._audit.record(
            AuditEntry(
                at=round(time.time() * 1000),
                by="operator",
                subject=f"topic {home.name}",
                action="bring-home by force" if force else "bring-home",
                before=f"{waiting} offsets of topic {away.name} to look at",
                after="under way",
                reason="asked for",
            )
        )
        await self._supervisor.add(self._homecoming_spec(way))

    def _homecoming_spec(self, way: Way) -> ChildSpec:
        progress = self._progress.setdefault(way, HomecomingProgress(way[1]))

        def start() -> HomecomingRunner:
            return HomecomingRunner(self._homecomings[way], self._topics, self, progress)

        return ChildSpec(_name(way), start, restart=Restart.TRANSIENT, resource=True)

    def _is_running(self, way: Way) -> bool:
        return self._supervisor is not None and self._supervisor.status(_name(way)) is not None

    def _check_may_begin(self, home: TopicReference, away: TopicReference, *, force: bool) -> None:
        gate = home.gate
        if gate.state is GateState.DIVERTED and not force:
            raise HomecomingError(
                f"topic {home.name} still diverts its records to {gate.divert_to} ({gate.reason}); "
                "wait until its groups have caught up, or force it"
            )
        if (away.name, home.name) in self._homecomings and self._is_running((away.name, home.name)):
            raise HomecomingError(f"records of topic {away.name} are being brought home from {home.name}")

    def _source_of(self, home: TopicReference) -> str:
        policy = self._policies().get(home.name)
        if policy is not None and policy.divert_to is not None:
            return policy.divert_to
        known = [source for topic, source in self._homecomings if topic == home.name]
        if len(known) != 1:
            raise HomecomingError(f"topic {home.name} has no `divert_to`; say which topic its records are in")
        return known[0]

    def _require(self, name: str) -> TopicReference:
        topic = self._topics.get(name)
        if topic is None:
            raise NotFoundError(f"there is no topic {name}")
        return topic

    # --- the watch ---------------------------------------------------------------------------------------------------

    def _new_watch(self) -> BacklogWatch:
        self._watch = BacklogWatch(self._topics, self._policies, self._lags.of, self._store, tell=self._tell)
        return self._watch

    def _policies(self) -> dict[str, BacklogPolicy]:
        topics = [one.resource for one in self._catalog.of_kind("topic") if isinstance(one.resource, Topic)]
        return {topic.name: topic.backlog for topic in topics if topic.backlog is not None}

    def _starts_at_end(self, group: str) -> bool:
        stored = self._catalog.get(Identity("task", group))
        return stored is not None and isinstance(stored.resource, Task) and stored.resource.source.start == "latest"

    async def _tell(self, transition: Transition) -> None:
        await self._audit.record(
            AuditEntry(
                at=round(transition.at * 1000),
                by="backlog policy",
                subject=f"topic {transition.topic}",
                action=transition.action,
                before=transition.before.value,
                after=transition.after.value,
                reason=transition.reason,
            )
        )


def _name(way: Way) -> str:
    return f"bring-home {way[0]} from {way[1]}"


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "state": gate.state.value,
        "since": datetime.fromtimestamp(gate.since, UTC).isoformat(timespec="milliseconds"),
        "reason": gate.reason,
        "divert_to": gate.divert_to,
        "refused": gate.refused,
        "diverted": gate.diverted,
        "dropped": gate.dropped,
    }


def _shown(progress: HomecomingProgress) -> dict[str, Any]:
    shown = asdict(progress)
    return {"from": shown.pop("source"), **shown}
