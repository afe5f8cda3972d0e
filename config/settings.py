"""The daemon's settings: one frozen tree, whose defaults live here and only here."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

AUTO = "auto"
"""A certificate, or an authority, that the daemon makes itself."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Listener(_Section, frozen=True, kw_only=True):
    """Where a listener is bound; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: Port = 0


class TlsSettings(_Section, frozen=True, kw_only=True):
    """A listener's certificate chain and private key, PEM files; a path that is not absolute is in the data folder.

    `certificate: auto` is a certificate of the instance's own authority (`DIR/ca`), made and renewed by the daemon; it
    is for localhost, the address that is listened at, this machine's name, and `names`.
    """

    certificate: Annotated[str, msgspec.Meta(min_length=1)] = AUTO
    key: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.certificate == AUTO and self.key is not None:
            raise ValueError("`key` belongs to a certificate of your own; `certificate: auto` brings its key along")
        if self.certificate != AUTO and not self.key:
            raise ValueError("the certificate's private key is missing: set `key` (or `certificate: auto`)")


class ClientCertificates(TlsSettings, frozen=True, kw_only=True):
    """TLS that knows clients by their certificates.

    `client_ca` is whose certificates are believed: a PEM file, or `auto` for the instance's own authority. One who
    shows none logs in with a password, unless a certificate is `required`.
    """

    client_ca: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    client_certificate: Literal["optional", "required"] = "optional"

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        super().__post_init__()
        if self.client_certificate == "required" and self.client_ca is None:
            raise ValueError("`client_certificate: required` needs `client_ca`: whose certificates are believed")


class Anonymous(_Section, frozen=True, kw_only=True):
    """Clients without credentials are let in as passing devices of a product, and under its acl.

    At an address that others than this machine reach, only where `force` says that this is meant.
    """

    product: Annotated[str, msgspec.Meta(min_length=1)]
    force: bool = False


class MqttEndpoint(Listener, frozen=True, kw_only=True):
    """A listener for MQTT, with the limits of the protocol for those who come by it. Times in seconds.

    What is null is as it says in `mqtt`. `server_keep_alive` is told to MQTT 5 clients in place of what they asked for.
    """

    enabled: bool = True
    max_keep_alive: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    server_keep_alive: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    receive_maximum: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 1024
    topic_alias_maximum: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 32
    maximum_qos: Annotated[int, msgspec.Meta(ge=0, le=2)] = 2
    session_expiry_max: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)] = 7 * 24 * 3600
    max_packet_bytes: Positive | None = None
    anonymous: Anonymous | None = None


# A type each, so that a listener keeps its own port where only its host is written.
class MqttListen(MqttEndpoint, frozen=True, kw_only=True):
    """Where devices and apps connect by MQTT over TCP."""

    port: Port = 1883


class MqttTlsListen(MqttEndpoint, frozen=True, kw_only=True):
    """Where devices and apps connect by MQTT over TLS; the certificates as in `ClientCertificates`."""

    port: Port = 8883
    certificate: Annotated[str, msgspec.Meta(min_length=1)] = AUTO
    key: str | None = None
    names: tuple[str, ...] = ()
    client_ca: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    client_certificate: Literal["optional", "required"] = "optional"

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        self.certificates()

    def certificates(self) -> ClientCertificates:
        """What TLS is served with."""
        return ClientCertificates(
            certificate=self.certificate,
            key=self.key,
            names=self.names,
            client_ca=self.client_ca,
            client_certificate=self.client_certificate,
        )


class MqttWebSocketListen(MqttEndpoint, frozen=True, kw_only=True):
    """Where devices, apps and browsers connect by MQTT over WebSocket; over TLS (`wss`) where `tls` is set."""

    port: Port = 8083
    path: Annotated[str, msgspec.Meta(pattern="^/")] = "/mqtt"
    tls: ClientCertificates | None = None


class FailedLoginSettings(_Section, frozen=True, kw_only=True):
    """When those who show wrong credentials are locked out. Times in seconds.

    So many within `window` lock one name from one address, and so many one address as a whole, for `lock`: never a
    name from everywhere, or anybody could lock out anybody.
    """

    attempts: Positive = 10
    attempts_per_address: Positive = 100
    window: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    lock: Annotated[float, msgspec.Meta(gt=0)] = 60.0


class GatewayListen(Listener, frozen=True, kw_only=True):
    """Where routes are served over HTTP.

    `public_port` is the one that callers use where it is another, as behind a port forward: it stands in URLs.
    """

    enabled: bool = True
    port: Port = 8080
    public_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None


class GatewayHttpsListen(Listener, frozen=True, kw_only=True):
    """Where routes are served over HTTPS; `enabled: false` switches it off.

    A domain with a certificate is shown that one. Those that have none, and callers that ask for no name, are shown the
    one that is set here, as in `TlsSettings`. `public_port` as in `listen`; those who are redirected go there.
    """

    enabled: bool = True
    port: Port = 8443
    public_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    certificate: Annotated[str, msgspec.Meta(min_length=1)] = AUTO
    key: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        self.certificates()

    def certificates(self) -> TlsSettings:
        """What TLS is served with by default."""
        return TlsSettings(certificate=self.certificate, key=self.key, names=self.names)


class TopicsListen(Listener, frozen=True, kw_only=True):
    """Where topics are served over HTTP."""

    port: Port = 9292


class ControlListen(Listener, frozen=True, kw_only=True):
    """Where the control API is served."""

    port: Port = 8090


class MqttSettings(_Section, frozen=True, kw_only=True):
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


class HttpSettings(_Section, frozen=True, kw_only=True):
    """Bounds of an HTTP connection and request. Sizes in bytes, times in seconds."""

    max_connections: Positive = 10_000
    header_line_bytes: Positive = 32 * 1024
    header_bytes: Positive = 128 * 1024
    uri_bytes: Positive = 32 * 1024
    body_bytes: Positive = 12 * 1024 * 1024
    # All request bodies that are in memory at a time, and likewise all long answers; what would pass it gets 503.
    bodies_bytes: Positive = 256 * 1024 * 1024
    header_timeout: Seconds = 15.0
    body_timeout: Seconds = 60.0
    keep_alive_timeout: Seconds = 75.0
    write_timeout: Seconds = 60.0


class AccessLogSettings(_Section, frozen=True, kw_only=True):
    """One line for each call of the gateway: for all of them, none, or those chosen.

    Chosen are errors (status 400 and more), calls that took `slow_ms`, and one in `sample` of the others (0: none), at
    most `max_per_second`; what is left out is counted. `query` adds query strings, which may hold what is secret.
    """

    lines: Literal["chosen", "all", "none"] = "chosen"
    slow_ms: Positive = 1000
    sample: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100
    max_per_second: Positive = 1000
    query: bool = False


class GatewaySettings(HttpSettings, frozen=True, kw_only=True):
    """The gateway: routes. The bounds of connections are those of both listeners together."""

    listen: GatewayListen = GatewayListen()
    https: GatewayHttpsListen = GatewayHttpsListen()
    max_rows: Positive = 10_000
    max_result_bytes: Positive = 16 * 1024 * 1024
    access_log: AccessLogSettings = AccessLogSettings()
    # Answers that all routes keep in their caches.
    cache_bytes: Positive = 256 * 1024 * 1024
    # Callers that one throttle tells apart at a time; who called least recently is forgotten, if not exhausted.
    throttle_keys: Positive = 20_000
    # Routes with series of their own on the metrics page; those applied later are summed up.
    measured_routes: Positive = 1000
    # Networks that outgoing calls may reach although they are loopback, link-local or a cloud's metadata.
    outgoing_networks: tuple[str, ...] = ()


class TopicGatewaySettings(HttpSettings, frozen=True, kw_only=True):
    """Topics over HTTP. Sizes in bytes, times in seconds."""

    listen: TopicsListen = TopicsListen()
    # Over TLS, where it is set.
    tls: TlsSettings | None = None
    # A bulk, decompressed.
    bulk_bytes: Positive = 32 * 1024 * 1024
    # How long a producer is held by a slow disk or a backlog policy, before it is told to come back.
    publish_wait: Seconds = 10.0
    # A message that was delivered so often without being confirmed goes to the group's dead-letter topic.
    max_deliveries: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    # Messages of one group that are handed out or wait to be again, and bytes of them that are kept in memory.
    max_unconfirmed: Positive = 10_000
    fetch_ahead_bytes: Positive = 1024 * 1024
    # At records that are damaged on disk a group waits for a person, or leaves them out, counts them, and goes on.
    on_damage: Literal["stop", "skip"] = "stop"
    # How many of a topic's last records are searched for what a numbered producer sends again.
    producer_window: Positive = 100_000


class ControlSettings(_Section, frozen=True, kw_only=True):
    """The control API."""

    listen: ControlListen = ControlListen()
    max_body_bytes: Positive = 16 * 1024 * 1024
    # How long a user's token opens routes, in seconds.
    user_token_seconds: Positive = 24 * 3600


class LogSettings(_Section, frozen=True, kw_only=True):
    """The on-disk log. Sizes in bytes, times in seconds."""

    segment_bytes: Positive = 256 * 1024 * 1024
    segment_seconds: Positive = 24 * 3600
    index_interval_bytes: Positive = 4096
    mailbox_bytes: Positive = 4 * 1024 * 1024
    flush_interval: Seconds = 0.5
    retention_interval: Seconds = 60.0
    # Free space kept for offsets and metadata: whichever of the two is larger.
    reserve_bytes: int = 64 * 1024 * 1024
    reserve_percent: float = 1.0


class TaskSettings(_Section, frozen=True, kw_only=True):
    """Task runners. Sizes in bytes, times in seconds."""

    fetch_bytes: Positive = 1024 * 1024
    batch_rows: Positive = 5_000
    retry_initial: Seconds = 0.2
    retry_max: Seconds = 30.0


class GroupSettings(_Section, frozen=True, kw_only=True):
    """Consumer groups. Times in seconds."""

    # A member that says nothing for so long is thrown out, and others get its partitions.
    session_timeout: Annotated[float, msgspec.Meta(ge=1)] = 30.0
    # How often the bytes and the age of what waits are looked up.
    sample_interval: Annotated[float, msgspec.Meta(ge=0.1)] = 5.0
    # Groups of HTTP consumers come into being when they are first asked for: there are at most so many.
    max_http_groups: Positive = 1000


class SessionStoreSettings(_Section, frozen=True, kw_only=True):
    """What persistent MQTT sessions promise, on disk. Sizes in bytes, times in seconds."""

    # All queues and retained messages together; what would pass it is refused.
    max_bytes: Positive = 4 * 1024 * 1024 * 1024
    mailbox_bytes: Positive = 4 * 1024 * 1024
    # How often it is written down where the partitions end: so much of them is searched after a crash.
    checkpoint_interval: Annotated[float, msgspec.Meta(ge=0.1)] = 5.0


class LoggingSettings(_Section, frozen=True, kw_only=True):
    """`auto` writes coloured lines on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class KeySettings(_Section, frozen=True, kw_only=True):
    """Where the instance key is: by default `DIR/instance.key`, else an environment variable or another file."""

    env: str | None = None
    file: str | None = None


class Settings(_Section, frozen=True, kw_only=True):
    """Everything an operator may set for a daemon."""

    mqtt: MqttSettings = MqttSettings()
    gateway: GatewaySettings = GatewaySettings()
    topics: TopicGatewaySettings = TopicGatewaySettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()
    tasks: TaskSettings = TaskSettings()
    groups: GroupSettings = GroupSettings()
    session_store: SessionStoreSettings = SessionStoreSettings()
    logging: LoggingSettings = LoggingSettings()
    instance_key: KeySettings = KeySettings()
    drain_seconds: Seconds = 20.0
