"""The composition root: opens what lies beneath the tree, makes every part, and hands each what it needs."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import trio

from actors.backlog.homecoming import Homecoming
from actors.device_session.broker import open_broker
from actors.directory.directory import Directory
from actors.directory.users import Users
from actors.gateway_route.auth.access_lists import AccessLists
from actors.gateway_route.auth.compile import Identities
from actors.gateway_route.auth.grants import Grants
from actors.gateway_route.auth.jwks import KeySets
from actors.gateway_route.flow.control import FlowControl
from actors.gateway_route.flow.quotas import QuotaUse
from actors.gateway_route.gateway import Gateway
from actors.http_calls.address_guard import AddressGuard
from actors.runtime.supervisor import Supervisor
from actors.topic_partition.topic import Topics
from actors.topic_tail.tails import Tails
from config.load import resolve_secret
from config.resources.base import SecretReference
from daemon.audit import AuditLog
from daemon.backup import Backup
from daemon.catalog.catalog import Catalog
from daemon.catalog.credentials import Credentials
from daemon.catalog.service import CatalogService
from daemon.control.backlog import backlog_family
from daemon.control.context import About, Control, Family
from daemon.control.groups import groups_family
from daemon.control.homecomings import homecomings_family
from daemon.control.outsiders import Outsiders
from daemon.control.publishing import publishing_family
from daemon.control.tail import tail_family
from daemon.control.top import top_family
from daemon.control.topics import topics_family
from daemon.control.user_tokens import user_tokens_family
from daemon.device_journal import DeviceJournal, restore
from daemon.doors import Doors
from daemon.groups import GroupControl
from daemon.island import Island
from daemon.key_sources import KeySources
from daemon.measures import Measures
from daemon.messages import TopicMessages
from daemon.publishing.catch_up import published
from daemon.publishing.documents import Documents
from daemon.publishing.planning import Verify
from daemon.publishing.publications import Publications
from daemon.publishing.service import Publishing
from daemon.quota_journal import QuotaJournal
from daemon.running import RunningEngine
from daemon.settings_in_force import SettingsInForce
from daemon.stages.access import Access
from daemon.stages.backlog import BacklogStage
from daemon.stages.connections import Connections
from daemon.stages.doctor import DoctorStage
from daemon.stages.flow import FlowStage
from daemon.stages.groups import GroupStage
from daemon.stages.identities import IdentityStage
from daemon.stages.records import RouteRecords
from daemon.stages.routes import RouteStage
from daemon.stages.tasks import TaskStage
from daemon.stages.topic_gateway import HttpGroupStage, topic_gateway
from daemon.stages.topics import TopicStage
from daemon.store.model import DeviceStatus, Store
from daemon.store.sqlite import SqliteStore
from daemon.top.watch import Watch
from daemon.topic_measures import TopicMeasures
from daemon.topology import Stages, penstock
from daemon.user_tokens import UserTokens
from daemon.vault import Vault, key_path, open_vault
from plugins.api import Host
from plugins.loader import Connectors, load_connectors


@dataclass(frozen=True, slots=True)
class House:
    """One instance, ready to run: its tree, the engine that works on it, and the token of its control API."""

    root: Supervisor
    engine: RunningEngine
    token: str

    def addresses(self) -> Mapping[str, str]:
        """Bound addresses as host:port, by listener."""
        return self.engine.addresses()


@dataclass(frozen=True, slots=True)
class _Ground:
    """What lies beneath the tree."""

    settings: SettingsInForce
    data: Path
    store: Store
    vault: Vault
    catalog: Catalog
    connectors: Connectors
    island: Island
    http_groups: Mapping[str, str]
    homecomings: Sequence[Homecoming]
    publications: Publications
    quota_uses: Sequence[QuotaUse]


@asynccontextmanager
async def opened(settings: SettingsInForce, data: Path, *, reissue_secrets: bool = False) -> AsyncIterator[House]:
    """Open store, key and island, build everything on them, and close them at the end.

    With `reissue_secrets` a key that does not fit is accepted, and every secret forgotten (see `open_vault`).

    Raises:
        ConfigurationError: the key or the store cannot be used; says what to do.
        StorageError: the store cannot be opened.
    """
    store = await SqliteStore.open(data)
    try:
        key = settings.now.instance_key
        vault = await open_vault(store, key, data, os.environ, reissue=reissue_secrets)
        catalog = Catalog(await store.load_all())
        connectors = await trio.to_thread.run_sync(load_connectors)
        instance = await store.instance()
        known = await store.load_device_status()
        http_groups = await store.load_http_groups()
        homecomings = await store.load_homecomings()
        publications = await published(store, catalog)
        quota_uses = await store.load_quota_uses()
        async with Island() as island:
            ground = _Ground(
                settings,
                data,
                store,
                vault,
                catalog,
                connectors,
                island,
                http_groups,
                homecomings,
                publications,
                quota_uses,
            )
            yield _build(ground, instance.id, known)
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


def _build(ground: _Ground, instance: str, known: Iterable[DeviceStatus]) -> House:
    settings, catalog, data = ground.settings.now, ground.catalog, ground.data
    credentials = Credentials(catalog, ground.vault, _resolve)
    topics = Topics()
    broker = open_broker(settings.mqtt, Directory(credentials.digest), topics)
    restore(broker.statuses, known)
    flow = FlowControl(settings.gateway)
    flow.quotas.restore(ground.quota_uses)
    access = Access(broker, credentials, flow.quotas)
    connections = Connections(ground.connectors, credentials, Host(data, ground.island), catalog)
    topic_stage = TopicStage(topics, catalog, settings.log, data)
    groups = GroupStage(catalog, topics, ground.store, settings.groups, ground.http_groups)
    tasks = TaskStage(catalog, topics, connections, groups, settings.tasks)
    identities = Identities(
        apps=broker.directory,
        users=Users(credentials.digest),
        grants=Grants(),
        access_lists=AccessLists(),
        keys=KeySets(KeySources(data, AddressGuard(settings.gateway.outgoing_networks)), time.monotonic),
    )
    identity_stage = IdentityStage(identities, credentials)
    gateway = Gateway(identities, connections, settings.gateway, flow, RouteRecords(topics, settings.topics))
    flow_stage = FlowStage(flow.throttles)
    routes = RouteStage(gateway, catalog, ground.publications)
    audit = AuditLog(ground.store)
    backlog = BacklogStage(catalog, topics, groups, ground.store, audit=audit, homecomings=ground.homecomings)
    consumers = HttpGroupStage(catalog, topics, groups, settings.topics)
    over_http = topic_gateway(
        apps=broker.directory,
        catalog=catalog,
        topics=topics,
        consumers=consumers,
        key=ground.vault.handler_key,
        settings=settings.topics,
    )
    doctor = DoctorStage(groups, tasks, audit, settings.tasks.batch_rows)
    doors = Doors(settings, data, broker, gateway, over_http, draining=backlog.let_drain)
    measures = TopicMeasures(over_http, consumers, doors.topics_statistics)
    engine = RunningEngine(
        backup=Backup(data, key_path(settings.instance_key, data), ground.store, connections, topic_stage),
        access=access,
        connections=connections,
        topics=topic_stage,
        groups=groups,
        backlog=backlog,
        tasks=tasks,
        routes=routes,
        identities=identity_stage,
        flow=flow_stage,
        measures=Measures(broker, topics, tasks, gateway, doors, doctor, measures),
        addresses=doors.addresses,
    )
    for stage in (access, identity_stage, flow_stage, routes):
        stage.load(catalog.resources())
    token = secrets.token_urlsafe(32)
    watch = Watch(
        broker=broker,
        topics=topics,
        groups=groups,
        tasks=tasks,
        gateway=gateway,
        catalog=catalog,
        root=lambda: engine.root,
    )
    families = (
        groups_family(GroupControl(groups, topics, catalog, connections)),
        homecomings_family(backlog),
        backlog_family(doctor),
        topics_family(TopicMessages(topics, catalog, audit)),
        tail_family(Tails(topics)),
        top_family(watch),
    )
    documents = Documents(catalog, ground.publications, doors.addresses)
    control = _control(
        ground,
        engine,
        instance,
        token,
        verify=gateway.trial,
        outsiders=Outsiders(broker.directory, identities.users),
        families=lambda service: (
            *families,
            user_tokens_family(UserTokens(identities.users, settings.control.user_token_seconds)),
            publishing_family(Publishing(service, ground.store, gateway, audit), documents),
        ),
    )
    consumers.make_topic = control.service.have_topic
    stages = Stages(
        connectors=connections.supervisor,
        partitions=topic_stage.supervisor,
        groups=groups.supervisor,
        backlog=backlog.supervisor,
        tasks=tasks.tasks,
        consumers=consumers.supervisor,
        gateway=doors.gateway,
        topics=doors.topics,
        mqtt=doors.mqtt,
    )
    devices = partial(DeviceJournal, broker.statuses, ground.store)
    quotas = partial(QuotaJournal, flow.quotas, ground.store)
    root = penstock(partial(doors.control, control), devices, quotas, stages, doctor.doctor)
    engine.attach(root)
    return House(root, engine, token)


def _control(
    ground: _Ground,
    engine: RunningEngine,
    instance: str,
    token: str,
    *,
    verify: Verify,
    outsiders: Outsiders,
    families: Callable[[CatalogService], Sequence[Family]],
) -> Control:
    service = CatalogService(
        catalog=ground.catalog,
        store=ground.store,
        vault=ground.vault,
        engine=engine,
        connectors=ground.connectors,
        resolve=_resolve,
        publications=ground.publications,
        verify=verify,
    )
    about = About(
        instance=instance,
        version=version("penstock"),
        data=ground.data.resolve(),
        settings=ground.settings,
    )
    return Control(
        engine,
        service,
        about,
        token,
        ground.settings.now.control.max_body_bytes,
        families(service),
        outsiders.knows,
    )


def _resolve(reference: SecretReference) -> str:
    return resolve_secret(reference, os.environ) or ""
