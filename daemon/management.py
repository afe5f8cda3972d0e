"""What manages the parts of an instance: the engine, the catalog, measures, backup, and the control API over them."""

from __future__ import annotations

import secrets
from functools import cached_property
from importlib.metadata import version

from actors.topic_tail.tails import Tails
from daemon.backup import Backup
from daemon.catalog.service import CatalogService
from daemon.control.authority import authority_family
from daemon.control.backlog import backlog_family
from daemon.control.context import About, Control, Family
from daemon.control.functions import functions_family
from daemon.control.groups import groups_family
from daemon.control.homecomings import homecomings_family
from daemon.control.outsiders import Outsiders
from daemon.control.plugins import plugins_family
from daemon.control.publishing import publishing_family
from daemon.control.sessions import sessions_family
from daemon.control.tail import tail_family
from daemon.control.top import top_family
from daemon.control.topics import topics_family
from daemon.control.user_tokens import user_tokens_family
from daemon.function_measures import FunctionMeasures
from daemon.groups import GroupControl
from daemon.measures import Measures
from daemon.messages import TopicMessages
from daemon.parts import Parts, resolve
from daemon.plugin_control import PluginControl
from daemon.publishing.documents import Documents
from daemon.publishing.functions import FunctionLife
from daemon.publishing.service import Publishing
from daemon.running import RunningEngine
from daemon.session_measures import SessionMeasures
from daemon.sessions import SessionControl
from daemon.top.watch import Watch
from daemon.topic_measures import TopicMeasures
from daemon.user_tokens import UserTokens
from daemon.vault import key_path


class Management:
    """Made as `Parts` is, of which it knows all, and which know nothing of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.token = secrets.token_urlsafe(32)

    @cached_property
    def plugin_control(self) -> PluginControl:
        """Plugin modules, read anew while they are in use."""
        parts = self._parts
        return PluginControl(parts.ground.plugins, parts.catalog, parts.function_stage, self.engine)

    @cached_property
    def measures(self) -> Measures:
        """What the metrics page shows."""
        parts = self._parts
        topics = TopicMeasures(parts.over_http, parts.consumers, parts.doors.topics_statistics)
        sessions = SessionMeasures(parts.broker, parts.journal)
        functions = FunctionMeasures(parts.functions, parts.javascript, parts.settings.functions.measured_functions)
        return Measures(
            parts.broker,
            parts.topics,
            parts.tasks,
            parts.gateway,
            parts.doors,
            parts.doctor,
            topics,
            sessions,
            functions,
        )

    @cached_property
    def backup(self) -> Backup:
        """A copy of it all while it runs."""
        parts, ground = self._parts, self._parts.ground
        key = key_path(parts.settings.instance_key, ground.data)
        return Backup(
            ground.data,
            key,
            ground.store,
            sessions=ground.sessions,
            connections=parts.connections,
            topics=parts.topic_stage,
            plugins=ground.data / parts.settings.plugins.path,
        )

    @cached_property
    def engine(self) -> RunningEngine:
        """What follows the changes of resources."""
        parts = self._parts
        return RunningEngine(
            backup=self.backup,
            access=parts.access,
            connections=parts.connections,
            topics=parts.topic_stage,
            groups=parts.groups,
            backlog=parts.backlog,
            functions=parts.function_stage,
            tasks=parts.tasks,
            routes=parts.routes,
            identities=parts.identity_stage,
            flow=parts.flow_stage,
            domains=parts.domains,
            measures=self.measures,
            addresses=parts.doors.addresses,
            public_addresses=parts.public_addresses,
            device_addresses=parts.doors.device_addresses,
        )

    @cached_property
    def catalog_service(self) -> CatalogService:
        """Applies, deletes and shows resources."""
        parts = self._parts
        return CatalogService(
            catalog=parts.catalog,
            store=parts.ground.store,
            vault=parts.ground.vault,
            engine=self.engine,
            connectors=parts.ground.plugins.connectors,
            resolve=resolve,
            publications=parts.ground.publications,
            verify=parts.gateway.trial,
            verify_function=parts.programs.verify,
        )

    @cached_property
    def watch(self) -> Watch:
        """What `penstock top` shows."""
        parts = self._parts
        return Watch(
            broker=parts.broker,
            topics=parts.topics,
            groups=parts.groups,
            tasks=parts.tasks,
            consumers=parts.consumers,
            gateway=parts.gateway,
            over_http=parts.over_http,
            catalog=parts.catalog,
            session_store=parts.journal,
            root=lambda: self.engine.root,
        )

    @cached_property
    def control(self) -> Control:
        """What the control API works on."""
        parts, ground = self._parts, self._parts.ground
        about = About(
            instance=ground.instance,
            version=version("penstock"),
            data=ground.data.resolve(),
            settings=ground.settings,
        )
        return Control(
            self.engine,
            self.catalog_service,
            about,
            self.token,
            parts.settings.control.max_body_bytes,
            self._families(),
            Outsiders(parts.broker.directory, parts.identities.users).knows,
        )

    def _families(self) -> tuple[Family, ...]:
        parts = self._parts
        documents = Documents(parts.catalog, parts.ground.publications, parts.public_addresses)
        publishing = Publishing(self.catalog_service, parts.ground.store, parts.gateway, parts.audit)
        return (
            groups_family(
                GroupControl(
                    parts.groups,
                    parts.topics,
                    parts.catalog,
                    parts.connections,
                    parts.audit,
                )
            ),
            homecomings_family(parts.backlog),
            backlog_family(parts.doctor),
            topics_family(TopicMessages(parts.topics, parts.catalog, parts.audit)),
            sessions_family(SessionControl(parts.broker)),
            tail_family(Tails(parts.topics)),
            top_family(self.watch),
            authority_family(parts.authority),
            user_tokens_family(UserTokens(parts.identities.users, parts.settings.control.user_token_seconds)),
            publishing_family(publishing, documents),
            functions_family(FunctionLife(self.catalog_service, parts.ground.store, parts.functions, parts.audit)),
            plugins_family(self.plugin_control),
        )
