"""The composition root: lays the ground, makes the parts, and stands the tree upon them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actors.runtime.supervisor import Supervisor
from daemon.device_journal import DeviceJournal
from daemon.ground import laid
from daemon.management import Management
from daemon.parts import Parts
from daemon.quota_journal import QuotaJournal
from daemon.renewal import CertificateRenewal
from daemon.run_journal import RunJournal
from daemon.running import RunningEngine
from daemon.settings_in_force import SettingsInForce
from daemon.topology import Beside, Stages, penstock


@dataclass(frozen=True, slots=True)
class House:
    """One instance, ready to run: its tree, the engine that works on it, and the token of its control API.

    `renew_certificates` reads the certificates of all listeners anew, `reload_plugins` the plugin modules; they raise
    nothing.
    """

    root: Supervisor
    engine: RunningEngine
    token: str
    renew_certificates: Callable[[], Awaitable[None]]
    reload_plugins: Callable[[], Awaitable[None]]

    def addresses(self) -> Mapping[str, str]:
        """Bound addresses as host:port, by listener."""
        return self.engine.addresses()


@asynccontextmanager
async def opened(settings: SettingsInForce, data: Path, *, reissue_secrets: bool = False) -> AsyncIterator[House]:
    """Open stores, key and island, build everything on them, and close them at the end.

    With `reissue_secrets` a key that does not fit is accepted, and every secret forgotten (see `open_vault`).

    Raises:
        ConfigurationError: the key or the store cannot be used; says what to do.
        StorageError: the store cannot be opened.
    """
    async with laid(settings, data, reissue_secrets=reissue_secrets) as ground:
        parts = Parts(ground)
        house = _built(parts, Management(parts))
        parts.functions.remember(await ground.store.load_function_runs())
        yield house


def _built(parts: Parts, management: Management) -> House:
    """Load what nobody is told of by a stage of the tree, then build the tree."""
    stages = (parts.access, parts.identity_stage, parts.flow_stage, parts.function_stage, parts.routes, parts.domains)
    for stage in stages:
        stage.load(parts.catalog.resources())
    # Known only now: the catalog that makes topics needs the engine, and the engine the groups that ask for them.
    parts.consumers.make_topic = management.catalog_service.have_topic
    parts.access.remember(parts.ground.device_statuses)
    root = penstock(_beside(parts, management), _stages(parts))
    management.engine.attach(root)
    return House(
        root, management.engine, management.token, parts.renew_certificates, management.plugin_control.reload_quietly
    )


def _beside(parts: Parts, management: Management) -> Beside:
    return Beside(
        control=partial(parts.doors.control, management.control),
        devices=partial(DeviceJournal, parts.broker.statuses, parts.ground.store),
        quotas=partial(QuotaJournal, parts.flow.quotas, parts.ground.store),
        runs=partial(RunJournal, parts.functions.histories, parts.ground.store),
        certificates=partial(CertificateRenewal, parts.renew_certificates),
        doctor=parts.doctor.doctor,
    )


def _stages(parts: Parts) -> Stages:
    return Stages(
        connectors=parts.connections.supervisor,
        partitions=parts.topic_stage.supervisor,
        functions=parts.function_stage.supervisor,
        groups=parts.groups.supervisor,
        backlog=parts.backlog.supervisor,
        tasks=parts.tasks.tasks,
        consumers=parts.consumers.supervisor,
        sessions=parts.sessions.actor,
        lifecycle=lambda: parts.broker.lifecycle,
        conditions=lambda: parts.broker.conditions,
        gateway=parts.doors.gateway,
        topics=parts.doors.topics,
        mqtt=parts.doors.mqtt,
    )
