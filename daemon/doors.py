"""The listeners of one instance: how each is made, and where it is bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from actors.device_session.broker import Broker
from actors.gateway_route.gateway import Gateway
from actors.topic_gateway.gateway import TopicGateway
from config.settings import Listener, Settings, TlsSettings
from daemon.control.app import create_app
from daemon.control.context import Control
from daemon.control.listener import ControlListener
from daemon.listeners.http import HttpListener
from daemon.listeners.http_service import HttpStatistics
from daemon.listeners.mqtt import MqttListener
from daemon.listeners.tls import ServerTls

# Sessions acknowledge what gets stored, for so long; then they are cut off. Less than what the stage has to drain.
_SESSIONS_DRAIN_SECONDS = 10.0


class Door(Protocol):
    """A listener that knows where it is bound, once it is."""

    @property
    def address(self) -> str:
        """host:port."""


D = TypeVar("D", bound=Door)


class Addresses(Mapping[str, str]):
    """host:port of each listener, by name, as it is bound now."""

    def __init__(self) -> None:
        self._doors: dict[str, Door] = {}

    def __getitem__(self, name: str) -> str:
        return self._doors[name].address

    def __iter__(self) -> Iterator[str]:
        return iter(self._doors)

    def __len__(self) -> int:
        return len(self._doors)

    def keep(self, name: str, door: D) -> D:
        """This is the listener of that name from now on."""
        self._doors[name] = door
        return door

    def again(self, name: str, listen: Listener) -> Listener:
        """Where to bind: a listener that starts anew takes the port that it had, also where port 0 picked it."""
        before = self._doors.get(name)
        if before is None or not before.address:
            return listen
        return msgspec.structs.replace(listen, port=int(before.address.rpartition(":")[2]))


class Doors:
    """Makes a listener for each of its lives."""

    def __init__(
        self,
        settings: Settings,
        data: Path,
        broker: Broker,
        gateway: Gateway,
        topics: TopicGateway,
        *,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        """Make them for these; `draining` is called when the sessions of devices begin to drain."""
        self.addresses = Addresses()
        self._settings = settings
        self._broker = broker
        self._gateway = gateway
        self._topic_gateway = topics
        self._gateway_tls = _tls(settings.gateway.tls, data, "gateway")
        self._topics_tls = _tls(settings.topics.tls, data, "topics")
        self._draining = draining
        self._http: HttpListener | None = None
        self._topics: HttpListener | None = None

    def mqtt(self) -> MqttListener:
        """Devices and apps, over MQTT."""
        mqtt = self._settings.mqtt
        settings = msgspec.structs.replace(mqtt, listen=self.addresses.again("mqtt", mqtt.listen))
        listener = MqttListener(settings, self._broker, drain_seconds=_SESSIONS_DRAIN_SECONDS, draining=self._draining)
        return self.addresses.keep("mqtt", listener)

    def gateway(self) -> HttpListener:
        """Callers of routes."""
        settings = self._settings.gateway
        listen = self.addresses.again("gateway", settings.listen)
        handle, refuse = self._gateway.handle, self._gateway.refuse
        self._http = HttpListener(listen, settings, handle, refuse=refuse, tls=self._gateway_tls)
        return self.addresses.keep("gateway", self._http)

    def topics(self) -> HttpListener:
        """Producers and consumers over HTTP."""
        settings, gateway = self._settings.topics, self._topic_gateway
        gateway.open()
        self._topics = HttpListener(
            self.addresses.again("topics", settings.listen),
            settings,
            gateway.handle,
            refuse=gateway.refuse,
            name="topics",
            tls=self._topics_tls,
            draining=gateway.drain,
        )
        return self.addresses.keep("topics", self._topics)

    def control(self, control: Control) -> ControlListener:
        """The control API."""
        settings = self._settings.control
        again = msgspec.structs.replace(settings, listen=self.addresses.again("control", settings.listen))
        return self.addresses.keep("control", ControlListener(again, create_app(control), draining=control.drain))

    async def reload_certificates(self) -> None:
        """Read the files of TLS anew, for the connections to come; where they are of no use, what was read stays."""
        for tls in (self._gateway_tls, self._topics_tls):
            if tls is not None:
                await tls.reload()

    def http_statistics(self) -> HttpStatistics:
        """What the gateway's connections have seen."""
        return self._http.statistics() if self._http is not None else HttpStatistics()

    def topics_statistics(self) -> HttpStatistics:
        """What the topic gateway's connections have seen."""
        return self._topics.statistics() if self._topics is not None else HttpStatistics()


def _tls(settings: TlsSettings | None, data: Path, section: str) -> ServerTls | None:
    return None if settings is None else ServerTls(settings, data, section)
