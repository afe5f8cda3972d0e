"""Every part of an instance, made once from those that it is handed: who knows whom, in one place."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cached_property

from actors.device_session.broker import Broker, open_broker
from actors.directory.directory import Directory
from actors.directory.users import Users
from actors.functions.javascript_program import JavaScript
from actors.functions.library import Functions
from actors.functions.reach import Reach
from actors.gateway_route.auth.access_lists import AccessLists
from actors.gateway_route.auth.authorizers import Authorizers
from actors.gateway_route.auth.compile import Identities
from actors.gateway_route.auth.grants import Grants
from actors.gateway_route.auth.jwks import KeySets
from actors.gateway_route.flow.control import FlowControl
from actors.gateway_route.gateway import Gateway
from actors.http_calls.address_guard import AddressGuard
from actors.ports import ResultLimits
from actors.session_store.reference import SessionStoreReference
from actors.topic_gateway.gateway import TopicGateway
from actors.topic_partition.topic import Topics
from config.load import resolve_secret
from config.resources.base import SecretReference
from daemon.audit import AuditLog
from daemon.authority import CertificateAuthority
from daemon.catalog.credentials import Credentials
from daemon.doors import HTTPS, Doors
from daemon.function_reach import FunctionRecords, FunctionRights
from daemon.ground import Ground
from daemon.key_sources import KeySources
from daemon.outgoing import OutgoingHttp
from daemon.programs import LanguagePrograms
from daemon.publishing.urls import PublicAddresses, port_of
from daemon.script_connections import ScriptConnections
from daemon.stages.access import Access
from daemon.stages.backlog import BacklogStage
from daemon.stages.connections import Connections
from daemon.stages.doctor import DoctorStage
from daemon.stages.domains import DomainStage
from daemon.stages.flow import FlowStage
from daemon.stages.functions import FunctionStage
from daemon.stages.groups import GroupStage
from daemon.stages.identities import IdentityStage
from daemon.stages.records import RouteRecords
from daemon.stages.routes import RouteStage
from daemon.stages.sessions import SessionStage
from daemon.stages.tasks import TaskStage
from daemon.stages.topic_gateway import HttpGroupStage, topic_gateway
from daemon.stages.topics import TopicStage
from plugins.api import Host


class Parts:
    """Each part is made when it is first asked for, and asks for those that it needs: the order is never written down.

    What stands here knows its neighbours by what they are handed, and nothing of how they are made.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.settings = ground.settings.now
        self.catalog = ground.catalog

    # --- what devices and callers are, and what they may do ----------------------------------------------------------

    @cached_property
    def credentials(self) -> Credentials:
        """Secrets of resources, as whoever checks or uses them needs them."""
        return Credentials(self.catalog, self.ground.vault, resolve)

    @cached_property
    def access(self) -> Access:
        """Apps, products, devices and rules for those who connect by MQTT."""
        return Access(self.broker, self.credentials, self.flow.quotas)

    @cached_property
    def identities(self) -> Identities:
        """Who may call routes."""
        guard = AddressGuard(self.settings.gateway.outgoing_networks)
        return Identities(
            apps=self.broker.directory,
            users=Users(self.credentials.digest),
            grants=Grants(),
            access_lists=AccessLists(),
            keys=KeySets(KeySources(self.ground.data, guard), time.monotonic),
            authorizers=Authorizers(self.functions),
        )

    @cached_property
    def identity_stage(self) -> IdentityStage:
        """Users, grants and access lists as they are applied."""
        return IdentityStage(self.identities, self.credentials)

    # --- the path of a message ---------------------------------------------------------------------------------------

    @cached_property
    def topics(self) -> Topics:
        """The topics that there are now."""
        return Topics()

    @cached_property
    def journal(self) -> SessionStoreReference:
        """Where sessions write down what they promise."""
        return SessionStoreReference()

    @cached_property
    def broker(self) -> Broker:
        """What all MQTT sessions share."""
        return open_broker(
            self.settings.mqtt, Directory(self.credentials.digest), self.topics, self.journal, self.functions
        )

    @cached_property
    def sessions(self) -> SessionStage:
        """The store of sessions that outlive their connections."""
        return SessionStage(self.ground.sessions, self.journal, self.broker, self.topics, self.settings.session_store)

    @cached_property
    def connections(self) -> Connections:
        """The living connectors."""
        return Connections(self.ground.plugins.connectors, self.credentials, self.host, self.catalog)

    @cached_property
    def host(self) -> Host:
        """What connectors are handed."""
        return Host(self.ground.data, self.ground.island)

    @cached_property
    def topic_stage(self) -> TopicStage:
        """Topics as they are applied."""
        return TopicStage(self.topics, self.catalog, self.settings.log, self.ground.data)

    @cached_property
    def groups(self) -> GroupStage:
        """Consumer groups: of tasks, and of HTTP consumers."""
        ground = self.ground
        return GroupStage(self.catalog, self.topics, ground.store, self.settings.groups, ground.http_groups)

    @cached_property
    def tasks(self) -> TaskStage:
        """Tasks as they are applied."""
        return TaskStage(
            self.catalog, self.topics, self.connections, self.groups, self.settings.tasks, functions=self.functions
        )

    # --- functions ---------------------------------------------------------------------------------------------------

    @cached_property
    def functions(self) -> Functions:
        """Functions by name."""
        settings = self.settings.functions
        return Functions(self.programs, self._reach, settings.kept_runs, kept_bytes=settings.kept_log_bytes)

    @cached_property
    def programs(self) -> LanguagePrograms:
        """What makes code of them that can be called."""
        return LanguagePrograms(self.ground.plugins, self.javascript)

    @cached_property
    def javascript(self) -> JavaScript:
        """What runs scripts."""
        return JavaScript(self.settings.functions.javascript)

    @cached_property
    def function_stage(self) -> FunctionStage:
        """Functions as they are applied and deployed."""
        return FunctionStage(
            self.functions,
            self.catalog,
            self.ground.publications,
            outgoing=self.outgoing,
            scripts=self.script_connections,
            javascript=self.javascript,
        )

    @cached_property
    def outgoing(self) -> OutgoingHttp:
        """Calls of functions to other systems."""
        guard = AddressGuard(self.settings.gateway.outgoing_networks)
        return OutgoingHttp(guard, self.settings.functions.max_http_bytes)

    @cached_property
    def script_connections(self) -> ScriptConnections:
        """Databases that scripts name by URL."""
        settings = self.settings.functions
        connectors = self.ground.plugins.connectors
        return ScriptConnections(
            settings.script_connections,
            connectors,
            self.host,
            self._query_limits,
            most=settings.script_databases,
            most_of_an_app=settings.script_databases_per_app,
        )

    @property
    def _reach(self) -> Reach:
        rights = FunctionRights(self.catalog)
        settings = self.settings.functions
        return Reach(
            rights=rights,
            connections=self.connections,
            records=FunctionRecords(self.topics, self.settings.topics.publish_wait),
            outgoing=self.outgoing,
            scripts=self.script_connections,
            positional=rights.positional,
            query_limits=self._query_limits,
            max_log_bytes=settings.run_log_bytes,
            max_publish_bytes=settings.max_publish_bytes,
        )

    @property
    def _query_limits(self) -> ResultLimits:
        return ResultLimits(self.settings.functions.max_rows, self.settings.functions.max_query_bytes)

    # --- backlog -----------------------------------------------------------------------------------------------------

    @cached_property
    def audit(self) -> AuditLog:
        """What the daemon, or somebody, did on purpose."""
        return AuditLog(self.ground.store)

    @cached_property
    def backlog(self) -> BacklogStage:
        """Policies of topics, and what is brought home."""
        ground = self.ground
        return BacklogStage(
            self.catalog, self.topics, self.groups, ground.store, audit=self.audit, homecomings=ground.homecomings
        )

    @cached_property
    def doctor(self) -> DoctorStage:
        """Why things lag, and what helps."""
        rows = self.settings.tasks.batch_rows
        return DoctorStage(self.groups, self.tasks, self.audit, rows, topics=self.topics, catalog=self.catalog)

    # --- over HTTP ---------------------------------------------------------------------------------------------------

    @cached_property
    def consumers(self) -> HttpGroupStage:
        """Groups of HTTP consumers."""
        return HttpGroupStage(self.catalog, self.topics, self.groups, self.settings.topics)

    @cached_property
    def over_http(self) -> TopicGateway:
        """Topics over HTTP."""
        return topic_gateway(
            apps=self.broker.directory,
            catalog=self.catalog,
            topics=self.topics,
            consumers=self.consumers,
            key=self.ground.vault.handler_key,
            settings=self.settings.topics,
        )

    @cached_property
    def flow(self) -> FlowControl:
        """Throttles, quotas, caches and the access log of routes."""
        flow = FlowControl(self.settings.gateway)
        flow.quotas.restore(self.ground.quota_uses)
        return flow

    @cached_property
    def flow_stage(self) -> FlowStage:
        """Throttles as they are applied."""
        return FlowStage(self.flow.throttles)

    @cached_property
    def gateway(self) -> Gateway:
        """Routes."""
        records = RouteRecords(self.topics, self.settings.topics)
        return Gateway(
            self.identities,
            self.connections,
            self.settings.gateway,
            self.flow,
            records,
            https_port=lambda: port_of(HTTPS, self.public_addresses),
            functions=self.functions,
        )

    @cached_property
    def routes(self) -> RouteStage:
        """Routes as they are published."""
        return RouteStage(self.gateway, self.catalog, self.ground.publications)

    @cached_property
    def authority(self) -> CertificateAuthority:
        """The instance's own certificate authority."""
        return CertificateAuthority(self.ground.data)

    @cached_property
    def doors(self) -> Doors:
        """The listeners."""
        ground = self.ground
        return Doors(
            self.settings,
            ground.data,
            self.broker,
            self.gateway,
            self.over_http,
            authority=self.authority,
            draining=self.backlog.let_drain,
        )

    @cached_property
    def domains(self) -> DomainStage:
        """API groups under their domains, and the certificates of these."""
        return DomainStage(self.routes, self.doors.domain_tls, self.catalog, self.credentials)

    async def renew_certificates(self) -> None:
        """Read anew the certificates of all listeners and domains; raises nothing."""
        await self.doors.renew_certificates()
        await self.domains.renew()

    @cached_property
    def public_addresses(self) -> Mapping[str, str]:
        """Where callers find the listeners."""
        return PublicAddresses(self.doors.addresses, self.settings.gateway)


def resolve(reference: SecretReference) -> str:
    """A secret that is written as a reference; empty where there is none."""
    return resolve_secret(reference, os.environ) or ""
