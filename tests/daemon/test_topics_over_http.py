"""Topics over HTTP, as a program of an application sees them: a whole daemon, and a plain HTTP client."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard

from tests.fakes.daemon import ChildDaemon

MANIFEST = """
kind: app
name: shop
key: shop-key
secret: shop-secret
app_codes: [shop-code]
---
{kind: app, name: reader, key: reader-key, secret: reader-secret}
---
{kind: app, name: stranger, key: stranger-key, secret: stranger-secret}
---
kind: topic
app: shop
name: orders
partitions: 2
grants: [{app: reader, access: subscribe}]
mask: {fields: [card]}
---
{kind: topic, app: shop, name: small, max_message_bytes: 100}
---
{kind: topic, app: shop, name: inbox, access: publish}
"""
SHOP = ("shop-key", "shop-secret")
READER = ("reader-key", "reader-secret")
GROUP = "/v1/topic/orders/group/{}/messages"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    with ChildDaemon(tmp_path_factory.mktemp("topics") / "data", PENSTOCK_TOPICS__MAX_DELIVERIES="2") as child:
        child.apply(MANIFEST)
        yield child


@pytest.fixture
def shop(daemon: ChildDaemon) -> Iterator[httpx.Client]:
    with daemon.topics(auth=SHOP) as client:
        yield client


def messages(*contents: Any) -> dict[str, Any]:
    return {"messages": [{"content": content, "id": str(number)} for number, content in enumerate(contents, 1)]}


def verdicts(taken: list[dict[str, Any]], status: str = "success") -> dict[str, Any]:
    return {"messages": [{"handler": one["handler"], "status": status} for one in taken]}


def contents(taken: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(base64.b64decode(one["message"]["content"])) for one in taken]


def problem(answer: httpx.Response, status: int, code: str) -> str:
    """The gateway's error shape, with the id of the call in body and header."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error_code"] == code
    assert body["request_id"] == answer.headers["X-Request-Id"]
    message: str = body["error_msg"]
    return message


def everything(client: httpx.Client, topic: str, partitions: int) -> list[dict[str, Any]]:
    found = []
    for partition in range(partitions):
        offset = "earliest"
        while True:
            where = {"partition": str(partition), "offset": offset}
            answer = client.get(f"/v1/topic/{topic}/records", params=where)
            assert answer.status_code == 200, answer.text
            found += [json.loads(line) for line in answer.text.splitlines()]
            offset = answer.headers["X-Next-Offset"]
            if offset == answer.headers["X-High-Watermark"]:
                break
    return found


def test_what_is_produced_is_consumed_and_confirmed_once(shop: httpx.Client) -> None:
    """The whole round: produce, take, confirm; what is confirmed does not come again."""
    sent = [{"n": n} for n in range(10)]
    answer = shop.post("/v1/topic/orders/messages", json=messages(*sent))
    assert answer.json() == [{"state": "success", "id": str(n)} for n in range(1, 11)]
    taken = shop.get(GROUP.format("round")).json()
    assert sorted(contents(taken), key=str) == sorted(sent, key=str)
    told = shop.post(GROUP.format("round"), json=verdicts(taken))
    assert told.json() == {"success": 10, "fail": 0}
    assert shop.get(GROUP.format("round"), params={"time_wait": 1}).json() == []


def test_what_fails_comes_again_and_then_to_the_dead_letters(daemon: ChildDaemon, shop: httpx.Client) -> None:
    """After the configured number of deliveries it is in `<group>.dead`, which belongs to the topic's app."""
    shop.post("/v1/topic/orders/messages", json=messages("poison"))
    group = GROUP.format("failing")
    while taken := shop.get(group, params={"time_wait": 1}).json():
        bad = [one for one in taken if contents([one]) == ["poison"]]
        good = [one for one in taken if one not in bad]
        if bad:
            assert shop.post(group, json=verdicts(bad, "fail")).json() == {"success": 0, "fail": len(bad)}
        if good:
            assert shop.post(group, json=verdicts(good)).json() == {"success": len(good), "fail": 0}
    (letter,) = everything(shop, "failing.dead", 1)
    assert letter["content"] == "poison"
    assert letter["headers"]["source_topic"] == "orders"
    with daemon.topics(auth=READER) as reader:
        problem(reader.get("/v1/topic/failing.dead/records"), 403, "APIC.0304")


