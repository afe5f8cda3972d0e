"""What the access control lists of products let devices, passers-by and apps do."""

from __future__ import annotations

from typing import Any

import pytest

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity
from config.resources import AclEntry, Product

LOT = DeviceIdentity("sensor", "lot-1", "city")
CITY = AppIdentity("city")
TOWN = AppIdentity("town")
PASSER_BY = AnonymousIdentity("sensor", "phone")

EXAMPLE = (
    AclEntry(deny="subscribe", topic="private/#"),
    AclEntry(allow="publish", topic="${productId}/out/${deviceId}/#"),
    AclEntry(allow="all", topic="open/#"),
)


def build(*acl: AclEntry, **more: Any) -> Directory:
    directory = Directory(lambda secret: secret)
    for name in ("city", "town"):
        directory.put_app(AppEntry(name, f"{name}-key", b"s"))
    directory.put_product(Product(app="city", name="sensor", acl=acl, **more))
    directory.put_product(Product(app="town", name="meter"))
    directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s"))
    return directory


def allow(topic: str, action: Any = "all") -> AclEntry:
    return AclEntry(allow=action, topic=topic)


def deny(topic: str, action: Any = "all") -> AclEntry:
    return AclEntry(deny=action, topic=topic)


def test_the_standard_example() -> None:
    """Entries add to what devices have by default: below their own topic, and what is open to all."""
    directory = build(*EXAMPLE)
    for topic in ("sensor/out/lot-1", "sensor/out/lot-1/a/b", "open", "open/x"):
        assert directory.rights(LOT).may_publish(topic), topic
    for topic in ("sensor/out/lot-2/a", "private/x", "sensor/in/lot-1", "sensor/out/lot-1x"):
        assert not directory.rights(LOT).may_publish(topic), topic
    for topic_filter in ("sensor/in/lot-1", "open/#", "open/+/x"):
        assert directory.rights(LOT).may_subscribe(topic_filter), topic_filter
    for topic_filter in ("private/#", "private/x", "sensor/out/lot-1/#", "#", "+/x", "ope"):
        assert not directory.rights(LOT).may_subscribe(topic_filter), topic_filter


def test_an_empty_list_allows_nothing_beyond_the_default() -> None:
    """Without entries: the device's own two topics."""
    directory = build()
    assert directory.rights(LOT).may_publish("sensor/out/lot-1")
    assert directory.rights(LOT).may_subscribe("sensor/in/lot-1")
    for topic in ("sensor/out/lot-1/x", "open/x", "x", "$SYS/x", "sensor/out/lot-2"):
        assert not directory.rights(LOT).may_publish(topic)
        assert not directory.rights(LOT).may_subscribe(topic)


def test_the_first_match_wins() -> None:
    """An entry decides before all that follow it, whichever of the two words it says; defaults come last."""
    directory = build(deny("a/b"), allow("a/#"), deny("a/c"))
    assert not directory.rights(LOT).may_publish("a/b")
    assert directory.rights(LOT).may_publish("a/c")
    shut = build(deny("sensor/out/#", "publish"), allow("sensor/out/lot-1"))
    assert not shut.rights(LOT).may_publish("sensor/out/lot-1")
    assert shut.rights(LOT).may_subscribe("sensor/in/lot-1")
    ended = build(allow("${productId}/out/${deviceId}"), deny("#"))
    assert ended.rights(LOT).may_publish("sensor/out/lot-1")
    assert not ended.rights(LOT).may_subscribe("sensor/in/lot-1")


def test_an_entry_speaks_of_its_action_alone() -> None:
    """Publish and subscribe are told apart."""
    directory = build(allow("up", "publish"), allow("down", "subscribe"), deny("both", "publish"), allow("both"))
    assert directory.rights(LOT).may_publish("up")
    assert not directory.rights(LOT).may_subscribe("up")
    assert directory.rights(LOT).may_subscribe("down")
    assert not directory.rights(LOT).may_publish("down")
    assert directory.rights(LOT).may_subscribe("both")
    assert not directory.rights(LOT).may_publish("both")


def test_a_wildcard_filter_is_granted_only_where_one_entry_covers_all_of_it() -> None:
    """A filter is more than a text: what it can match must be allowed, whatever it looks like."""
    directory = build(allow("a/+/c"), allow("b/#"))
    for good in ("a/+/c", "a/x/c", "b/#", "b/+", "b/+/#", "b"):
        assert directory.rights(LOT).may_subscribe(good), good
    for bad in ("a/#", "a/+", "a/+/+", "a/+/#", "+/x/c", "#", "+/#", "+"):
        assert not directory.rights(LOT).may_subscribe(bad), bad


