"""The daemon's settings: one frozen tree, whose defaults live here and only here."""

from __future__ import annotations

from typing import Literal

from config.settings.functions import FunctionSettings, JavaScriptSettings, PluginSettings
from config.settings.http import AccessLogSettings, ControlSettings, GatewaySettings, HttpSettings, TopicGatewaySettings
from config.settings.listeners import (
    Anonymous,
    ClientCertificates,
    ControlListen,
    GatewayHttpsListen,
    GatewayListen,
    Listener,
    MqttEndpoint,
    MqttListen,
    MqttTlsListen,
    MqttWebSocketListen,
    TlsSettings,
    TopicsListen,
)
from config.settings.mqtt import FailedLoginSettings, MqttSettings, SessionStoreSettings
from config.settings.section import AUTO, Seconds, Section
from config.settings.storage import GroupSettings, LogSettings, TaskSettings


class LoggingSettings(Section, frozen=True, kw_only=True):
    """`auto` writes coloured lines on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class KeySettings(Section, frozen=True, kw_only=True):
    """Where the instance key is: by default `DIR/instance.key`, else an environment variable or another file."""

    env: str | None = None
    file: str | None = None


class Settings(Section, frozen=True, kw_only=True):
    """Everything an operator may set for a daemon."""

    mqtt: MqttSettings = MqttSettings()
    gateway: GatewaySettings = GatewaySettings()
    topics: TopicGatewaySettings = TopicGatewaySettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()
    tasks: TaskSettings = TaskSettings()
    groups: GroupSettings = GroupSettings()
    functions: FunctionSettings = FunctionSettings()
    plugins: PluginSettings = PluginSettings()
    session_store: SessionStoreSettings = SessionStoreSettings()
    logging: LoggingSettings = LoggingSettings()
    instance_key: KeySettings = KeySettings()
    drain_seconds: Seconds = 20.0


__all__ = [
    "AUTO",
    "AccessLogSettings",
    "Anonymous",
    "ClientCertificates",
    "ControlListen",
    "ControlSettings",
    "FailedLoginSettings",
    "FunctionSettings",
    "GatewayHttpsListen",
    "GatewayListen",
    "GatewaySettings",
    "GroupSettings",
    "HttpSettings",
    "JavaScriptSettings",
    "KeySettings",
    "Listener",
    "LogSettings",
    "LoggingSettings",
    "MqttEndpoint",
    "MqttListen",
    "MqttSettings",
    "MqttTlsListen",
    "MqttWebSocketListen",
    "PluginSettings",
    "SessionStoreSettings",
    "Settings",
    "TaskSettings",
    "TlsSettings",
    "TopicGatewaySettings",
    "TopicsListen",
]
