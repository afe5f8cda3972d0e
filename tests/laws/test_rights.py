"""Laws of rights, checked against what MQTT says of matching (`matches`) and against a list read entry by entry."""

from __future__ import annotations

from itertools import product as combinations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, Identity
from actors.wire.mqtt.topics import is_valid_filter, matches
from config.resources import AclEntry, Product
from config.resources.filters import covers, overlaps

# The machine may be busy; what is slow is no law here.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
WORDS = ("a", "$x", "", "n")
DEEPEST = 3
NAMES = [
    name
    for depth in range(1, DEEPEST + 2)
    for levels in combinations((*WORDS, "other"), repeat=depth)
    if (name := "/".join(levels))
]

levels = st.lists(st.sampled_from([*WORDS, "+"]), min_size=1, max_size=DEEPEST)
filters = st.builds(lambda some, rest: "/".join([*some, *rest]), levels, st.sampled_from([[], ["#"]])).filter(
    is_valid_filter
) | st.just("#")
# With the places where a name is filled in.
patterns = st.builds(
    lambda some, rest: "/".join([*some, *rest]),
    st.lists(st.sampled_from([*WORDS, "+", "${deviceId}", "x-${deviceId}", "${productId}"]), min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(bool)
actions = st.sampled_from(["publish", "subscribe", "all"])
entries = st.builds(
    lambda allow, action, topic: AclEntry(allow=action if allow else None, deny=None if allow else action, topic=topic),
    st.booleans(),
    actions,
    patterns,
)
acls = st.lists(entries, max_size=5).map(tuple)
client_ids = st.sampled_from(["n", "a", "#", "+", "a/b", "a/#", "$x", "", "/", "x+"]) | st.text(max_size=4)


def split(topic_filter: str) -> list[str]:
    return topic_filter.split("/")


@UNHURRIED
@given(filters, filters)
def test_a_filter_covers_another_exactly_if_it_matches_all_that_the_other_matches(wide: str, narrow: str) -> None:
    """Containment of filters is containment of the names that they match."""
    matched = [name for name in NAMES if matches(narrow, name)]
    assert covers(split(wide), split(narrow)) == all(matches(wide, name) for name in matched)


@UNHURRIED
@given(filters, filters)
def test_filters_overlap_exactly_if_a_name_is_matched_by_both(one: str, other: str) -> None:
    """And it does not matter which is asked of which."""
    common = any(matches(one, name) and matches(other, name) for name in NAMES)
    assert overlaps(split(one), split(other)) == common == overlaps(split(other), split(one))


def house(acl: tuple[AclEntry, ...]) -> Directory:
    directory = Directory(lambda secret: secret)
    directory.put_app(AppEntry("city", "k", b"s"))
    directory.put_product(Product(app="city", name="p", acl=acl))
    directory.put_device(DeviceEntry("p", "lot", "city", b"s"))
    return directory


def as_read(acl: tuple[AclEntry, ...], action: str, topic: str, name: str) -> bool:
    """The list read by somebody who compares level by level, and takes a name for the text that it is."""
    for entry in acl:
        if (entry.allow or entry.deny) in (action, "all") and _matches(split(entry.topic), split(topic), name):
            return entry.allow is not None
    return False


def _matches(pattern: list[str], topic: list[str], name: str) -> bool:
    if pattern[0] in ("+", "#") and topic[0].startswith("$"):
        return False
    if pattern[-1] == "#":
        pattern = pattern[:-1]
        if len(topic) < len(pattern):
            return False
        topic = topic[: len(pattern)]
    return len(pattern) == len(topic) and all(
        want == "+" or want.replace("${productId}", "p").replace("${deviceId}", name) == level
        for want, level in zip(pattern, topic, strict=True)
    )


@UNHURRIED
@given(acls, client_ids, st.sampled_from(NAMES))
def test_a_list_gives_what_it_says_and_no_name_widens_it(acl: tuple[AclEntry, ...], client_id: str, topic: str) -> None:
    """Whatever a client calls itself, it may do nothing that the list read as text does not allow.

    A name that is one plain level gets exactly that.
    """
    assume(client_id != "lot")
    directory, identity = house(acl), AnonymousIdentity("p", client_id)
    for action, allowed in (
        ("publish", directory.rights(identity).may_publish(topic)),
        ("subscribe", directory.rights(identity).may_receive(topic)),
    ):
        said = as_read(acl, action, topic, client_id)
        assert said or not allowed
        if client_id and not any(sign in client_id for sign in "+#/$"):
            assert said == allowed


@UNHURRIED
@given(acls, client_ids, filters, st.sampled_from(["", "$share/g/"]))
def test_nothing_is_delivered_through_a_filter_that_the_list_denies(
    acl: tuple[AclEntry, ...], client_id: str, topic_filter: str, group: str
) -> None:
    """What a granted filter matches and `may_receive` lets through is allowed, topic by topic."""
    directory, identity = house(acl), AnonymousIdentity("p", client_id)
    if not directory.rights(identity).may_subscribe(group + topic_filter):
        return
    for topic in NAMES:
        if matches(topic_filter, topic) and directory.rights(identity).may_receive(topic):
            assert as_read(acl, "subscribe", topic, client_id)


@UNHURRIED
@given(acls, filters)
def test_a_filter_is_granted_where_every_topic_of_it_is_allowed_by_one_entry_and_only_there(
    acl: tuple[AclEntry, ...], topic_filter: str
) -> None:
    """A granted filter delivers all that it matches, save for what an earlier entry denies."""
    directory, identity = house(acl), DeviceIdentity("p", "lot", "city")
    matched = [topic for topic in NAMES if matches(topic_filter, topic)]
    if directory.rights(identity).may_subscribe(topic_filter):
        denials = [entry for entry in acl if entry.deny in ("subscribe", "all")]
        for topic in matched:
            denied = any(_matches(split(entry.topic), split(topic), "lot") for entry in denials)
            assert denied or directory.rights(identity).may_receive(topic)
    elif not any(sign in topic_filter for sign in "+#"):
        assert not directory.rights(identity).may_receive(topic_filter)


@UNHURRIED
@given(acls, acls, st.sampled_from(NAMES))
def test_rights_follow_the_list_at_once(before: tuple[AclEntry, ...], after: tuple[AclEntry, ...], topic: str) -> None:
    """What was asked before a change leaves nothing behind: the answer is that of a house that never knew the first."""
    directory, fresh = house(before), house(after)
    who: list[Identity] = [DeviceIdentity("p", "lot", "city"), AnonymousIdentity("p", "n"), AppIdentity("city")]
    for identity in who:
        directory.rights(identity).may_receive(topic)
    directory.put_product(Product(app="city", name="p", acl=after))
    for identity in who:
        assert directory.rights(identity).may_receive(topic) == fresh.rights(identity).may_receive(topic)
        assert directory.rights(identity).may_publish(topic) == fresh.rights(identity).may_publish(topic)


@UNHURRIED
@given(acls, filters)
def test_devices_and_their_app_are_each_others_other_end(acl: tuple[AclEntry, ...], topic_filter: str) -> None:
    """Where no entry denies and none names a part of a level: what a device may publish, its app may receive."""
    assume(all(entry.deny is None and "x-" not in entry.topic for entry in acl))
    directory = house(acl)
    device, app = DeviceIdentity("p", "lot", "city"), AppIdentity("city")
    for topic in NAMES[:200]:
        assert directory.rights(app).may_receive(topic) or not directory.rights(device).may_publish(topic)
        assert directory.rights(app).may_publish(topic) or not directory.rights(device).may_receive(topic)
