"""Who may publish and subscribe where."""

import pytest

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AppIdentity, DeviceIdentity
from actors.directory.rights import DeviceTopic, parse_topic
from config.resources import Product

LOT = DeviceIdentity("sensor", "lot-1", "city")
CITY = AppIdentity("city")
TOWN = AppIdentity("town")
STRANGER = AppIdentity("stranger")


@pytest.fixture
def directory() -> Directory:
    directory = Directory(lambda secret: secret)
    for name in ("city", "town", "stranger"):
        directory.put_app(AppEntry(name, f"{name}-key", b"s"))
    directory.put_product(Product(app="city", name="sensor", shared_with=("town",)))
    directory.put_product(Product(app="town", name="meter"))
    directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s"))
    directory.put_device(DeviceEntry("sensor", "lot-2", "city", b"s"))
    return directory


def test_a_device_publishes_its_own_reports_only(directory: Directory) -> None:
    """A device publishes to `<product>/out/<device>`, nothing else."""
    assert directory.rights(LOT).may_publish("sensor/out/lot-1")
    for topic in (
        "sensor/out/lot-2",
        "sensor/in/lot-1",
        "meter/out/lot-1",
        "sensor/out/lot-1/",
        "sensor/out/lot-1/x",
        "/sensor/out/lot-1",
        "sensor/out",
        "SENSOR/out/lot-1",
        "$SYS/out/lot-1",
        "x",
    ):
        assert not directory.rights(LOT).may_publish(topic), topic


def test_a_device_subscribes_to_what_is_sent_to_it_only(directory: Directory) -> None:
    """A device subscribes to `<product>/in/<device>`; no wildcard gives it more."""
    assert directory.rights(LOT).may_subscribe("sensor/in/lot-1")
    for topic_filter in (
        "#",
        "+/in/lot-1",
        "sensor/+/lot-1",
        "sensor/in/+",
        "sensor/in/#",
        "sensor/in/lot-1/#",
        "sensor/in/lot-2",
        "sensor/out/lot-1",
    ):
        assert not directory.rights(LOT).may_subscribe(topic_filter), topic_filter


@pytest.mark.parametrize("identity", [CITY, TOWN])
def test_an_app_stands_on_the_other_side(directory: Directory, identity: AppIdentity) -> None:
    """An app publishes to `in` and subscribes to `out` of its products and of those shared with it."""
    assert directory.rights(identity).may_publish("sensor/in/lot-1")
    assert directory.rights(identity).may_publish("sensor/in/not-yet-there")
    assert not directory.rights(identity).may_publish("sensor/out/lot-1")
    assert directory.rights(identity).may_publish("sensor/in/lot-1/reboot")
    assert not directory.rights(identity).may_publish("sensor/in")
    for topic_filter in ("sensor/out/+", "sensor/out/#", "sensor/out/lot-1", "sensor/out/+/#", "$share/g/sensor/out/+"):
        assert directory.rights(identity).may_subscribe(topic_filter), topic_filter


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "+/out/+",
        "+/out/lot-1",
        "sensor/#",
        "sensor/+/lot-1",
        "sensor/in/+",
        "nothing/out/+",
        "$share/g/#",
        "$share/g/sensor/in/+",
        "$share/sensor/out/+",
    ],
)
def test_no_filter_widens_what_an_app_sees(directory: Directory, topic_filter: str) -> None:
    """Product and direction are never wildcards."""
    assert not directory.rights(CITY).may_subscribe(topic_filter)


def test_other_apps_products_are_closed(directory: Directory) -> None:
    """An app has no right in a product of another app that is not shared with it."""
    assert not directory.rights(STRANGER).may_publish("sensor/in/lot-1")
    assert not directory.rights(STRANGER).may_subscribe("sensor/out/+")
    assert not directory.rights(CITY).may_publish("meter/in/m-1")
    assert not directory.rights(CITY).may_subscribe("meter/out/m-1")


def test_rights_end_with_what_they_rest_on(directory: Directory) -> None:
    """A disabled or deleted device, an app that is gone, and a share taken back have no rights left."""
    directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s", enabled=False))
    assert not directory.rights(LOT).may_publish("sensor/out/lot-1")
    assert not directory.rights(LOT).may_subscribe("sensor/in/lot-1")
    directory.put_product(Product(app="city", name="sensor"))
    assert not directory.rights(TOWN).may_publish("sensor/in/lot-1")
    assert not directory.rights(TOWN).may_subscribe("sensor/out/+")
    directory.remove("app", "city")
    assert not directory.rights(CITY).may_publish("sensor/in/lot-1")
    assert not directory.rights(CITY).may_subscribe("sensor/out/+")


@pytest.mark.parametrize(
    "topic", ["a/out/+", "+/in/x", "a/out/#", "a/sideways/x", "a/out", "a/out/", "/in/x", "a/in/b/c"]
)
def test_what_is_no_device_topic(topic: str) -> None:
    """Only three levels without wildcards, the middle one `in` or `out`, are a device's topic."""
    assert parse_topic(topic) is None


def test_parsing_a_device_topic_is_exact() -> None:
    """A device's topic comes apart and together again."""
    assert parse_topic("a/out/x") == DeviceTopic("a", "out", "x")
    assert str(DeviceTopic("a", "in", "x")) == "a/in/x"
