"""What all sessions of one daemon share."""

from __future__ import annotations

from dataclasses import dataclass

from actors.device_session.counters import Counters
from actors.device_session.failed_logins import FailedLogins
from actors.device_session.sessions import Sessions
from actors.device_session.statuses import Statuses
from actors.device_session.subscriptions import Subscriptions
from actors.device_session.targets import TopicLookup
from actors.directory.directory import Directory
from actors.runtime.log_limiter import LogLimiter
from config.settings import MqttSettings


@dataclass(frozen=True, slots=True)
class Broker:
    """The bundle that a session is given; the composition root makes one with `open_broker`.

    `directory` says who may log in and do what, `topics` where records go; both change while sessions live, and say so
    by their `version`.
    """

    settings: MqttSettings
    directory: Directory
    topics: TopicLookup
    subscriptions: Subscriptions
    sessions: Sessions
    statuses: Statuses
    counters: Counters
    failed_logins: FailedLogins
    log: LogLimiter


def open_broker(settings: MqttSettings, directory: Directory, topics: TopicLookup) -> Broker:
    """A broker without sessions."""
    counters = Counters()
    return Broker(
        settings=settings,
        directory=directory,
        topics=topics,
        subscriptions=Subscriptions(),
        sessions=Sessions(counters),
        statuses=Statuses(),
        counters=counters,
        failed_logins=FailedLogins(settings.failed_logins),
        log=LogLimiter(),
    )
