"""Laws of queries that hold for any topic and any selection."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.topic_query.query import QueryLimits, query, resume
from actors.topic_query.selection import Selection
from tests.actors.topic_query.parts import LogTopic, record, values

MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 2),  # partition
        st.sampled_from([None, "a", "b"]),  # key
        st.sampled_from(["", "x", "y"]),  # id
        st.sampled_from(["", "n", "n,s"]),  # tags
        st.booleans(),  # whether a new batch begins
    ),
    max_size=60,
)
SELECTIONS = st.builds(
    Selection,
    partition=st.none() | st.integers(0, 2),
    since=st.none() | st.integers(995, 1030),
    until=st.none() | st.integers(1031, 1065),
    key=st.none() | st.sampled_from([b"a", b"b"]),
    id=st.none() | st.sampled_from(["x", "y"]),
    tag=st.none() | st.sampled_from(["n", "s"]),
)


@settings(deadline=None, max_examples=120)
@given(
    messages=MESSAGES,
    selection=SELECTIONS,
    order=st.sampled_from(["newest", "oldest"]),
    limit=st.integers(1, 20),
    limits=st.builds(QueryLimits, st.integers(1, 100_000), st.integers(1, 100), st.integers(1, 10_000)),
)
def test_pages_bring_every_message_once_and_in_order(
    messages: list[tuple[int, str | None, str, str, bool]],
    selection: Selection,
    order: str,
    limit: int,
    limits: QueryLimits,
) -> None:
    """Whatever a page may bring and cost, its pages together bring what is looked for: all of it, once, in order."""
    with tempfile.TemporaryDirectory() as name:
        topic = LogTopic(Path(name), 3)
        pending: list[list[object]] = [[], [], []]
        for n, (partition, key, identifier, tags, cut) in enumerate(messages):
            pending[partition].append(record(n, key=key, id=identifier, tags=tags))
            if cut:
                topic.partitions[partition].append(*pending[partition])  # type: ignore[arg-type]
                pending[partition] = []
        for partition, rest in enumerate(pending):
            if rest:
                topic.partitions[partition].append(*rest)  # type: ignore[arg-type]
        seen, bounded = trio.run(_all_pages, topic, selection, order, limit, limits)
    number = topic.partition_for(selection.key) if selection.key is not None else None
    wanted_in = selection.partition if selection.partition is not None else number
    expected = [
        n
        for n, (partition, key, identifier, tags, _) in enumerate(messages)
        if wanted_in in (None, partition)
        and (selection.key is None or (key or "").encode() == selection.key)
        and (selection.id is None or identifier == selection.id)
        and (selection.tag is None or selection.tag in tags.split(","))
        and (selection.since is None or 1000 + n >= selection.since)
        and (selection.until is None or 1000 + n < selection.until)
    ]
    assert sorted(seen) == expected
    if not bounded:
        assert seen == (expected if order == "oldest" else expected[::-1])


async def _all_pages(
    topic: LogTopic, selection: Selection, order: str, limit: int, limits: QueryLimits
) -> tuple[list[int], bool]:
    """All that a query finds, and whether a page ended before it looked at all it might."""
    page = await query(topic, selection, order=order, limit=limit, limits=limits)  # type: ignore[arg-type]
    seen = values(page.messages)
    bounded = page.scanned_records >= limits.scanned_records or page.scanned_bytes >= limits.scanned_bytes
    left = sum(one.left for one in page.looked)
    while page.cursor is not None:
        page = await resume(topic, page.cursor, limit=limit, limits=limits)
        assert values(page.messages) or sum(one.left for one in page.looked) < left
        left = sum(one.left for one in page.looked)
        seen += values(page.messages)
        bounded |= page.scanned_records >= limits.scanned_records or page.scanned_bytes >= limits.scanned_bytes
    return seen, bounded
