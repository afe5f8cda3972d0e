"""Messages of topics through the control API, around partitions that run."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from actors.ports import AuditEntry
from actors.topic_partition.topic import Topics
from config.resources import Mask, Topic
from daemon.catalog.catalog import Catalog
from daemon.control.app import create_app
from daemon.control.context import Control
from daemon.control.topics import topics_family
from daemon.messages import TopicMessages
from daemon.store.model import Meta, StoredResource
from tests.actors.log.parts import flip, log_file
from tests.actors.topic_query.parts import named, put, record, running_topics
from tests.daemon.control.conftest import Api

NOW = 1_772_366_400.0  # 2026-03-01T12:00:00Z
PATH = "/api/v1/topics/t/messages"


class Trail:
    """Keeps what was done."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
async def topics(tmp_path: Path) -> AsyncIterator[Topics]:
    """Topic t with ten messages, a minute apart, the last one now; and empty ones."""
    async with running_topics(tmp_path, t=2, u=1, closed=1) as running:
        t = named(running, "t")
        for n in range(10):
            time = int(NOW * 1000) - (9 - n) * 60_000
            key = f"k{n % 2}"
            await put(t, t.partition_for(key.encode()), record(n, key=key, time=time, id=f"m{n}"))
        yield running


@pytest.fixture
def api(control: Control, topics: Topics, trail: Trail) -> Api:
    closed = Topic(name="closed", app="a", access="subscribe")
    catalog = Catalog([StoredResource(closed, Meta(1, 0, 0))])
    engine = TopicMessages(topics, catalog, trail, lambda: NOW)
    return Api(create_app(dataclasses.replace(control, families=(topics_family(engine, lambda: NOW),))))


def numbers(body: dict[str, Any]) -> list[int]:
    return [one["value"]["n"] for one in body["messages"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": 3}, [9, 8, 7]),
        ({"limit": 3, "order": "oldest"}, [0, 1, 2]),
        ({"from": "2m"}, [7, 8, 9]),
        ({"from": "2026-03-01T11:55:00Z", "to": "2026-03-01T11:57:00Z"}, [4, 5]),
        ({"to": "2026-03-01T11:53:00Z"}, [1, 0]),
        ({"key": "k1", "limit": 2}, [9, 7]),
        ({"id": "m4"}, [4]),
        ({"id": "nobody"}, []),
    ],
)
async def test_messages_are_found(api: Api, query: dict[str, Any], expected: list[int]) -> None:
    """By time, key and id; the newest first, or from a time on the oldest first."""
    status, body, _ = await api.call("GET", f"{PATH}?{urlencode(query)}")
    assert status == 200
    assert numbers(body) == expected
    assert body["topic"] == "t"
    assert body["scanned"]["messages"] >= len(expected)


async def test_a_cursor_goes_on_with_the_same_query(api: Api) -> None:
    """The cursor carries the query, and a time ago stays the moment that it was."""
    query = urlencode({"from": "8m", "limit": 4})
    _, body, _ = await api.call("GET", f"{PATH}?{query}")
    seen = numbers(body)
    while body["cursor"]:
        _, body, _ = await api.call("GET", f"{PATH}?limit=4&cursor={body['cursor']}")
        seen += numbers(body)
    assert seen == list(range(1, 10))


async def test_masked_fields_are_not_shown(api: Api, topics: Topics) -> None:
    """An operator's query shows what other apps see."""
    named(topics, "t").mask = Mask(fields=("n",))
    _, body, _ = await api.call("GET", f"{PATH}?limit=1")
    assert body["messages"][0]["value"] == {"n": "***"}


@pytest.mark.parametrize(
    ("query", "path", "reason"),
    [
        ("partition=2", "?partition", "they are 0 to 1"),
        ("partition=x", "?partition", "expected a number"),
        ("offset=1", "?offset", "together with a partition"),
        ("from=yesterday", "?from", "is no point in time"),
        ("from=1m&to=2m", "?to", "later than"),
        ("order=up", "?order", "newest or oldest"),
        ("limit=0", "?limit", "1 to 1000"),
        ("limit=1001", "?limit", "1 to 1000"),
        ("cursor=x", "?cursor", "no cursor"),
        ("cursor=x&key=k", "?key", "the cursor says already"),
        ("keys=k", "?keys", "no such query parameter"),
    ],
)
async def test_queries_that_cannot_be(api: Api, query: str, path: str, reason: str) -> None:
    """400, with the parameter and the reason."""
    status, body, _ = await api.call("GET", f"{PATH}?{query}")
    assert status == 400
    assert body["details"][0]["path"] == path
    assert reason in body["details"][0]["reason"]


