"""The supervision tree: what runs, in which order it starts, and who sends to whom.

    penstock                 one_for_one
    |-- control              one_for_one   without a limit: however often it crashes, devices do not notice
    |   `-- api              the control API; started first and stopped last, it may ask anyone, nobody waits on it
    |-- devices              writes what is known of devices to the metadata store, also what their sessions' ends say
    |-- quotas               likewise what apps have used of theirs
    |-- runs                 likewise the last runs of functions, and what they logged
    |-- chain                rest_for_one: whoever fails takes with it what was built on it
    |   |-- connectors       one_for_one   a holder for each connection
    |   |-- partitions       one_for_one   an actor for each topic partition
    |   |-- functions        one_for_one   what functions have at hand: connections to other systems, and the processes
    |   |                                  in which scripts run
    |   |-- groups           one_for_one   an actor for each consumer group
    |   |-- backlog          one_for_one   the watch that sets the topics' gates, and a runner for each homecoming
    |   |-- tasks            one_for_one   a supervisor for each task, of its runners
    |   |-- consumers        one_for_one   an actor for each group of HTTP consumers that is in use
    |   |-- sessions         the store of MQTT sessions that outlive their connections; restores them at its start
    |   `-- listeners        one_for_one
    |       |-- lifecycle    forwards who came and went to the topics of rules; last to stop, so that it hears of all
    |       |-- conditions   asks functions which reports rules take, before those are appended
    |       |-- gateway      a task for each connection, over HTTP and HTTPS: routes are admitted and answered there
    |       |-- topics       a task for each HTTP connection of producers and consumers
    |       `-- mqtt         a session for each MQTT connection
    |-- certificates         renews the certificates of the listeners
    `-- doctor               looks at groups and tasks every few seconds, says why they lag, and does what is harmless

The chain has three uses. It is the order of the start: no socket opens before what lies behind it lives. Reversed, it
is the order of the stop: intake ends first, then tasks commit, then partitions sync. And a *waiting* send goes only to
an earlier entry, so that no circle of mailboxes can wait for itself:

    mqtt session  --Append-->  partition                 (stands in line, bounded by the session's inflight bytes)
    mqtt session  --Append-->  conditions                (likewise, where a rule has a condition)
    conditions    --call---->  function                  (once for all that waits for a partition)
    conditions    --Append-->  partition                 (what is left, in its order)
    mqtt session  --Write--->  sessions                  (likewise; answers come when it is on disk)
    mqtt session  --Read---->  sessions                  (a page of its queue; one at a time)
    sessions      --fetch--->  partition's files         (at the start: QoS 2 messages that are not released)
    lifecycle     --Append-->  partition                 (what sessions leave in its buffers, which drop the oldest)
    function      --query--->  connector                 (in the task of whoever calls it, within its time-out)
    function      --Append-->  partition                 (one record a call, withdrawn past a bound)
    runner        --fetch--->  partition's files         (pull, up to the high watermark)
    runner        --write--->  connector                 (one transaction a batch)
    runner        --Commit-->  group                     (how far it has come)
    runner        --Append-->  partition of `<task>.dead`
    route         --query--->  connector
    route         --Append-->  partition                 (one record a call, withdrawn past a bound)
    producer      --Append-->  partition                 (HTTP; one a partition and request, withdrawn past a bound)
    consumer      --Take---->  consumers                 (HTTP; one a connection; likewise Settle)
    consumers     --fetch--->  partition's files         (ahead, bounded by bytes)
    consumers     --Confirm->  group                     (stored and synced before a consumer is answered)
    consumers     --Append-->  partition of `<group>.dead`
    tail          --fetch--->  partition's files         (the control API's; what its reader is too slow for is skipped)
    homecoming    --Append-->  partition                 (diverted records, a batch at a time)

Answers come back in one-shot slots. Sessions hand messages to one another by `offer`, which never waits. The metadata
store, the instance key and the asyncio island lie beneath the tree: `daemon/ground.py` opens them before it starts.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from actors.runtime.actor import Child
from actors.runtime.child import ChildSpec, Strategy
from actors.runtime.intensity import Intensity
from actors.runtime.supervisor import Supervisor

# What drains has less time than a usual drain as a whole, so that those after it have some left.
_STAGE_SECONDS = 15.0
# What a topic that takes nothing may cost a stop.
_LIFECYCLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Stages:
    """What builds each entry of the chain, afresh for each of its lives."""

    connectors: Callable[[], Child]
    partitions: Callable[[], Child]
    functions: Callable[[], Child]
    groups: Callable[[], Child]
    backlog: Callable[[], Child]
    tasks: Callable[[], Child]
    consumers: Callable[[], Child]
    sessions: Callable[[], Child]
    lifecycle: Callable[[], Child]
    conditions: Callable[[], Child]
    gateway: Callable[[], Child]
    topics: Callable[[], Child]
    mqtt: Callable[[], Child]


@dataclass(frozen=True, slots=True)
class Beside:
    """What builds each entry that stands beside the chain; `control` is the API."""

    control: Callable[[], Child]
    devices: Callable[[], Child]
    quotas: Callable[[], Child]
    runs: Callable[[], Child]
    certificates: Callable[[], Child]
    doctor: Callable[[], Child]


def penstock(beside: Beside, stages: Stages) -> Supervisor:
    """The root of the tree. How long its drain may take as a whole is for the process to say (`lifecycle.py`)."""
    entries = [
        ChildSpec("control", lambda: _control(beside.control)),
        # Nothing depends on them: they may fail for as long as they like.
        ChildSpec("devices", beside.devices, resource=True),
        ChildSpec("quotas", beside.quotas, resource=True),
        ChildSpec("runs", beside.runs, resource=True),
        ChildSpec("chain", lambda: _chain(stages), shutdown=math.inf),
        # Likewise: what has expired is for those who connect to refuse.
        ChildSpec("certificates", beside.certificates, resource=True),
        # Likewise; the first to stop, so that it heals nothing that is to end.
        ChildSpec("doctor", beside.doctor, resource=True),
    ]
    return Supervisor("penstock", entries)


def _control(api: Callable[[], Child]) -> Supervisor:
    return Supervisor("control", [ChildSpec("api", api)], intensity=Intensity(limit=sys.maxsize))


def _chain(stages: Stages) -> Supervisor:
    entries = [
        ChildSpec("connectors", stages.connectors, shutdown=_STAGE_SECONDS),
        ChildSpec("partitions", stages.partitions, shutdown=_STAGE_SECONDS),
        ChildSpec("functions", stages.functions, shutdown=_STAGE_SECONDS),
        ChildSpec("groups", stages.groups, shutdown=_STAGE_SECONDS),
        ChildSpec("backlog", stages.backlog, shutdown=_STAGE_SECONDS),
        ChildSpec("tasks", stages.tasks, shutdown=_STAGE_SECONDS),
        ChildSpec("consumers", stages.consumers, shutdown=_STAGE_SECONDS),
        ChildSpec("sessions", stages.sessions, shutdown=_STAGE_SECONDS),
        ChildSpec("listeners", lambda: _listeners(stages), shutdown=_STAGE_SECONDS),
    ]
    return Supervisor("chain", entries, strategy=Strategy.REST_FOR_ONE)


def _listeners(stages: Stages) -> Supervisor:
    entries = [
        ChildSpec("lifecycle", stages.lifecycle, shutdown=_LIFECYCLE_SECONDS, resource=True),
        ChildSpec("conditions", stages.conditions, shutdown=_LIFECYCLE_SECONDS),
        ChildSpec("gateway", stages.gateway, shutdown=_STAGE_SECONDS),
        ChildSpec("topics", stages.topics, shutdown=_STAGE_SECONDS),
        ChildSpec("mqtt", stages.mqtt, shutdown=_STAGE_SECONDS),
    ]
    return Supervisor("listeners", entries)
