"""What a session decides about CONNECT: who may connect, as whom, with what, and what CONNACK says."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from actors.device_session.connection.keep_alive import KEEP_ALIVE_FACTOR
from actors.device_session.profile import MAX_RECEIVE, ListenerProfile
from actors.device_session.registry.sessions import Account, ClientKey
from actors.directory.directory import Directory
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, DisabledDevice, Identity
from actors.wire.mqtt.packets import MQTT_3_1, MQTT_5, SUPPORTED_LEVELS, Connect
from actors.wire.mqtt.properties import ConnackProperties
from actors.wire.mqtt.reasons import Reason

# MQTT 3.1.1 obliges a server to take 23 characters and lets it take more (3.1.3.1); a device's name has up to 128.
CLIENT_ID_CHARACTERS: Final = 256
_ANY_QOS: Final = 2
# The longest that CONNECT can ask for, in seconds (MQTT 5, 3.1.2.10).
MAX_KEEP_ALIVE: Final = 65_535


class Admission(NamedTuple):
    """Somebody who may log in.

    `assigned`: the client id in `key` was made here. `silence` is how long the client may be silent, in seconds.
    `server_keep_alive` is the keep alive that it is told to use in place of its own. `expiry` is how long its session
    is kept without a connection, in seconds.
    """

    identity: Identity
    key: ClientKey
    connect: Connect
    assigned: bool
    silence: float
    server_keep_alive: int | None
    expiry: int


class Refusal(NamedTuple):
    """What CONNACK says, and the reason for the operator."""

    code: Reason
    reason: str


Credentials = Identity | DisabledDevice | None
"""Who has shown which credentials; None for unknown names and wrong secrets alike."""


def refuse_form(connect: Connect, profile: ListenerProfile) -> Refusal | None:
    """What is refused whoever asks for it, before credentials are looked at."""
    if connect.level not in SUPPORTED_LEVELS:
        what = f"protocol level {connect.level}: this server speaks MQTT 3.1 (3), 3.1.1 (4) and 5.0 (5)"
        return Refusal(Reason.UNSUPPORTED_PROTOCOL_VERSION, what)
    if connect.authentication_method is not None:
        what = "enhanced authentication is asked for, and none is offered: use a user name and a secret"
        return Refusal(Reason.BAD_AUTHENTICATION_METHOD, what)
    if not connect.client_id and (connect.level == MQTT_3_1 or (connect.level < MQTT_5 and not connect.clean_start)):
        what = "an empty client id needs MQTT 3.1.1 and clean session 1 [MQTT-3.1.3-8], or MQTT 5"
        return Refusal(Reason.CLIENT_IDENTIFIER_NOT_VALID, what)
    if len(connect.client_id) > CLIENT_ID_CHARACTERS:
        what = f"a client id of more than {CLIENT_ID_CHARACTERS} characters"
        return Refusal(Reason.CLIENT_IDENTIFIER_NOT_VALID, what)
    if connect.will is not None and connect.will.qos > profile.maximum_qos:
        what = f"a will of QoS {connect.will.qos}; this listener takes {profile.maximum_qos} at most [MQTT5-3.2.2-12]"
        return Refusal(Reason.QOS_NOT_SUPPORTED, what)
    return None


def authenticate(connect: Connect, profile: ListenerProfile, directory: Directory, names: Sequence[str]) -> Credentials:
    """Whose credentials these are: a user name and a secret, a certificate, or on an anonymous listener nobody's.

    `names` are the devices, as `<product>/<device>`, for which the client's certificate speaks. One that brings a
    password is judged by that alone.
    """
    if connect.password is None and names:
        # Where it names several devices, the user name tells which of them the client is.
        return directory.certified(name for name in names if connect.username in (None, name))
    username = connect.username or ""
    if profile.anonymous is not None and not directory.has_user(username):
        return directory.passer_by(profile.anonymous, connect.client_id)
    return directory.authenticate(username, connect.password or b"")


def admit(connect: Connect, shown: Credentials, profile: ListenerProfile) -> Admission | Refusal:
    """Decide about a CONNECT that is well-formed, by the credentials it showed.

    A client id is free: it belongs to the account that uses it, so nobody can throw out another with it.
    """
    match shown:
        case None:
            return Refusal(Reason.BAD_USER_NAME_OR_PASSWORD, "unknown user name or wrong secret")
        case DisabledDevice(product, device):
            return Refusal(Reason.NOT_AUTHORIZED, f"the device {product}/{device} is disabled (`enabled: false`)")
        case DeviceIdentity() | AppIdentity() | AnonymousIdentity():
            return _admission(connect, shown, profile)
        case _:
            assert_never(shown)


def account_of(identity: Identity) -> Account:
    """The account under which sessions of this identity are kept."""
    match identity:
        case DeviceIdentity(product, device):
            return Account("device", f"{product}/{device}")
        case AppIdentity(app):
            return Account("app", app)
        case AnonymousIdentity(product):
            return Account("anonymous", product)
        case _:
            assert_never(identity)


def connack_properties(admission: Admission, profile: ListenerProfile) -> ConnackProperties:
    """What a client of MQTT 5 is told of this server and its session (3.2.2.3); what is as it expects is left out."""
    return ConnackProperties(
        session_expiry=admission.expiry if admission.expiry != admission.connect.session_expiry else None,
        receive_maximum=profile.receive_maximum if profile.receive_maximum < MAX_RECEIVE else None,
        maximum_qos=profile.maximum_qos if profile.maximum_qos < _ANY_QOS else None,
        max_packet_bytes=profile.max_packet_bytes,
        assigned_client_id=admission.key.client_id if admission.assigned else None,
        topic_alias_maximum=profile.topic_alias_maximum or None,
        server_keep_alive=admission.server_keep_alive,
    )


def _admission(connect: Connect, identity: Identity, profile: ListenerProfile) -> Admission:
    assigned = not connect.client_id
    client_id = connect.client_id or f"auto-{secrets.token_hex(10)}"
    if assigned and isinstance(identity, AnonymousIdentity):
        identity = AnonymousIdentity(identity.product, client_id)
    told = _server_keep_alive(connect, profile) if connect.level == MQTT_5 else None
    keep_alive = connect.keep_alive if told is None else told
    return Admission(
        identity=identity,
        key=ClientKey(account_of(identity), client_id),
        connect=connect,
        assigned=assigned,
        silence=keep_alive * KEEP_ALIVE_FACTOR or profile.max_keep_alive,
        server_keep_alive=told,
        expiry=min(connect.session_expiry, profile.session_expiry_max),
    )


def _server_keep_alive(connect: Connect, profile: ListenerProfile) -> int | None:
    """The keep alive that an MQTT 5 client is to use in place of its own [MQTT5-3.2.2-21]; None: its own is good."""
    if profile.server_keep_alive is not None:
        return profile.server_keep_alive if profile.server_keep_alive != connect.keep_alive else None
    # 0 asks for none, which is more than any.
    asked = connect.keep_alive or MAX_KEEP_ALIVE
    return profile.max_keep_alive if asked > profile.max_keep_alive else None
