"""What all sessions of one daemon share."""

from __future__ import annotations

from collections.abc import MutableSet
from dataclasses import dataclass, field
from weakref import WeakSet

from actors.device_session.connection.pace import Paces
from actors.device_session.counters import Counters
from actors.device_session.delivery.retained import Retained
from actors.device_session.delivery.subscriptions import Subscriptions
from actors.device_session.intake.conditions import Conditions
from actors.device_session.intake.incoming import Incoming
from actors.device_session.journal import ForgetfulJournal, SessionJournal
from actors.device_session.registry.failed_logins import FailedLogins
from actors.device_session.registry.lifecycle import Lifecycle
from actors.device_session.registry.presence import Presence
from actors.device_session.registry.sessions import Sessions
from actors.device_session.registry.states import States
from actors.device_session.registry.statuses import Statuses
from actors.device_session.targets import TopicLookup
from actors.directory.directory import Directory
from actors.functions.messages import FunctionCalls
from actors.runtime.log_limiter import LogLimiter
from config.settings import MqttSettings


@dataclass(frozen=True, slots=True)
class Broker:
    """The bundle that a session is given; the composition root makes one with `open_broker`.

    `directory` says who may log in and do what, `topics` where records go; both change while sessions live, and say so
    by their `version`. `states` are the sessions that outlive their connections, `journal` keeps what they promise, and
    `open_messages` are those of them that have QoS 2 messages under way. Sessions tell `presence` when they begin and
    end; `lifecycle` forwards it. `conditions` asks functions about reports whose rules say so.
    """

    settings: MqttSettings
    directory: Directory
    topics: TopicLookup
    subscriptions: Subscriptions
    sessions: Sessions
    statuses: Statuses
    lifecycle: Lifecycle
    presence: Presence
    counters: Counters
    failed_logins: FailedLogins
    paces: Paces
    log: LogLimiter
    conditions: Conditions
    journal: SessionJournal = field(default_factory=ForgetfulJournal)
    states: States = field(default_factory=States)
    retained: Retained = field(default_factory=lambda: Retained(max_messages=0, max_bytes=0))
    open_messages: MutableSet[Incoming] = field(default_factory=WeakSet)


def open_broker(
    settings: MqttSettings,
    directory: Directory,
    topics: TopicLookup,
    journal: SessionJournal | None = None,
    functions: FunctionCalls | None = None,
) -> Broker:
    """A broker without sessions; one without a journal forgets them all when it ends."""
    counters, log, statuses = Counters(), LogLimiter(), Statuses()
    lifecycle = Lifecycle(directory, topics, counters, log, capacity=settings.lifecycle_bytes)
    return Broker(
        settings=settings,
        directory=directory,
        topics=topics,
        subscriptions=Subscriptions(),
        sessions=Sessions(counters),
        statuses=statuses,
        lifecycle=lifecycle,
        presence=Presence(statuses, lifecycle),
        counters=counters,
        failed_logins=FailedLogins(settings.failed_logins),
        paces=Paces(settings),
        log=log,
        conditions=Conditions(functions, counters, log),
        journal=journal or ForgetfulJournal(),
        retained=Retained(settings.max_retained_messages, settings.max_retained_bytes),
    )
