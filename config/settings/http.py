"""HTTP: the gateway, topics, and the control API."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.settings.listeners import ControlListen, GatewayHttpsListen, GatewayListen, TlsSettings, TopicsListen
from config.settings.section import Positive, Seconds, Section


class HttpSettings(Section, frozen=True, kw_only=True):
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


class AccessLogSettings(Section, frozen=True, kw_only=True):
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


class ControlSettings(Section, frozen=True, kw_only=True):
    """The control API."""

    listen: ControlListen = ControlListen()
    max_body_bytes: Positive = 16 * 1024 * 1024
    # How long a user's token opens routes, in seconds.
    user_token_seconds: Positive = 24 * 3600
