"""The ways in to the MQTT broker: where each is, what is spoken there, and what it asks of clients."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from actors.device_session.profile import ListenerProfile
from actors.errors import ConfigurationError
from config.settings import ClientCertificates, MqttEndpoint, MqttSettings
from daemon.listeners.mqtt_streams import SocketBytes
from daemon.listeners.mqtt_websocket import upgrade
from daemon.listeners.tls import ServerTls

TCP: Final = "mqtt"
TLS: Final = "mqtts"
WEBSOCKET: Final = "mqtt_websocket"
NAMES: Final = (TCP, TLS, WEBSOCKET)
"""What their addresses go by."""

Opening = Callable[[SocketBytes], Awaitable[trio.abc.Stream]]
"""Takes a connection through its handshakes; BrokenResourceError, with the reason, where that fails."""
MakeTls = Callable[[ClientCertificates, str, str], ServerTls]
"""The TLS of a listener, of its settings, their section, and the host where it listens."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """One listener: its `name` in addresses and logs, the `section` of its settings, and what comes before MQTT there.

    `opening` is None where a connection is MQTT from its first byte; `tls` is loaded before any is taken.
    """

    name: str
    section: str
    endpoint: MqttEndpoint
    profile: ListenerProfile
    opening: Opening | None = None
    tls: ServerTls | None = None

    def check_anonymous(self, host: str) -> None:
        """Refuse to let in clients without credentials from other machines, unless that is said to be meant.

        Raises:
            ConfigurationError: `host`, where it is bound, is no address of loopback.
        """
        anonymous = self.endpoint.anonymous
        if anonymous is None or anonymous.force or ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            return
        raise ConfigurationError(
            f"{self.section}.anonymous: everybody who reaches {host} would be let in without a password, and may do "
            f"what the acl of the product {anonymous.product} allows: listen on 127.0.0.1, or write `force: true` "
            "beside `product` if that is meant"
        )


def tcp_entrance(settings: MqttSettings) -> Entrance:
    """MQTT over TCP."""
    endpoint = settings.listen
    return Entrance(TCP, "mqtt.listen", endpoint, profile_of(settings, endpoint, TCP))


def entrances(settings: MqttSettings, make_tls: MakeTls) -> tuple[Entrance, ...]:
    """All that are enabled."""
    all_of_them = (tcp_entrance(settings), _tls_entrance(settings, make_tls), _websocket_entrance(settings, make_tls))
    return tuple(entrance for entrance in all_of_them if entrance.endpoint.enabled)


def profile_of(settings: MqttSettings, endpoint: MqttEndpoint, name: str) -> ListenerProfile:
    """What a listener asks of its clients; what it leaves open is as it is for all."""
    return ListenerProfile(
        max_packet_bytes=endpoint.max_packet_bytes or settings.max_packet_bytes,
        max_keep_alive=endpoint.max_keep_alive or settings.max_keep_alive,
        server_keep_alive=endpoint.server_keep_alive,
        receive_maximum=endpoint.receive_maximum,
        topic_alias_maximum=endpoint.topic_alias_maximum,
        maximum_qos=endpoint.maximum_qos,
        session_expiry_max=endpoint.session_expiry_max,
        anonymous=endpoint.anonymous.product if endpoint.anonymous is not None else None,
        name=name,
    )


def _tls_entrance(settings: MqttSettings, make_tls: MakeTls) -> Entrance:
    endpoint = settings.tls
    tls = make_tls(endpoint.certificates(), "mqtt.tls", endpoint.host)
    return Entrance(TLS, "mqtt.tls", endpoint, profile_of(settings, endpoint, TLS), partial(_open_tls, tls), tls)


def _websocket_entrance(settings: MqttSettings, make_tls: MakeTls) -> Entrance:
    endpoint = settings.websocket
    tls = None if endpoint.tls is None else make_tls(endpoint.tls, "mqtt.websocket.tls", endpoint.host)
    profile = profile_of(settings, endpoint, WEBSOCKET)
    opening = partial(_open_websocket, tls, endpoint.path, profile.max_packet_bytes)
    return Entrance(WEBSOCKET, "mqtt.websocket", endpoint, profile, opening, tls)


async def _open_tls(tls: ServerTls, connection: SocketBytes) -> trio.abc.Stream:
    return await connection.over_tls(tls.context)


async def _open_websocket(
    tls: ServerTls | None, path: str, max_packet_bytes: int, connection: SocketBytes
) -> trio.abc.Stream:
    transport = connection if tls is None else await connection.over_tls(tls.context)
    try:
        return await upgrade(transport, path, max_packet_bytes)
    except BaseException:
        await trio.aclose_forcefully(transport)
        raise