def test_what_an_earlier_entry_denies_is_not_delivered_through_a_wider_filter() -> None:
    """A filter of which a part is denied is granted; of that part nothing is ever delivered."""
    directory = build(deny("private/#", "subscribe"), deny("+/secret"), allow("#"))
    assert directory.rights(LOT).may_subscribe("#")
    assert directory.rights(LOT).may_subscribe("+/x")
    assert directory.rights(LOT).may_receive("public/x")
    for topic in ("private", "private/x", "private/x/y", "public/secret", "/secret"):
        assert not directory.rights(LOT).may_receive(topic), topic
    assert not directory.rights(LOT).may_subscribe("private/+")
    assert not directory.rights(LOT).may_subscribe("+/secret")


def test_shared_subscriptions_are_judged_by_their_filter() -> None:
    """[MQTT5-4.8.2-1] `$share/<group>/<filter>` needs the right to the filter, and its group is no level of it."""
    directory = build(allow("open/#"))
    assert directory.rights(LOT).may_subscribe("$share/g/open/#")
    assert directory.rights(LOT).may_subscribe("$share/g/sensor/in/lot-1")
    for bad in ("$share/open/#", "$share/g/#", "$share/g/private", "$share/open", "$share/g/", "$share//open/x"):
        assert not directory.rights(LOT).may_subscribe(bad), bad


def test_dollar_topics_need_an_entry_that_names_them() -> None:
    """[MQTT-4.7.2-1] A leading wildcard grants nothing that begins with `$`."""
    wide = build(allow("#"), allow("+/x"))
    for topic in ("$SYS/x", "$x", "$data/x"):
        assert not wide.rights(LOT).may_publish(topic)
        assert not wide.rights(LOT).may_receive(topic)
    named = build(allow("$data/#"))
    assert named.rights(LOT).may_publish("$data/x")
    assert named.rights(LOT).may_subscribe("$data/+")
    assert not named.rights(LOT).may_subscribe("$SYS/#")


def test_names_are_compared_as_they_are_written() -> None:
    """[MQTT-4.7.3-4] No folding of case or of Unicode; a level may be empty."""
    directory = build(allow("données/温度"), allow("a//b"))
    assert directory.rights(LOT).may_publish("données/温度")
    assert not directory.rights(LOT).may_publish("Données/温度")
    assert not directory.rights(LOT).may_publish("donne\u0301es/温度")
    assert directory.rights(LOT).may_publish("a//b")
    assert not directory.rights(LOT).may_publish("a/b")


def test_nobody_publishes_to_a_filter() -> None:
    """A wildcard is no name, even where its text is covered."""
    directory = build(allow("open/#"))
    assert not directory.rights(LOT).may_publish("open/#")
    assert not directory.rights(LOT).may_publish("open/+")


@pytest.mark.parametrize("name", ["#", "+", "a/b", "a/#", "/", "+/+", "$SYS/x", "", "x#", "a+"])
def test_a_name_with_syntax_in_it_widens_nothing(name: str) -> None:
    """A client id is text: as the part of an entry that allows it grants nothing, of one that denies it takes all."""
    directory = build(allow("at/${deviceId}/#"), allow("${deviceId}/#"), allow("pre-${deviceId}"))
    passer_by = AnonymousIdentity("sensor", name)
    for topic in ("at/x", "at/a/b", "at/#", "x", "a/b", "at", f"at/{name}", f"{name}/x", f"pre-{name}", "$SYS/x"):
        assert not directory.rights(passer_by).may_publish(topic), topic
        assert not directory.rights(passer_by).may_subscribe(topic), topic
        assert not directory.rights(passer_by).may_receive(topic), topic
    denying = build(allow("before"), deny("at/${deviceId}"), allow("at/#"), allow("${productId}/#"))
    assert denying.rights(passer_by).may_publish("before")
    assert not denying.rights(passer_by).may_publish("at/x")
    assert not denying.rights(passer_by).may_subscribe("at/a/b")


def test_a_dollar_name_makes_no_dollar_topic() -> None:
    """A client that calls itself `$SYS` gets a level of that name, and nothing at the head of a topic."""
    directory = build(allow("${deviceId}/#"), allow("at/${deviceId}"))
    assert not directory.rights(AnonymousIdentity("sensor", "$SYS")).may_publish("$SYS/x")
    assert directory.rights(AnonymousIdentity("sensor", "$SYS")).may_publish("at/$SYS")


def test_a_passer_by_has_the_list_and_nothing_else() -> None:
    """Whoever shows no secret has no topics of its own but those that the list gives it."""
    assert not build().rights(PASSER_BY).may_publish("sensor/out/phone")
    assert not build().rights(PASSER_BY).may_subscribe("sensor/in/phone")
    directory = build(*EXAMPLE)
    assert directory.rights(PASSER_BY).may_publish("sensor/out/phone/x")
    assert directory.rights(PASSER_BY).may_subscribe("open/#")
    assert not directory.rights(PASSER_BY).may_subscribe("sensor/in/phone")


