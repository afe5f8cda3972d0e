"""What a session decides: who may connect and with what, and which subscriptions are granted."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple, assert_never

from actors.device_session.sessions import Account, ClientKey
from actors.directory.directory import Directory
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, DisabledDevice, Identity
from actors.directory.rights import may_subscribe
from actors.errors import PenstockError
from actors.wire.mqtt import encode
from actors.wire.mqtt.packets import (
    MQTT_3_1,
    MQTT_3_1_1,
    Auth,
    Connect,
    Disconnect,
    Malformed,
    Pingreq,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
)

# MQTT 3.1.1 obliges a server to take 23 characters and lets it take more (3.1.3.1); a device's name has up to 128.
CLIENT_ID_CHARACTERS: Final = 256
# A server lets a client go that is silent for one and a half times its keep alive (MQTT-3.1.2-24).
KEEP_ALIVE_FACTOR: Final = 1.5
_MAX_QOS: Final = 1


Violation = Connect | Pubrec | Pubrel | Pubcomp | Auth | Malformed
"""What nobody who is logged in may send here."""

Control = Puback | Pingreq | Subscribe | Unsubscribe | Disconnect | Violation
"""Every packet but PUBLISH."""


class ProtocolViolationError(PenstockError):
    """The client sent what the protocol or this server does not allow; its connection is closed."""


class ClientLeftError(PenstockError):
    """The client ended the connection; says how."""


class Admission(NamedTuple):
    """Somebody who may log in; `silence` is how long it may be silent, in seconds."""

    identity: Identity
    key: ClientKey
    level: int
    silence: float


class Refusal(NamedTuple):
    """A CONNACK code other than 0, and the reason for the operator."""

    code: int
    reason: str


def admit(connect: Connect, directory: Directory, max_silence: float) -> Admission | Refusal:
    """Decide about a CONNECT; `max_silence` (seconds) is for clients that ask for no keep alive.

    A device's client id is free: it belongs to the account that uses it, so nobody can throw out another with it.
    """
    refusal = _refuse_form(connect)
    if refusal is not None:
        return refusal
    if connect.username is None or connect.password is None:
        return Refusal(encode.BAD_USERNAME_OR_PASSWORD, "no user name or no password")
    identity = directory.authenticate(connect.username, connect.password)
    match identity:
        case None:
            return Refusal(encode.BAD_USERNAME_OR_PASSWORD, "unknown user name or wrong secret")
        case DisabledDevice(product, device):
            return Refusal(encode.NOT_AUTHORIZED, f"the device {product}/{device} is disabled (`enabled: false`)")
        case DeviceIdentity() | AppIdentity():
            key = ClientKey(account_of(identity), connect.client_id or f"auto-{secrets.token_hex(10)}")
            silence = connect.keep_alive * KEEP_ALIVE_FACTOR or max_silence
            return Admission(identity, key, connect.level, silence)
        case _:
            assert_never(identity)


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


def grant(identity: Identity, topic_filter: str, wanted: int, directory: Directory) -> int | None:
    """The QoS granted to a filter: at most 1. None where the client has no right to it."""
    return min(wanted, _MAX_QOS) if may_subscribe(identity, topic_filter, directory) else None


def refusal_code(level: int, wanted: int) -> int:
    """What SUBACK says of a filter that is not granted.

    MQTT 3.1 has no code for that: its client hears the QoS that it asked for, and is delivered nothing.
    """
    return min(wanted, _MAX_QOS) if level == MQTT_3_1 else encode.SUBSCRIPTION_FAILED


def violation(packet: Violation) -> str:
    """Why the connection is closed for this packet."""
    match packet:
        case Malformed(reason):
            return reason
        case Connect():
            return "a second CONNECT [MQTT-3.1.0-2]"
        case Auth():
            return "AUTH without an authentication method in CONNECT [MQTT5-4.12.0-7]"
        case Pubrec() | Pubrel() | Pubcomp():
            return "QoS 2 is not supported yet: nothing of it was under way"
        case _:
            assert_never(packet)


def _refuse_form(connect: Connect) -> Refusal | None:
    """What is refused whoever asks for it."""
    if connect.level not in (MQTT_3_1, MQTT_3_1_1):
        return Refusal(
            encode.UNACCEPTABLE_PROTOCOL_VERSION,
            f"protocol level {connect.level}: this server speaks MQTT 3.1 (3) and 3.1.1 (4)",
        )
    if not connect.client_id and (connect.level == MQTT_3_1 or not connect.clean_start):
        return Refusal(encode.IDENTIFIER_REJECTED, "an empty client id needs MQTT 3.1.1 and clean session 1")
    if len(connect.client_id) > CLIENT_ID_CHARACTERS:
        return Refusal(encode.IDENTIFIER_REJECTED, f"a client id of more than {CLIENT_ID_CHARACTERS} characters")
    if connect.will:
        return Refusal(encode.SERVER_UNAVAILABLE, "a will is not supported yet: connect without one")
    if not connect.clean_start:
        return Refusal(encode.SERVER_UNAVAILABLE, "persistent sessions are not supported yet: set clean session to 1")
    return None
