"""Queries find what is there, say how far they looked, and cost what they may."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from actors.errors import OffsetOutOfRangeError
from actors.topic_query.query import QueryLimits, query, resume
from actors.topic_query.selection import Selection, SelectionError
from tests.actors.log.parts import flip, log_file
from tests.actors.topic_query.parts import LogTopic, record, values


async def test_newest_and_oldest_first_page_by_page(tmp_path: Path) -> None:
    """Pages follow one another without gap or repetition, and the last one has no cursor."""
    topic = LogTopic(tmp_path)
    for n in range(0, 25, 5):
        topic.partitions[0].append(*(record(m) for m in range(n, n + 5)))
    for order, expected in (("newest", list(range(24, -1, -1))), ("oldest", list(range(25)))):
        page = await query(topic, Selection(), order=order, limit=10)  # type: ignore[arg-type]
        seen = values(page.messages)
        assert seen == expected[:10]
        while page.cursor is not None:
            page = await resume(topic, page.cursor, limit=10)
            seen += values(page.messages)
        assert seen == expected
        assert page.looked[0].left == 0


async def test_partitions_are_merged_by_time(tmp_path: Path) -> None:
    """Of several partitions the messages come in the order of their times, over all pages."""
    topic = LogTopic(tmp_path, 3)
    for n in range(30):
        topic.partitions[n * 7 % 3].append(record(n))
    page = await query(topic, Selection(), limit=7)
    seen = values(page.messages)
    while page.cursor is not None:
        page = await resume(topic, page.cursor, limit=7)
        seen += values(page.messages)
    assert seen == list(range(29, -1, -1))


async def test_by_partition_and_offset(tmp_path: Path) -> None:
    """From an offset on, or back from it; what the partition does not hold is told."""
    topic = LogTopic(tmp_path, 2)
    topic.partitions[1].append(*(record(n) for n in range(10)))
    forth = await query(topic, Selection(partition=1, offset=6), order="oldest")
    back = await query(topic, Selection(partition=1, offset=6), order="newest", limit=3)
    assert (values(forth.messages), values(back.messages)) == ([6, 7, 8, 9], [6, 5, 4])
    with pytest.raises(OffsetOutOfRangeError, match="offset 10 is not here: the partition holds 0 up to 10"):
        await query(topic, Selection(partition=1, offset=10))
    assert (await query(topic, Selection(partition=0, offset=0))).messages == []


async def test_by_time_the_index_leads_there(tmp_path: Path) -> None:
    """Of a time range only its messages are looked at."""
    topic = LogTopic(tmp_path)
    for n in range(500):
        topic.partitions[0].append(record(n))
    for order, expected in (("oldest", [300, 301, 302]), ("newest", [302, 301, 300])):
        page = await query(topic, Selection(since=1300, until=1303), order=order)  # type: ignore[arg-type]
        assert values(page.messages) == expected
        assert page.scanned_records < 10
        assert page.cursor is None


async def test_by_key_only_its_partition_is_looked_at(tmp_path: Path) -> None:
    """A key's messages lie in one partition; another one can be named."""
    topic = LogTopic(tmp_path, 4)
    number = topic.partition_for(b"lot-1")
    for n in range(20):
        topic.partitions[number].append(record(n, key=f"lot-{n % 2}"))
    page = await query(topic, Selection(key=b"lot-1"))
    assert values(page.messages) == list(range(19, 0, -2))
    assert [(one.partition, one.start, one.end, one.left) for one in page.looked] == [(number, 0, 20, 0)]
    elsewhere = await query(topic, Selection(key=b"lot-1", partition=(number + 1) % 4))
    assert elsewhere.messages == []


async def test_by_id_and_tag(tmp_path: Path) -> None:
    """The id and the tags that a producer gave are found; one tag among several counts, a part of one does not."""
    topic = LogTopic(tmp_path)
    topic.partitions[0].append(
        record(0, id="a", tags="north"), record(1, id="b", tags="south, north"), record(2, id="a", tags="northern")
    )
    assert values((await query(topic, Selection(id="a"))).messages) == [2, 0]
    assert values((await query(topic, Selection(tag="north"))).messages) == [1, 0]
    assert values((await query(topic, Selection(tag="north", id="b"))).messages) == [1]


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_a_scan_is_bounded_and_says_how_far_it_looked(tmp_path: Path, order: str) -> None:
    """Looking for what is rare ends after so many messages, tells how far it came, and can be gone on with."""
    topic = LogTopic(tmp_path)
    for n in range(0, 3000, 10):
        topic.partitions[0].append(
            *(record(m, key="k" * 1000, id="x" if m in (5, 2995) else "") for m in range(n, n + 10))
        )
    limits = QueryLimits(scanned_records=1000)
    page = await query(topic, Selection(id="x"), order=order, limits=limits)  # type: ignore[arg-type]
    assert len(page.messages) == 1
    assert page.cursor is not None
    looked = page.looked[0]
    assert 1000 <= looked.end - looked.start < 3000
    assert looked.left == 3000 - (looked.end - looked.start)
    pages = 1
    while page.cursor is not None:
        page = await resume(topic, page.cursor, limits=limits)
        pages += 1
    assert len(page.messages) == 1
    assert pages <= 4


