"""Where the daemon listens, and the certificates that it shows there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.settings.section import AUTO, Port, Positive, Section


class Listener(Section, frozen=True, kw_only=True):
    """Where a listener is bound; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: Port = 0


class TlsSettings(Section, frozen=True, kw_only=True):
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


class Anonymous(Section, frozen=True, kw_only=True):
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
