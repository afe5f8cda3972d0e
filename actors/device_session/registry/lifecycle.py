"""What becomes of devices' connections, as records: online, offline and will, for the rules that ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import msgspec
import trio

from actors.device_session.counters import Counters
from actors.device_session.registry.outlet import Outlet, TopicGone
from actors.device_session.registry.statuses import REASON_CHARACTERS, milliseconds
from actors.device_session.targets import TopicLookup
from actors.directory.directory import Directory
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, Identity
from actors.errors import PenstockError
from actors.rules.plan import compile_lifecycle
from actors.runtime.backoff import Backoff
from actors.runtime.log_limiter import LogLimiter

Event = Literal["online", "offline", "will"]


class LifecycleEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event, as its JSON; `time` in milliseconds since the epoch. `topic` is a will's, and of no other event."""

    event: Event
    device: str
    product: str
    client_id: str | None
    reason: str
    time: int
    topic: str | None = None


class Lifecycle:
    """Takes events from sessions, which never wait for it, and appends them to the topics of their rules; is a Child.

    Events of one topic wait in a bounded buffer of their own. While a topic takes no records (its disk is slow or full,
    its backlog policy throttles or rejects) they wait there and are tried again; past `capacity` bytes the oldest goes
    for the newest, so that what is last known of each device comes through. Each event that goes is counted and logged,
    sessions go on all the while. An event may come twice, after a failure of its partition. What a stop leaves is
    logged, and forwarded by the next life, if the process has one.
    """

    def __init__(
        self,
        directory: Directory,
        topics: TopicLookup,
        counters: Counters,
        log: LogLimiter,
        *,
        capacity: int,
        backoff: Backoff = Backoff(initial=0.1, maximum=5.0),  # noqa: B008 - frozen
    ) -> None:
        self._directory = directory
        self._topics = topics
        self._counters = counters
        self._log = log
        self._capacity = capacity
        self._backoff = backoff
        self._outlets: dict[str, Outlet] = {}
        self._busy: set[str] = set()
        self._nursery: trio.Nursery | None = None
        self._stopping = trio.Event()
        self._idle = trio.Event()

    @property
    def waiting(self) -> int:
        """How many events are not stored yet."""
        return sum(map(len, self._outlets.values()))

    def online(self, identity: Identity, client_id: str, reason: str) -> None:
        """A device has a session that lives, and had none before."""
        self._tell("online", identity, client_id, reason)

    def offline(self, identity: Identity, client_id: str | None, reason: str) -> None:
        """The last session of a device has ended."""
        self._tell("offline", identity, client_id, reason)

    def will(self, identity: Identity, client_id: str, topic: str, reason: str) -> None:
        """The will of a device is published, where the device has a right to that."""
        if self._directory.rights(identity).may_publish(topic):
            self._tell("will", identity, client_id, reason, topic)

    async def run(self, started: Callable[[], None]) -> None:
        """Forward until stopped, and then what is left, for as long as it is let."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for outlet in tuple(self._outlets.values()):
                    self._start(outlet)
                started()
                await self._stopping.wait()
                while self._busy:
                    self._idle = trio.Event()
                    await self._idle.wait()
        finally:
            # Ready for another life.
            self._nursery = None
            self._stopping = trio.Event()
            self._busy.clear()
            if self.waiting:
                self._log.warning("Lifecycle events are left that could not be stored", count=self.waiting)

    def stop(self) -> None:
        """Forward what is left, and end."""
        self._stopping.set()

    def _tell(
        self, event: Event, identity: Identity, client_id: str | None, reason: str, topic: str | None = None
    ) -> None:
        if not self._directory.has_lifecycle_rules:
            return
        match identity:
            case AppIdentity():
                pass  # what an app does is nothing that a device's rule asks for
            case DeviceIdentity(product, device) | AnonymousIdentity(product, device):
                told = LifecycleEvent(
                    event, device, product, client_id, reason[:REASON_CHARACTERS], milliseconds(), topic
                )
                self._record(told)
            case _:
                assert_never(identity)

    def _record(self, told: LifecycleEvent) -> None:
        payload = msgspec.json.encode(told)
        for forward in compile_lifecycle(told.product, told.device, self._directory):
            self._counters.lifecycle_events += 1
            outlet = self._outlets.get(forward.topic)
            if outlet is None:
                outlet = self._outlets[forward.topic] = Outlet(forward.topic, self._topics, self._capacity)
            gone = outlet.offer(forward.record(payload, told.time))
            if gone:
                self._lost(outlet.topic, gone, "their topic takes none now, and no more can wait")
            self._start(outlet)

    # --- forwarding ---------------------------------------------------------------------------------------------------

    def _start(self, outlet: Outlet) -> None:
        if self._nursery is not None and len(outlet) and outlet.topic not in self._busy:
            self._busy.add(outlet.topic)
            self._nursery.start_soon(self._forward, outlet)

    async def _forward(self, outlet: Outlet) -> None:
        """Append until nothing waits for this topic."""
        failures = 0
        while waiting := len(outlet):
            try:
                too_large = await outlet.round()
            except TopicGone as error:
                self._lost(outlet.topic, outlet.clear(), str(error))
            except PenstockError as error:
                failures += 1
                if failures == 1:
                    facts = {"topic": outlet.topic, "count": waiting, "reason": str(error)}
                    self._log.warning("Lifecycle events wait, and are tried again", **facts)
                await trio.sleep(self._backoff.delay(failures))
            else:
                failures = 0
                if too_large:
                    self._lost(outlet.topic, too_large, "they are larger than their topic takes")
        del self._outlets[outlet.topic]
        self._busy.discard(outlet.topic)
        if not self._busy:
            self._idle.set()

    def _lost(self, topic: str, count: int, reason: str) -> None:
        self._counters.dropped_lifecycle_events += count
        self._log.warning("Lifecycle events dropped", topic=topic, count=count, reason=reason)
