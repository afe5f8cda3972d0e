"""Whose credentials a CONNECT shows."""

from __future__ import annotations

import pytest

from actors.device_session.core import authenticate
from actors.device_session.profile import ListenerProfile
from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity
from actors.wire.mqtt.packets import MQTT_5, Connect
from config.resources import Product

OPEN = ListenerProfile(anonymous="visitors")
PASSER_BY = AnonymousIdentity("visitors", "phone")


@pytest.fixture
def directory() -> Directory:
    made = Directory(lambda secret: b"digest of " + secret)
    made.put_app(AppEntry("city", "city-key", b"digest of secret"))
    for product in ("sensor", "visitors"):
        made.put_product(Product(app="city", name=product))
    made.put_device(DeviceEntry("sensor", "lot-1", "city", b"digest of secret"))
    return made


@pytest.mark.parametrize("username", [None, "", "somebody", "sensor/lot-2", "a/b/c"])
def test_whose_name_is_nobodys_passes_by(directory: Directory, username: str | None) -> None:
    """On an anonymous listener a client is unknown whatever it calls itself, and whatever password it sends."""
    for password in (None, b"anything"):
        connect = Connect(MQTT_5, "phone", username=username, password=password)
        assert authenticate(connect, OPEN, directory, ()) == PASSER_BY
        assert authenticate(connect, ListenerProfile(), directory, ()) is None


@pytest.mark.parametrize(
    ("username", "identity"),
    [("sensor/lot-1", DeviceIdentity("sensor", "lot-1", "city")), ("city-key", AppIdentity("city"))],
)
def test_whose_name_is_somebodys_shows_a_secret(directory: Directory, username: str, identity: object) -> None:
    """Nobody passes by under the name of a device or an app, and these are themselves on such a listener too."""
    right = Connect(MQTT_5, "phone", username=username, password=b"secret")
    assert authenticate(right, OPEN, directory, ()) == identity
    for password in (b"wrong", None):
        assert authenticate(Connect(MQTT_5, "phone", username=username, password=password), OPEN, directory, ()) is None
