"""The listeners of one instance: how each is made, and where it is bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from actors.device_session.broker import Broker
from actors.gateway_route.gateway import Gateway
from actors.topic_gateway.gateway import TopicGateway
from config.settings import GatewaySettings, Listener, Settings, TlsSettings
from daemon.authority import CertificateAuthority
from daemon.control.app import create_app
from daemon.control.context import Control
from daemon.control.listener import ControlListener
from daemon.listeners.domain_tls import HTTP_1_1, DomainTls
from daemon.listeners.http import HttpEntrance, HttpListener
from daemon.listeners.http_service import HttpStatistics
from daemon.listeners.mqtt import MqttListener
from daemon.listeners.mqtt_entrances import TCP, TLS, WEBSOCKET, entrances
from daemon.listeners.tls import ServerTls

GATEWAY = "gateway"
HTTPS = "gateway_https"
"""What the addresses of the gateway's listeners go by."""

# Sessions acknowledge what gets stored, for so long; then they are cut off. Less than what the stage has to drain.
_SESSIONS_DRAIN_SECONDS = 10.0


class Door(Protocol):
    """A listener that knows where its entrances are bound, once they are."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its entrances."""

    def address_of(self, name: str, /) -> str:
        """host:port of an entrance."""


D = TypeVar("D", bound=Door)
L = TypeVar("L", bound=Listener)


class Addresses(Mapping[str, str]):
    """host:port of each listener, by name, as it is bound now."""

    def __init__(self) -> None:
        self._bound: dict[str, Callable[[], str]] = {}

    def __getitem__(self, name: str) -> str:
        return self._bound[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._bound)

    def __len__(self) -> int:
        return len(self._bound)

    def keep(self, name: str, address: Callable[[], str]) -> None:
        """Ask this for the address of the listener of that name from now on."""
        self._bound[name] = address

    def again(self, name: str, listen: L) -> L:
        """Where to bind: a listener that starts anew takes the port that it had, also where port 0 picked it."""
        before = self.get(name)
        if not before:
            return listen
        return msgspec.structs.replace(listen, port=int(before.rpartition(":")[2]))


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
        authority: CertificateAuthority,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        """Make them for these; `draining` is called when the sessions of devices begin to drain."""
        self.addresses = Addresses()
        self._settings = settings
        self._broker = broker
        self._gateway = gateway
        self._topic_gateway = topics
        self._data = data
        self._draining = draining
        self._authority = authority
        self._tls: dict[str, ServerTls] = {}
        https = settings.gateway.https
        self.domain_tls = DomainTls(self._make_tls(https.certificates(), "gateway.https", https.host, HTTP_1_1))
        """What the gateway's HTTPS is served with."""
        self._http: HttpListener | None = None
        self._topics: HttpListener | None = None

    def mqtt(self) -> MqttListener:
        """Devices and apps, over MQTT."""
        mqtt, again = self._settings.mqtt, self.addresses.again
        settings = msgspec.structs.replace(
            mqtt,
            listen=again(TCP, mqtt.listen),
            tls=again(TLS, mqtt.tls),
            websocket=again(WEBSOCKET, mqtt.websocket),
        )
        listener = MqttListener(
            settings,
            self._broker,
            entrances(settings, self._make_tls),
            drain_seconds=_SESSIONS_DRAIN_SECONDS,
            draining=self._draining,
        )
        return self._kept_all(listener)

    def gateway(self) -> HttpListener:
        """Callers of routes, over HTTP and HTTPS."""
        settings, gateway = self._settings.gateway, self._gateway
        self._http = HttpListener(self._gateway_entrances(settings), settings, gateway.handle, refuse=gateway.refuse)
        return self._kept_all(self._http)

    def topics(self) -> HttpListener:
        """Producers and consumers over HTTP."""
        settings, gateway = self._settings.topics, self._topic_gateway
        gateway.open()
        listen, tls = self.addresses.again("topics", settings.listen), None
        if settings.tls is not None:
            tls = self._make_tls(settings.tls, "topics.tls", listen.host, protocols=HTTP_1_1)
        entrance = HttpEntrance(listen, "topics", "topics.listen", tls)
        self._topics = HttpListener([entrance], settings, gateway.handle, refuse=gateway.refuse, draining=gateway.drain)
        return self._kept_all(self._topics)

    def control(self, control: Control) -> ControlListener:
        """The control API."""
        settings = self._settings.control
        again = msgspec.structs.replace(settings, listen=self.addresses.again("control", settings.listen))
        listener = ControlListener(again, create_app(control), draining=control.drain)
        self.addresses.keep("control", lambda: listener.address)
        return listener

    def device_addresses(self) -> Mapping[str, str]:
        """Where devices connect: `address` is host:port for MQTT, `tls` for MQTT over TLS; `websocket` is a URL."""
        websocket = self._settings.mqtt.websocket
        bound = self.addresses.get(WEBSOCKET)
        scheme = "ws" if websocket.tls is None else "wss"
        found = {
            "address": self.addresses.get(TCP),
            "tls": self.addresses.get(TLS),
            "websocket": f"{scheme}://{bound}{websocket.path}" if bound else None,
        }
        return {name: address for name, address in found.items() if address}

    async def renew_certificates(self) -> None:
        """Read the certificates of all listeners anew, and make those that the daemon makes itself where it is time."""
        for tls in tuple(self._tls.values()):
            await tls.reload()

    def _kept_all(self, door: D) -> D:
        for name in door.names:
            self.addresses.keep(name, partial(door.address_of, name))
        return door

    def _gateway_entrances(self, settings: GatewaySettings) -> Iterator[HttpEntrance]:
        http, https = settings.listen, settings.https
        if http.enabled:
            yield HttpEntrance(self.addresses.again(GATEWAY, http), GATEWAY, "gateway.listen")
        if https.enabled:
            yield HttpEntrance(self.addresses.again(HTTPS, https), HTTPS, "gateway.https", self.domain_tls)

    def _make_tls(self, settings: TlsSettings, section: str, host: str, protocols: Sequence[str] = ()) -> ServerTls:
        # A listener that starts anew finds its own again: what was served before is served on where it must be.
        if section not in self._tls:
            self._tls[section] = ServerTls(
                settings, self._data, section, host=host, authority=self._authority, protocols=protocols
            )
        return self._tls[section]

    def http_statistics(self) -> HttpStatistics:
        """What the gateway's connections have seen."""
        return self._http.statistics() if self._http is not None else HttpStatistics()

    def topics_statistics(self) -> HttpStatistics:
        """What the topic gateway's connections have seen."""
        return self._topics.statistics() if self._topics is not None else HttpStatistics()
