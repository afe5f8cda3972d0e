"""MQTT: the bounds of sessions, and what is promised to those that outlive their connections."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.settings.listeners import MqttListen, MqttTlsListen, MqttWebSocketListen
from config.settings.section import Positive, Seconds, Section


class FailedLoginSettings(Section, frozen=True, kw_only=True):
    """When those who show wrong credentials are locked out. Times in seconds.

    So many within `window` lock one name from one address, and so many one address as a whole, for `lock`: never a
    name from everywhere, or anybody could lock out anybody.
    """

    attempts: Positive = 10
    attempts_per_address: Positive = 100
    window: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    lock: Annotated[float, msgspec.Meta(gt=0)] = 60.0


class MqttSettings(Section, frozen=True, kw_only=True):
    """Listeners for MQTT, and the bounds of a session. Sizes in bytes, times in seconds."""

    listen: MqttListen = MqttListen()
    tls: MqttTlsListen = MqttTlsListen()
    websocket: MqttWebSocketListen = MqttWebSocketListen()
    # To CONNECT, and before it to the end of the TLS and WebSocket handshakes.
    connect_timeout: Seconds = 10.0
    write_timeout: Seconds = 60.0
    # A client whose reports a topic's backlog policy rejects is left unacknowledged for so long, and then let go.
    refused_timeout: Seconds = 10.0
    # Over all listeners.
    max_connections: Positive = 20_000
    max_connections_per_address: Positive = 5_000
    # New connections a second. Over the first they wait to be accepted; over the second they are closed.
    connection_rate: Positive = 10_000
    connection_rate_per_address: Positive = 1_000
    # Not bounded by address: proxies, which speak for everybody, and this machine.
    trusted_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    failed_logins: FailedLoginSettings = FailedLoginSettings()
    max_packet_bytes: Positive = 1024 * 1024
    max_subscriptions: Positive = 1000
    inflight_bytes: Positive = 64 * 1024
    # What waits in memory for one subscriber: so much of QoS 0, and so much of QoS 1 and 2.
    outbox_bytes: Positive = 256 * 1024
    # A subscriber for which QoS 1 or 2 has to wait, and which takes nothing for so long, is let go.
    slow_subscriber_timeout: Seconds = 1.0
    # What waits on disk for one session that outlives its connections, and what happens to what is more: the oldest
    # goes, or the newest is not taken.
    offline_queue_messages: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 1000
    offline_queue_bytes: Positive = 1024 * 1024
    offline_queue_policy: Literal["drop_oldest", "refuse"] = "drop_oldest"
    # Retained messages of the whole instance; a new topic beyond them is refused.
    max_retained_messages: Positive = 100_000
    max_retained_bytes: Positive = 64 * 1024 * 1024
    # Events of who came and went that wait for one topic while it takes none: about 15,000 of them.
    lifecycle_bytes: Positive = 4 * 1024 * 1024
    # What one device may publish a second, over all of its connections; a burst of one second passes at once, and
    # beyond that its connections are read more slowly. 0: no limit.
    max_messages_per_second: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_bytes_per_second: Annotated[int, msgspec.Meta(ge=0)] = 0
    # A device that asks for no keep alive is let go once it has been silent for so long that its socket must be dead.
    max_keep_alive: Positive = 65_535


class SessionStoreSettings(Section, frozen=True, kw_only=True):
    """What persistent MQTT sessions promise, on disk. Sizes in bytes, times in seconds."""

    # All queues and retained messages together; what would pass it is refused.
    max_bytes: Positive = 4 * 1024 * 1024 * 1024
    mailbox_bytes: Positive = 4 * 1024 * 1024
    # How often it is written down where the partitions end: so much of them is searched after a crash.
    checkpoint_interval: Annotated[float, msgspec.Meta(ge=0.1)] = 5.0
