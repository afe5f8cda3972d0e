"""What calls ask for, and what is wrong with those that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.http_calls.errors import CallRefusedError
from actors.topic_gateway import requests
from actors.topic_gateway.requests import Consume, Read, Sequence, ToGroup, ToRecords, ToTopic
from actors.wire.http.messages import Request


def refused(ask: Callable[[], Any], status: int = 400) -> str:
    with pytest.raises(CallRefusedError) as caught:
        ask()
    assert caught.value.error.status == status
    return caught.value.detail


def test_paths_name_topics_and_groups() -> None:
    """Percent-encoded names are what they stand for."""
    assert requests.target("/v1/topic/t/messages") == ToTopic("t")
    assert requests.target("/v1/topic/a%2Db_c.d/records") == ToRecords("a-b_c.d")
    assert requests.target("/v1/topic/t/group/g/messages") == ToGroup("t", "g")


@pytest.mark.parametrize(
    "path", ["/", "/v1/topic/t", "/v1/topic/t/messages/", "/v2/topic/t/messages", "/v1/topic/t/group/messages", ""]
)
def test_other_paths_are_not_there(path: str) -> None:
    """404 says which there are."""
    assert "/v1/topic/TOPIC/messages" in refused(lambda: requests.target(path), 404)


@pytest.mark.parametrize("name", ["", "%2F", "..", "a%00", "%ff", "a b", "%C3%A4", "x" * 201])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    """No name leads out of where topics are."""
    refused(lambda: requests.target(f"/v1/topic/{name}/messages"))
    refused(lambda: requests.target(f"/v1/topic/t/group/{name}/messages"))


def test_a_bad_name_is_told_as_it_was_written() -> None:
    """In the caller's own letters."""
    assert "'grün' is no name of a group" in refused(lambda: requests.target("/v1/topic/t/group/gr%C3%BCn/messages"))


def test_a_consumer_gets_the_usual_bounds_unless_it_asks() -> None:
    """Each bound has its default and takes its whole range."""
    assert requests.consume("") == Consume(15, 3, 10, 524288)
    query = "ack_wait=300&time_wait=30&max_msgs=1&max_bytes=2097152"
    assert requests.consume(query) == Consume(300, 30, 1, 2097152)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("ack_wait=0", "ack_wait"),
        ("ack_wait=301", "ack_wait"),
        ("time_wait=31", "time_wait"),
        ("max_msgs=11", "max_msgs"),
        ("max_bytes=2097153", "max_bytes"),
        ("max_bytes=-1", "max_bytes"),
        ("max_msgs=1.5", "max_msgs"),
        ("max_msgs=", "max_msgs"),
        ("max_msgs=\u0661", "max_msgs"),
        ("max_msg=1", "max_msg"),
        ("max_msgs=1&max_msgs=2", "twice"),
        ("max_msgs", "query"),
        ("&".join(f"a{n}=1" for n in range(100)), "query"),
    ],
)
def test_a_consumer_that_asks_for_too_much_is_told(query: str, named: str) -> None:
    """The reason names the parameter."""
    assert named in refused(lambda: requests.consume(query))


def test_a_reader_says_where_it_begins() -> None:
    """By default at the oldest record of the first partition."""
    assert requests.read("") == Read(0, "earliest", 1024 * 1024, 0)
    assert requests.read("partition=3&offset=17&max_bytes=5&time_wait=30") == Read(3, 17, 5, 30)
    assert requests.read("offset=latest").offset == "latest"
    for query in ("offset=-1", "offset=oldest", "partition=50", "offset=99999999999999999999", "time_wait=31"):
        refused(lambda query=query: requests.read(query))
    with pytest.raises(CallRefusedError, match="earliest, latest or a number"):
        requests.read("offset=oldest")


def numbered(**headers: str) -> Request:
    return Request("POST", "/", headers=[(name.replace("_", "-"), value) for name, value in headers.items()])


def test_a_numbered_producer_gives_both_name_and_number() -> None:
    """One without the other is a mistake, and neither is no numbering."""
    assert requests.sequence(numbered()) is None
    assert requests.sequence(numbered(x_producer_id="p:1", x_producer_sequence="0")) == Sequence("p:1", 0)
    for bad in (
        numbered(x_producer_id="p"),
        numbered(x_producer_sequence="1"),
        numbered(x_producer_id="a/b", x_producer_sequence="1"),
        numbered(x_producer_id="p", x_producer_sequence="-1"),
        numbered(x_producer_id="p", x_producer_sequence="9223372036854775807"),
        numbered(x_producer_id="", x_producer_sequence="1"),
    ):
        refused(lambda bad=bad: requests.sequence(bad))


def test_messages_are_taken_as_they_are_written() -> None:
    """Any JSON is content, kept to the byte; key and tags may be left out."""
    body = b'{"messages":[{"content": {"a" : 1.10}, "id":"1"},{"content":null,"id":"2","key":"k","tags":"x,y"}]}'
    first, second = requests.produce(body)
    assert (bytes(first.content), first.id, first.key, first.tags) == (b'{"a" : 1.10}', "1", None, None)
    assert (bytes(second.content), second.key, second.tags) == (b"null", "k", "x,y")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages":[]}',
        b'{"messages":[{"id":"1"}]}',
        b'{"messages":[{"content":1}]}',
        b'{"messages":[{"content":1,"id":1}]}',
        b'{"messages":[{"content":1,"id":"1","kye":"k"}]}',
        b'{"messages":[{"content":"\xff","id":"1"}]}',
        b'{"messages":[' + b",".join([b'{"content":1,"id":"1"}'] * 11) + b"]}",
    ],
)
def test_a_body_that_is_wrong_is_refused_whole(body: bytes) -> None:
    """Nothing of it is taken, and the reason says what is wrong."""
    assert refused(lambda: requests.produce(body))


def test_more_than_two_megabytes_are_too_large() -> None:
    """413 before anything is decoded."""
    refused(lambda: requests.produce(b" " * (2 * 1024 * 1024 + 1)), 413)


def test_only_success_and_fail_are_verdicts() -> None:
    """Anything else is a mistake of the consumer's program."""
    (told,) = requests.confirm(b'{"messages":[{"handler":"h","status":"fail"}]}')
    assert (told.handler, told.status) == ("h", "fail")
    refused(lambda: requests.confirm(b'{"messages":[{"handler":"h","status":"ok"}]}'))
    refused(lambda: requests.confirm(b'{"messages":[]}'))


def test_keys_are_spread_only_where_that_is_asked_for() -> None:
    """`key_suffix=random` is all there is to ask."""
    assert not requests.random_suffix("")
    assert not requests.random_suffix("key_suffix=none")
    assert requests.random_suffix("key_suffix=random")
    refused(lambda: requests.random_suffix("key_suffix=yes"))
