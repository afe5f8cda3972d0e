"""Replays send what was chosen, once, in order, and say where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.records import StoredRecord
from actors.topic_partition.gate import ORIGIN_HEADER, GateState
from actors.topic_partition.topic import TopicReference
from actors.topic_query.replay import REPLAYED_HEADER, REPLAYED_TIME_HEADER, Replay
from actors.topic_query.selection import Selection, SelectionError
from config.resources import Mask
from tests.actors.topic_query.parts import named, put, record, running_topics


async def stored(topic: TopicReference) -> list[list[StoredRecord]]:
    """Everything that a topic holds, by partition."""
    everything = []
    for partition in topic.partitions:
        held: list[StoredRecord] = []
        while len(held) < partition.high_watermark:
            held += (await partition.fetch(len(held), 1 << 20)).records()
        everything.append(held)
    return everything


async def test_messages_arrive_with_their_keys_and_their_origin(tmp_path: Path) -> None:
    """Key, value and the producer's own headers stay; the program's are replaced by where the message comes from."""
    async with running_topics(tmp_path, t=2, u=3) as topics:
        t, u = named(topics, "t"), named(topics, "u")
        mine = record(7, key="lot-1", id="m7", tags="north")
        await put(t, 1, mine._replace(headers=(*mine.headers, ("trace", b"1"), ("penstock-producer", b"x/1"))))
        done = await Replay(topics, t, "u", Selection()).run(5000)
        assert (done.messages, done.reason, done.positions) == (1, "", {0: 0, 1: 1})
        (found,) = (await stored(u))[u.partition_for(b"lot-1")]
        assert (found.key, found.value, found.timestamp) == (b"lot-1", b'{"n": 7}', 5000)
        assert found.headers == (
            *mine.headers,
            ("trace", b"1"),
            (REPLAYED_HEADER, b"t-1@0"),
            (REPLAYED_TIME_HEADER, b"1970-01-01T00:00:01.007Z"),
        )


async def test_a_replay_to_the_same_topic_ends(tmp_path: Path) -> None:
    """Only what the topic held when it began is sent, however much it sends there itself."""
    async with running_topics(tmp_path, t=1) as topics:
        t = named(topics, "t")
        for n in range(0, 1500, 100):
            await put(t, 0, *(record(m) for m in range(n, n + 100)))
        done = await Replay(topics, t, "t", Selection(offset=100)).run(5000)
        assert done.messages == 1400
        everything = (await stored(t))[0]
        assert [one.value for one in everything[1500:]] == [one.value for one in everything[100:1500]]


async def test_order_stays_within_a_partition(tmp_path: Path) -> None:
    """With keys and without, what followed in a partition of the source follows in the target."""
    async with running_topics(tmp_path, t=3, u=2) as topics:
        t, u = named(topics, "t"), named(topics, "u")
        for n in range(300):
            await put(t, n % 3, record(n, key=f"k{n % 3}" if n % 2 else None))
        await Replay(topics, t, "u", Selection()).run(5000)
        for held in await stored(u):
            for source in (b"t-0@", b"t-1@", b"t-2@"):
                offsets = [
                    int(dict(one.headers)[REPLAYED_HEADER][4:])
                    for one in held
                    if source in dict(one.headers)[REPLAYED_HEADER]
                ]
                assert offsets == sorted(offsets)
        assert sum(map(len, await stored(u))) == 300


async def test_only_what_is_chosen_is_sent(tmp_path: Path) -> None:
    """Selectors and the limit choose; a dry run counts the same and sends nothing."""
    async with running_topics(tmp_path, t=1, u=1) as topics:
        t, u = named(topics, "t"), named(topics, "u")
        await put(t, 0, *(record(n, id=f"m{n % 10}") for n in range(100)))
        wanted = Selection(id="m3", since=1050)
        assert (await Replay(topics, t, "u", wanted).dry_run()).messages == 5
        assert (await Replay(topics, t, "u", wanted, limit=2).dry_run()).messages == 2
        assert await stored(u) == [[]]
        assert (await Replay(topics, t, "u", wanted, limit=2).run(5000)).messages == 2
        assert [one.value for one in (await stored(u))[0]] == [b'{"n": 53}', b'{"n": 63}']


async def test_a_target_that_refuses_ends_it(tmp_path: Path) -> None:
    """What was sent is counted, the reason told, and from where it can go on."""
    async with running_topics(tmp_path, t=1, u=1) as topics:
        t, u = named(topics, "t"), named(topics, "u")
        await put(t, 0, *(record(n) for n in range(1200)))
        u.gate.set(GateState.REJECTING, "a group lags", allowance=1)
        done = await Replay(topics, t, "u", Selection()).run(5000)
        assert (done.messages, done.positions) == (500, {0: 500})
        assert "takes no records now: a group lags" in done.reason
        u.gate.set(GateState.OPEN)
        rest = await Replay(topics, t, "u", Selection(offset=500)).run(5000)
        assert (rest.messages, rest.reason) == (700, "")
        assert [one.value for one in (await stored(u))[0]] == [one.value for one in (await stored(t))[0]]


async def test_a_target_that_goes_ends_it(tmp_path: Path) -> None:
    """A topic that is deleted meanwhile takes nothing more, and that is told."""
    async with running_topics(tmp_path, t=1) as topics:
        t = named(topics, "t")
        await put(t, 0, record(1))
        done = await Replay(topics, t, "nowhere", Selection()).run(5000)
        assert (done.messages, done.reason) == (0, "there is no topic nowhere any more")


async def test_a_diverting_target_gets_it_where_it_diverts_to(tmp_path: Path) -> None:
    """A replay is a producer like others: diverted records say which topic they were meant for."""
    async with running_topics(tmp_path, t=1, u=1, ditch=1) as topics:
        t, ditch = named(topics, "t"), named(topics, "ditch")
        await put(t, 0, record(1))
        named(topics, "u").gate.set(GateState.DIVERTED, "a group lags", divert_to="ditch")
        await Replay(topics, t, "u", Selection()).run(5000)
        (found,) = (await stored(ditch))[0]
        assert dict(found.headers)[ORIGIN_HEADER] == b"u"


async def test_another_apps_topic_gets_what_that_app_may_see(tmp_path: Path) -> None:
    """Masked on the way to another app's topic, whole on the way to one of the same app."""
    async with running_topics(tmp_path, t=1, u=1) as topics:
        t, u = named(topics, "t"), named(topics, "u")
        t.mask = Mask(fields=("n",))
        await put(t, 0, record(1))
        await Replay(topics, t, "u", Selection()).run(5000)
        u.app = "b"
        await Replay(topics, t, "u", Selection()).run(5000)
        assert [one.value for one in (await stored(u))[0]] == [b'{"n": 1}', b'{"n":"***"}']


async def test_a_selection_that_cannot_be_sends_nothing(tmp_path: Path) -> None:
    """What is wrong with it is told before anything is sent."""
    async with running_topics(tmp_path, t=2) as topics:
        with pytest.raises(SelectionError):
            await Replay(topics, named(topics, "t"), "t", Selection(partition=2)).run(5000)