def test_partial_failure_is_told_message_by_message(shop: httpx.Client) -> None:
    """What is fit is stored, and only the other says that it failed, and why."""
    answer = shop.post("/v1/topic/small/messages", json=messages("x", "y" * 200))
    good, bad = answer.json()
    assert good == {"state": "success", "id": "1"}
    assert (bad["state"], bad["id"], bad["error_code"]) == ("fail", "2", "APIC.0201")
    assert "at most 100" in bad["error_msg"]
    assert [one["content"] for one in everything(shop, "small", 1)] == ["x"]
    problem(shop.post("/v1/topic/small/messages", json=messages("y" * 200)), 413, "APIC.0201")


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_bulks_go_both_ways_compressed_or_not(shop: httpx.Client, encoding: str) -> None:
    """Each record is found at the offset that was told, with its key, id and tags."""
    lines = [
        {"content": {"n": n, "e": encoding}, "key": f"k{n % 9}", "id": str(n), "tags": encoding} for n in range(700)
    ]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    pack = {"identity": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}[encoding]
    answer = shop.post("/v1/topic/orders/records", content=pack(body), headers={"Content-Encoding": encoding})
    told = answer.json()
    assert (told["records"], told["duplicates"]) == (700, 0)
    with shop.stream("GET", "/v1/topic/orders/records", headers={"Accept-Encoding": encoding}) as raw:
        assert raw.headers.get("Content-Encoding", "identity") == encoding
    stored = {(one["partition"], one["offset"]): one for one in everything(shop, "orders", 2)}
    seen = 0
    for run in told["offsets"]:
        for step in range(run["count"]):
            one, line = stored[run["partition"], run["offset"] + step], lines[run["index"] + step]
            assert {name: one[name] for name in line} == line
            seen += 1
    assert seen == 700


def test_a_numbered_bulk_is_stored_once_whatever_dies(tmp_path: Path) -> None:
    """Sent again, also to a daemon that was killed meanwhile, it is answered with the offsets of the first time."""
    with ChildDaemon(tmp_path / "data") as child:
        child.apply(MANIFEST)
        body = "\n".join(json.dumps({"content": n, "key": str(n)}) for n in range(300))
        headers = {"X-Producer-Id": "till-7", "X-Producer-Sequence": "1000"}
        first = None
        for _ in range(2):
            with child.topics(auth=SHOP) as client:
                told = client.post("/v1/topic/orders/records", content=body, headers=headers).json()
                first = first or told
                assert told["offsets"] == first["offsets"]
                assert told["duplicates"] == (0 if told is first else 300)
            child.kill()
            child.start()
        with child.topics(auth=SHOP) as client:
            assert len(everything(client, "orders", 2)) == 300


def test_a_handler_survives_a_restart_as_late(tmp_path: Path) -> None:
    """It is genuine, and confirms nothing; what was confirmed before stays confirmed."""
    with ChildDaemon(tmp_path / "data") as child:
        child.apply(MANIFEST)
        group = GROUP.format("g")
        with child.topics(auth=SHOP) as client:
            client.post("/v1/topic/orders/messages", json=messages(*range(4)))
            taken = client.get(group, params={"ack_wait": 300}).json()
            assert client.post(group, json=verdicts(taken[1:3])).json() == {"success": 2, "fail": 0}
        child.kill()
        child.start()
        with child.topics(auth=SHOP) as client:
            again = client.get(group).json()
            assert sorted(contents(again)) == sorted(contents([taken[0], taken[3]]))
            assert client.post(group, json=verdicts([taken[0]])).json() == {"success": 0, "fail": 1}
            assert client.post(group, json=verdicts(again)).json() == {"success": 2, "fail": 0}


def test_a_poison_message_is_put_aside_over_restarts(tmp_path: Path) -> None:
    """It is delivered as often as it may be, however often the daemon is killed meanwhile, and then no more."""
    with ChildDaemon(tmp_path / "data", PENSTOCK_TOPICS__MAX_DELIVERIES="3") as child:
        child.apply(MANIFEST)
        group = GROUP.format("careful")
        with child.topics(auth=SHOP) as client:
            client.post("/v1/topic/orders/messages", json=messages("poison"))
        for _ in range(3):
            with child.topics(auth=SHOP) as client:
                taken = client.get(group, params={"ack_wait": 300}).json()
                assert contents(taken) == ["poison"]
                assert client.post(group, json=verdicts(taken, "fail")).json() == {"success": 0, "fail": 1}
            child.kill()
            child.start()
        with child.topics(auth=SHOP) as client:
            assert client.get(group, params={"time_wait": 2}).json() == []
            (letter,) = everything(client, "careful.dead", 1)
            assert letter["content"] == "poison"


