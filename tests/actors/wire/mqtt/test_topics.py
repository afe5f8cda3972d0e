"""Topic names and filters: the examples of MQTT 3.1.1, section 4.7, and of MQTT 5, section 4.8."""

import pytest

from actors.wire.mqtt.topics import is_valid_filter, is_valid_name, matches, shared


@pytest.mark.parametrize("name", ["a", "/", "a//b", "/finance", "a b", "$SYS/x", "é", "x" * 65_535])
def test_valid_names(name: str) -> None:
    """Any text without wildcards and NUL is a topic name."""
    assert is_valid_name(name)


@pytest.mark.parametrize("name", ["", "+", "a/#", "a+b", "a\0b", "x" * 65_536, "é" * 32_768])
def test_invalid_names(name: str) -> None:
    """Empty names, wildcards, NUL and more than 65535 bytes are refused.

    [MQTT-4.7.1-1, 4.7.3-1, 4.7.3-2, 4.7.3-3; MQTT5-4.7.0-1, 4.7.3-1, 4.7.3-2, 4.7.3-3]
    """
    assert not is_valid_name(name)


@pytest.mark.parametrize(
    "topic_filter", ["#", "+", "/", "+/+", "/+", "sport/tennis/#", "+/tennis/#", "sport/+/player1", "a//+", "$SYS/#"]
)
def test_valid_filters(topic_filter: str) -> None:
    """Wildcards that take a whole level each, `#` last, are filters."""
    assert is_valid_filter(topic_filter)


@pytest.mark.parametrize(
    "topic_filter",
    ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "+a", "a/+b/c", "##", "#/#", "#/", "a\0", "x" * 65_536],
)
def test_invalid_filters(topic_filter: str) -> None:
    """Wildcards that share a level, or `#` before the end, are no filters.

    [MQTT-4.7.1-2, 4.7.1-3; MQTT5-4.7.1-1, 4.7.1-2]
    """
    assert not is_valid_filter(topic_filter)


@pytest.mark.parametrize(
    ("topic_filter", "name"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("#", "a"),
        ("#", "/a/b"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/a"),
        ("$SYS/+", "$SYS/a"),
        ("a/+/#", "a/b"),
        ("a/$b", "a/$b"),
        ("a/+", "a/$b"),
        ("a//c", "a//c"),
    ],
)
def test_matches(topic_filter: str, name: str) -> None:
    """The standard's own examples of what a filter takes."""
    assert matches(topic_filter, name)


@pytest.mark.parametrize(
    ("topic_filter", "name"),
    [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/a"),
        ("+/a", "$SYS/a"),
        ("a", "A"),
        ("a", "a/"),
        ("a/b/#", "a"),
        ("a/+/#", "a"),
        ("a/+/c", "a/b/d"),
        ("a/b", "a/b/c"),
    ],
)
def test_does_not_match(topic_filter: str, name: str) -> None:
    """The standard's own examples of what a filter leaves, `$` topics under a leading wildcard among them.

    [MQTT-4.7.2-1, MQTT5-4.7.2-1]
    """
    assert not matches(topic_filter, name)


@pytest.mark.parametrize(
    ("topic_filter", "name"), [("ACCOUNTS", "Accounts"), ("é", "e\u0301"), ("a", "a "), ("a//b", "a/b"), ("a/.", "a")]
)
def test_nothing_is_normalized(topic_filter: str, name: str) -> None:
    """Names and filters are compared character by character as they came [MQTT-4.7.3-4, MQTT5-4.7.3-4]."""
    assert is_valid_filter(topic_filter)
    assert is_valid_name(name)
    assert not matches(topic_filter, name)


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        ("$share/g/a/+", ("g", "a/+")),
        ("$share/g//a", ("g", "/a")),
        ("$share/g/$share/h/a", ("g", "$share/h/a")),
        ("$share/g/", None),
        ("$share/g", None),
        ("$share//a", None),
        ("$share/+/a", None),
        ("$share/g#/a", None),
        ("$shared/g/a", None),
        ("a/$share/g", None),
    ],
)
def test_shared_subscriptions(topic_filter: str, expected: tuple[str, str] | None) -> None:
    """A group of a character or more without wildcards, then a filter [MQTT5-4.8.2-1, MQTT5-4.8.2-2]."""
    assert shared(topic_filter) == expected
