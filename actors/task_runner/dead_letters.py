"""The dead-letter topic of a task: records that cannot become rows, with the reason and where they came from."""

from __future__ import annotations

from collections.abc import Sequence

from actors.errors import RecordTooLargeError
from actors.records import Header, Record, TopicPartition
from actors.task_runner.core import HeldError
from actors.task_runner.mapping import Rejected
from actors.topic_partition.messages import Append
from actors.topic_partition.topic import Topics


def dead_letter_topic(task: str) -> str:
    """The name of a task's dead-letter topic."""
    return f"{task}.dead"


class DeadLetters:
    """Puts records into `<task>.dead`, with their own key, value, timestamp and headers, and the headers `reason`,
    `task`, `source_topic`, `source_partition` and `source_offset` (text in UTF-8).

    They are on disk (as far as that topic says) before `put` returns. A record whose position could not be moved past
    it afterwards comes a second time.
    """  # noqa: D205 - the list of headers is the summary

    def __init__(self, task: str, topics: Topics) -> None:
        self._task = task
        self._topics = topics

    async def put(self, source: TopicPartition, rejected: Sequence[Rejected]) -> None:
        """Append the records, in order, to the partition of the source's number, and wait until they are stored.

        Raises:
            HeldError: there is no such topic.
            AppendRefusedError: its partition takes no appends now.
            ActorGone: its partition has ended.
        """
        letters = [self._letter(source, one) for one in rejected]
        try:
            await self._append(source.partition, letters)
        except RecordTooLargeError:
            # With its headers a record may be larger than its topic takes; the source still has its value.
            for letter in letters:
                await self._append_cut(source.partition, letter)

    async def _append_cut(self, partition: int, letter: Record) -> None:
        try:
            await self._append(partition, [letter])
        except RecordTooLargeError:
            headers = (*letter.headers[-_OWN_HEADERS:], ("value_left_out", b"larger than this topic takes"))
            await self._append(partition, [Record(None, None, letter.timestamp, headers)])

    async def _append(self, partition: int, letters: Sequence[Record]) -> None:
        name = dead_letter_topic(self._task)
        topic = self._topics.get(name)
        if topic is None:
            raise HeldError(f"a record cannot be mapped or written, and there is no topic {name} to put it; create it")
        append = Append(
            letters, sum(len(one.key or b"") + len(one.value or b"") for one in letters), sender="dead_letters"
        )
        topic.partitions[partition % len(topic.partitions)].submit(append)
        await append.reply.wait()

    def _letter(self, source: TopicPartition, rejected: Rejected) -> Record:
        record = rejected.record
        headers: tuple[Header, ...] = (
            ("reason", rejected.reason.encode()),
            ("task", self._task.encode()),
            ("source_topic", source.topic.encode()),
            ("source_partition", str(source.partition).encode()),
            ("source_offset", str(record.offset).encode()),
        )
        return Record(record.key, record.value, record.timestamp, (*record.headers, *headers))


_OWN_HEADERS = 5