async def test_large_messages_make_small_pages(tmp_path: Path) -> None:
    """A page holds so many bytes and not more, but always at least one message."""
    topic = LogTopic(tmp_path)
    for n in range(10):
        topic.partitions[0].append(record(n)._replace(value=b"x" * 50_000))
    for order in ("newest", "oldest"):
        page = await query(topic, Selection(), order=order, limits=QueryLimits(page_bytes=120_000))  # type: ignore[arg-type]
        assert len(page.messages) == 2
        small = await query(topic, Selection(), order=order, limits=QueryLimits(page_bytes=1))  # type: ignore[arg-type]
        assert len(small.messages) == 1


async def test_what_is_damaged_is_told_and_passed(tmp_path: Path) -> None:
    """Around a damaged batch everything is found, and the page says what could not be read."""
    topic = LogTopic(tmp_path)
    ends = []
    for n in range(0, 15, 3):
        topic.partitions[0].append(record(n), record(n + 1), record(n + 2))
        ends.append(topic.partitions[0].log.size)
    flip(log_file(tmp_path / "t-0"), ends[1] + 70)
    for order in ("newest", "oldest"):
        page = await query(topic, Selection(), order=order)  # type: ignore[arg-type]
        assert sorted(values(page.messages)) == [*range(6), *range(9, 15)]
        assert len(page.damage) == 1
        assert "offsets 6 to 8" in page.damage[0]
        assert page.cursor is None


async def test_what_retention_deleted_meanwhile_is_gone(tmp_path: Path) -> None:
    """A cursor whose offsets went goes on with what is left."""
    topic = LogTopic(tmp_path)
    log = topic.partitions[0].log
    for n in range(10):
        topic.partitions[0].append(record(n))
        log.roll()
    page = await query(topic, Selection(), order="oldest", limit=2)
    log.retain(1e10, 1, None)
    assert page.cursor is not None
    assert (await resume(topic, page.cursor)).messages == []


@pytest.mark.parametrize(
    ("selection", "field", "reason"),
    [
        (Selection(partition=2), "partition", "there is no partition 2: they are 0 to 1"),
        (Selection(partition=-1), "partition", "there is no partition -1"),
        (Selection(offset=5), "offset", "only together with a partition"),
        (Selection(partition=0, offset=-1), "offset", "offsets begin with 0"),
        (Selection(since=5, until=5), "to", "`to` must be later than `from`"),
    ],
)
async def test_selections_that_cannot_be(tmp_path: Path, selection: Selection, field: str, reason: str) -> None:
    """What contradicts itself or the topic is refused with its reason."""
    with pytest.raises(SelectionError, match=reason) as caught:
        await query(LogTopic(tmp_path, 2), selection)
    assert caught.value.field == field


async def test_cursors_that_cannot_be(tmp_path: Path) -> None:
    """A cursor is taken only as a query gave it, and only for its topic."""
    topic = LogTopic(tmp_path)
    topic.partitions[0].append(record(0), record(1))
    cursor = (await query(topic, Selection(), limit=1)).cursor
    assert cursor is not None
    other = LogTopic(tmp_path / "other")
    other.name = "other"
    wrong = base64.urlsafe_b64encode(b'{"topic":"t","selection":{},"order":"newest","spans":{"7":[0,1]}}').decode()
    for topic_, text in ((topic, "x"), (topic, "é"), (topic, cursor[:-4]), (other, cursor), (topic, wrong)):
        with pytest.raises(SelectionError) as caught:
            await resume(topic_, text)
        assert caught.value.field == "cursor"
    with pytest.raises(SelectionError, match="1 to 1000 messages"):
        await resume(topic, cursor, limit=0)