def test_rights_are_those_of_the_topic(daemon: ChildDaemon, shop: httpx.Client) -> None:
    """Owner, grants and access decide; without a secret nobody is told whether a topic exists."""
    with daemon.topics(auth=READER) as reader, daemon.topics(auth=("stranger-key", "stranger-secret")) as stranger:
        assert reader.get("/v1/topic/orders/records").status_code == 200
        problem(reader.post("/v1/topic/orders/messages", json=messages(1)), 403, "APIC.0304")
        problem(stranger.get("/v1/topic/orders/records"), 403, "APIC.0304")
        problem(stranger.get(GROUP.format("round")), 403, "APIC.0304")
    problem(shop.get("/v1/topic/inbox/records"), 403, "APIC.0304")
    assert shop.post("/v1/topic/inbox/messages", json=messages(1)).status_code == 200
    with daemon.topics() as nobody:
        for path in ("/v1/topic/orders/records", "/v1/topic/nowhere/records"):
            answer = nobody.get(path)
            problem(answer, 401, "APIC.0303")
            assert "Basic" in answer.headers["WWW-Authenticate"]
        assert nobody.get("/v1/topic/orders/records", headers={"X-Apig-AppCode": "shop-code"}).status_code == 200
        problem(nobody.get("/v1/topic/orders/records", headers={"X-Apig-AppCode": "wrong"}), 401, "APIC.0303")


def test_another_app_does_not_see_masked_fields(daemon: ChildDaemon, shop: httpx.Client) -> None:
    """Neither in bulks nor as a consumer; the owner does."""
    shop.post("/v1/topic/orders/messages", json=messages({"card": "4000", "mark": "masked"}))
    with daemon.topics(auth=READER) as reader:
        taken = []
        while part := reader.get(GROUP.format("masked"), params={"time_wait": 1}).json():
            taken += contents(part)
            reader.post(GROUP.format("masked"), json=verdicts(part))
        seen = [one for one in taken if isinstance(one, dict) and one.get("mark") == "masked"]
        read = [one["content"] for one in everything(reader, "orders", 2) if "masked" in json.dumps(one["content"])]
    own = [one["content"] for one in everything(shop, "orders", 2) if "masked" in json.dumps(one["content"])]
    assert seen == read == [{"card": "***", "mark": "masked"}]
    assert own == [{"card": "4000", "mark": "masked"}]


def test_what_is_masked_at_the_store_nobody_sees(daemon: ChildDaemon, shop: httpx.Client) -> None:
    """Also what was stored before the mask was applied: its owner's consumers and readers neither, nor dead letters."""
    daemon.apply("{kind: topic, app: shop, name: cards}")
    shop.post("/v1/topic/cards/messages", json=messages({"card": "before"}))
    daemon.apply("{kind: topic, app: shop, name: cards, mask: {fields: [card], at: store}}")
    shop.post("/v1/topic/cards/messages", json=messages({"card": "after"}))
    group, masked = "/v1/topic/cards/group/cards-group/messages", [{"card": "***"}] * 2
    for _ in range(2):
        taken = shop.get(group).json()
        assert contents(taken) == masked
        shop.post(group, json=verdicts(taken, "fail"))
    assert [one["content"] for one in everything(shop, "cards", 1)] == masked
    assert shop.get(group, params={"time_wait": 2}).json() == []
    assert [one["content"] for one in everything(shop, "cards-group.dead", 1)] == masked


