"""The numbers of sessions that outlive their connections, and of their store, for the metrics page."""

from __future__ import annotations

from collections.abc import Iterable

from actors.device_session.broker import Broker
from actors.session_store.reference import SessionStoreReference
from daemon.metrics import Metric, MetricType, Sample


class SessionMeasures:
    """Looks at the session store and at what the broker keeps; changes nothing."""

    def __init__(self, broker: Broker, store: SessionStoreReference) -> None:
        self._broker = broker
        self._store = store

    def metrics(self) -> Iterable[Metric]:
        """All families, as of this moment."""
        states, retained = self._broker.states, self._broker.retained
        yield _one("sessions_kept", "gauge", "Sessions that outlive their connections.", len(states))
        yield _one("sessions_waiting", "gauge", "Those of them without a connection.", states.waiting)
        yield _one("retained_messages", "gauge", "Retained messages.", len(retained))
        yield _one("retained_bytes", "gauge", "Bytes of retained messages.", retained.size)
        yield _one("retained_refused_total", "counter", "Retained messages without room.", retained.refused)
        store = self._store.statistics()
        counters = store.counters
        yield _one("store_up", "gauge", "1 while the session store takes all writes.", store.alive and not store.fault)
        yield _one("store_used_bytes", "gauge", "Bytes in use of the session store's file.", store.used)
        yield _one("store_changes_total", "counter", "Changes handed to the session store.", counters.changes)
        yield _one("store_commits_total", "counter", "Commits of the session store.", counters.commits)
        yield _one("store_commit_seconds_total", "counter", "Seconds spent in them.", counters.commit_seconds)
        yield _one("store_failed_commits_total", "counter", "Commits that failed.", counters.failed_commits)
        yield _one("store_refused_total", "counter", "Writes that were refused.", counters.refused)
        yield _one("store_lost_changes_total", "counter", "Ends that could not be written.", counters.lost)
        yield _one("store_pages_total", "counter", "Pages of queues that were read back.", counters.pages)
        if store.mailbox is not None:
            yield _one("store_mailbox_bytes", "gauge", "Bytes that wait to be written.", store.mailbox.depth)
            yield _one("store_waited_seconds_total", "counter", "Seconds in line for it.", store.mailbox.waited)


def _one(name: str, kind: MetricType, text: str, value: float) -> Metric:
    return Metric(f"penstock_mqtt_{name}", kind, text, (Sample(float(value)),))