async def test_unknown_topics_and_offsets(api: Api) -> None:
    """404 for a topic that is not there, 400 with what is there for an offset that is not."""
    for method, path in (("GET", "messages"), ("POST", "verify")):
        assert (await api.call(method, f"/api/v1/topics/nope/{path}"))[0] == 404
    status, body, _ = await api.call("GET", f"{PATH}?partition=0&offset=77")
    assert (status, "offset 77 is not here: the partition holds 0 up to" in body["error_msg"]) == (400, True)


async def test_a_replay_sends_and_is_recorded(api: Api, topics: Topics, trail: Trail) -> None:
    """What was chosen arrives at the target, and the audit trail says what was done."""
    status, body, _ = await api.call("POST", "/api/v1/topics/t/replay", json={"target": "u", "key": "k1", "limit": 3})
    assert (status, body["messages"], body["complete"]) == (200, 3, True)
    assert named(topics, "u").partitions[0].high_watermark == 3
    (entry,) = trail.entries
    assert (entry.subject, entry.action, entry.outcome) == ("topic t", "replay", "done")
    assert (entry.after, entry.reason) == ("3 messages sent to topic u", "key k1")


async def test_a_dry_run_sends_nothing(api: Api, topics: Topics, trail: Trail) -> None:
    """It counts, and there is nothing to be recorded."""
    _, body, _ = await api.call("POST", "/api/v1/topics/t/replay", json={"target": "u", "dry_run": True})
    assert body["messages"] == 10
    assert (named(topics, "u").partitions[0].high_watermark, trail.entries) == (0, [])


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"target": "nope"}, 404, None),
        ({"target": "closed"}, 400, "$.target"),
        ({"target": 5.5}, 400, "$.target"),
        ({"limit": 0}, 400, "$.limit"),
        ({"limit": True}, 400, "$.limit"),
        ({"dry_run": "yes"}, 400, "$.dry_run"),
        ({"order": "newest"}, 400, "$.order"),
        ({"partition": 7}, 400, "$.partition"),
    ],
)
async def test_replays_that_cannot_be(
    api: Api, topics: Topics, body: dict[str, Any], status: int, path: str | None
) -> None:
    """Refused with what is wrong, and nothing is sent."""
    before = sum(one.high_watermark for one in named(topics, "t").partitions)
    found, problem, _ = await api.call("POST", "/api/v1/topics/t/replay", json=body)
    assert found == status
    assert [one["path"] for one in problem["details"]] == ([path] if path else [])
    assert sum(one.high_watermark for one in named(topics, "t").partitions) == before


async def test_a_living_topic_is_verified(api: Api, topics: Topics, tmp_path: Path) -> None:
    """Every partition is checked while it runs; damage is told with file and offset."""
    status, body, _ = await api.call("POST", "/api/v1/topics/t/verify")
    assert (status, body["flaws"], sum(one["records"] for one in body["partitions"])) == (200, 0, 10)
    number = named(topics, "t").partition_for(b"k0")
    flip(log_file(tmp_path / f"t-{number}"), 80)
    _, body, _ = await api.call("POST", "/api/v1/topics/t/verify")
    (flaw,) = body["partitions"][number]["described"]
    assert (body["flaws"], flaw["offset"], flaw["position"]) == (1, 0, 0)
    assert flaw["file"] == str(log_file(tmp_path / f"t-{number}"))


async def test_a_partition_that_does_not_run(api: Api, topics: Topics) -> None:
    """503: it may be there again in a moment."""
    named(topics, "t").grow(3)
    assert (await api.call("GET", PATH))[0] == 503
    assert (await api.call("POST", "/api/v1/topics/t/verify"))[0] == 503


async def test_the_description_knows_it(api: Api) -> None:
    """OpenAPI lists what can be asked of messages, with its parameters."""
    _, body, _ = await api.call("GET", "/api/v1/openapi.json")
    described = body["paths"]["/api/v1/topics/{name}/messages"]["get"]
    assert {one["name"] for one in described["parameters"]} >= {"name", "from", "key", "cursor"}