def test_bad_calls_get_their_status_and_nothing_is_half_done(shop: httpx.Client) -> None:
    """Each in the gateway's error shape."""
    path = "/v1/topic/orders/messages"
    problem(shop.post("/v1/topic/nowhere/messages", json=messages(1)), 404, "APIC.0101")
    problem(shop.get("/somewhere"), 404, "APIC.0101")
    problem(shop.post(path, content=b"{"), 400, "APIC.0201")
    problem(shop.post(path, json=messages(*range(11))), 400, "APIC.0201")
    problem(shop.post(path, json=messages("x" * 2_100_000)), 413, "APIC.0201")
    problem(shop.post(path, content=b"{}", headers={"Content-Encoding": "br"}), 415, "APIC.0201")
    deep = b"[" * 100_000 + b"]" * 100_000
    assert "too deep" in problem(
        shop.post(path, content=b'{"messages":[{"id":"1","content":%b}]}' % deep), 400, "APIC.0201"
    )
    assert "record 2: it is nested too deep" in problem(
        shop.post("/v1/topic/orders/records", content=b'{"content":1}\n{"content":%b}' % deep), 400, "APIC.0201"
    )
    encoded = shop.post(GROUP.format("g"), content=b"{}", headers={"Content-Encoding": "gzip"})
    problem(encoded, 415, "APIC.0201")
    assert shop.get(path).headers["Allow"] == "POST"
    problem(shop.delete("/v1/topic/orders/records"), 405, "APIC.0201")
    problem(shop.get("/v1/topic/orders/records", params={"partition": 7}), 404, "APIC.0101")
    out = shop.get("/v1/topic/orders/records", params={"offset": 10**9})
    problem(out, 416, "APIC.0201")
    assert out.headers["X-Start-Offset"] == "0"
    before = len(everything(shop, "orders", 2))
    assert "record 2" in problem(shop.post("/v1/topic/orders/records", content=b'{"content":1}\n{'), 400, "APIC.0201")
    assert len(everything(shop, "orders", 2)) == before
    problem(shop.post(GROUP.format("unknown"), json=verdicts([{"handler": "x"}])), 404, "APIC.0101")


def test_a_forged_handler_spoils_its_call_and_nothing_else(shop: httpx.Client) -> None:
    """400, the genuine one beside it is not confirmed; a handler of another group is none here."""
    shop.post("/v1/topic/orders/messages", json=messages("a"))
    group = GROUP.format("forged")
    (one,) = shop.get(group, params={"max_msgs": 1}).json()
    problem(shop.post(group, json=verdicts([one, {"handler": "A" * len(one["handler"])}])), 400, "APIC.0201")
    assert shop.get(GROUP.format("other"), params={"max_msgs": 1}).json()
    problem(shop.post(GROUP.format("other"), json=verdicts([one])), 400, "APIC.0201")
    assert shop.post(group, json=verdicts([one])).json() == {"success": 1, "fail": 0}


def test_a_group_reads_one_topic_and_is_of_one_kind(daemon: ChildDaemon, shop: httpx.Client) -> None:
    """409 says what the name is used for."""
    shop.get(GROUP.format("mine"), params={"max_msgs": 1, "time_wait": 1})
    said = problem(shop.get("/v1/topic/small/group/mine/messages"), 409, "APIC.0201")
    assert "reads topic orders" in said
    daemon.apply(
        "{kind: connection, app: shop, name: db, connector: sqlite, settings: {path: x.db}}\n---\n"
        "{kind: task, app: shop, name: to-table, source: {topic: orders, fields: [{name: n, path: n}]}, enabled: false,"
        " target: {connection: db, table: T, create: true, columns: {N: n}}}"
    )
    problem(shop.get(GROUP.format("to-table")), 409, "APIC.0201")


@pytest.mark.parametrize("farewell", ["close", "reset"])
def test_nothing_is_handed_to_a_consumer_that_left(shop: httpx.Client, farewell: str) -> None:
    """Who gives up waiting takes nothing along: the next message goes to whoever asks then, at once."""
    path = GROUP.format(f"left-{farewell}")
    while taken := shop.get(path, params={"time_wait": 1}).json():
        shop.post(path, json=verdicts(taken))
    head = (
        f"GET {path}?time_wait=30&ack_wait=300 HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "
        f"{base64.b64encode(b'shop-key:shop-secret').decode()}\r\n\r\n"
    )
    with socket.create_connection((shop.base_url.host, shop.base_url.port or 80)) as waiting:
        waiting.sendall(head.encode())
        time.sleep(0.3)
        if farewell == "reset":
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.3)
    shop.post("/v1/topic/orders/messages", json=messages("late")).raise_for_status()
    assert contents(shop.get(path, params={"time_wait": 5}).json()) == ["late"]


def test_a_drain_does_not_wait_for_consumers_that_wait(tmp_path: Path) -> None:
    """A consumer with half a minute of patience gets its empty answer, and the daemon ends in time."""
    with ChildDaemon(tmp_path / "data") as child:
        child.apply(MANIFEST)
        with child.topics(auth=SHOP) as client:
            request = client.build_request("GET", GROUP.format("g"), params={"time_wait": 30})
            answers: list[httpx.Response] = []
            waiting = threading.Thread(target=lambda: answers.append(client.send(request)))
            waiting.start()
            waiting.join(1.5)
            assert child.stop(15) == 0
            waiting.join(10)
        assert [answer.json() for answer in answers] == [[]]