def test_the_name_of_a_device_is_that_devices() -> None:
    """Nobody passes by under the name of a device that has a secret; once there is one, the passer-by must go."""
    directory = build(*EXAMPLE)
    assert directory.passer_by("sensor", "lot-1") is None
    assert directory.passer_by("nothing", "x") is None
    passer_by = directory.passer_by("sensor", "phone")
    assert passer_by == PASSER_BY
    assert directory.admits(PASSER_BY)
    directory.put_device(DeviceEntry("sensor", "phone", "city", b"s"))
    assert not directory.admits(PASSER_BY)
    assert not directory.rights(PASSER_BY).may_publish("open/x")


def test_an_app_is_at_the_other_end_of_its_devices() -> None:
    """An app subscribes to what its devices may publish, and publishes what they may subscribe to."""
    directory = build(allow("up/${deviceId}/#", "publish"), allow("down/#", "subscribe"), allow("open/#"))
    assert directory.rights(CITY).may_subscribe("up/+/x")
    assert directory.rights(CITY).may_subscribe("up/lot-9/#")
    assert not directory.rights(CITY).may_subscribe("up/#")
    assert not directory.rights(CITY).may_publish("up/lot-1/x")
    assert directory.rights(CITY).may_publish("down/x")
    assert not directory.rights(CITY).may_subscribe("down/x")
    assert directory.rights(CITY).may_publish("open/x")
    assert directory.rights(CITY).may_subscribe("open/#")
    assert directory.rights(CITY).may_publish("sensor/in/lot-1")
    assert directory.rights(CITY).may_subscribe("sensor/out/+")


def test_an_app_uses_the_lists_of_products_that_are_shared_with_it() -> None:
    """What `shared_with` names is reached like an own product, and no more once it is taken back."""
    directory = build(*EXAMPLE, shared_with=("town",))
    assert directory.rights(TOWN).may_subscribe("open/#")
    directory.put_product(Product(app="city", name="sensor", acl=EXAMPLE))
    assert not directory.rights(TOWN).may_subscribe("open/#")
    assert directory.rights(CITY).may_subscribe("open/#")


def test_a_part_of_a_level_is_not_left_open_for_an_app() -> None:
    """`x-${deviceId}` would be any level at all; an app gets nothing of it, and is denied all of it."""
    directory = build(allow("x-${deviceId}"))
    assert directory.rights(LOT).may_publish("x-lot-1")
    assert not directory.rights(CITY).may_subscribe("x-lot-1")
    assert not directory.rights(CITY).may_subscribe("+")
    denied = build(deny("x-${deviceId}"), allow("#"))
    assert not denied.rights(CITY).may_receive("x-lot-1")


def test_no_list_reaches_into_another_apps_product() -> None:
    """What begins with a product's name is that product's: wildcards and names in other lists do not get there."""
    directory = build(allow("#"), allow("meter/#"))
    assert directory.rights(LOT).may_subscribe("#")
    for identity in (LOT, PASSER_BY, CITY):
        assert not directory.rights(identity).may_receive("meter/out/m-1")
        assert not directory.rights(identity).may_publish("meter/in/m-1")
        assert not directory.rights(identity).may_subscribe("meter/out/+")
        assert not directory.rights(identity).may_subscribe("$share/g/meter/out/+")
        assert directory.rights(identity).may_receive("elsewhere/x")
    directory.put_product(Product(app="town", name="meter", shared_with=("city",)))
    assert directory.rights(LOT).may_receive("meter/out/m-1")


def test_a_right_taken_away_counts_at_the_next_question() -> None:
    """Rights are compiled once for each version of the directory."""
    directory = build(*EXAMPLE)
    rights = directory.rights(LOT)
    assert directory.rights(LOT) is rights
    assert directory.rights(LOT).may_receive("open/x")
    directory.put_product(Product(app="city", name="sensor"))
    assert not directory.rights(LOT).may_receive("open/x")
    assert not directory.rights(LOT).may_subscribe("open/#")
    assert directory.rights(LOT).may_receive("sensor/in/lot-1")
    directory.remove("product", "sensor")
    assert not directory.rights(LOT).may_receive("sensor/in/lot-1")


def test_rights_are_kept_for_so_many_only() -> None:
    """Asking for any number of clients keeps a bounded number of compiled rights."""
    directory = build(*EXAMPLE)
    for number in range(10_000):
        assert directory.rights(AnonymousIdentity("sensor", f"p{number}")).may_publish("open/x")
    assert len(directory._rights) <= 4_096


def test_a_certificate_names_a_device() -> None:
    """The first of its names that is `<product>/<device>` of a known device counts; a disabled one is told apart."""
    directory = build()
    assert directory.certified(["example.org", "sensor/lot-1"]) == LOT
    assert directory.certified(["lot-1", "sensor/lot-9", ""]) is None
    directory.put_device(DeviceEntry("sensor", "lot-1", "city", b"s", enabled=False))
    assert str(type(directory.certified(["sensor/lot-1"])).__name__) == "DisabledDevice"
