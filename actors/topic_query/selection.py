"""Which messages are looked for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from actors.errors import PenstockError
from actors.records import ID_HEADER, TAGS_HEADER, StoredRecord

Order: TypeAlias = Literal["newest", "oldest"]
Wanted: TypeAlias = Callable[[StoredRecord], bool]

_SEPARATOR = b","


class SelectionError(PenstockError):
    """A selection that cannot be used; `field` is the part of it that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Selection:
    """What is looked for; what is None narrows nothing.

    `offset` goes with `partition`: from there on, or back from there where the newest come first. `since` and `until`
    are milliseconds since the epoch, `until` not included. `id` and `tag` are those that a producer gave.
    """

    partition: int | None = None
    offset: int | None = None
    since: int | None = None
    until: int | None = None
    key: bytes | None = None
    id: str | None = None
    tag: str | None = None

    def check(self, partitions: int) -> None:
        """Hold it against a topic with so many partitions.

        Raises:
            SelectionError: there is no such partition, or parts contradict one another.
        """
        if self.partition is not None and not 0 <= self.partition < partitions:
            there_are = "there is only partition 0" if partitions == 1 else f"they are 0 to {partitions - 1}"
            raise SelectionError("partition", f"there is no partition {self.partition}: {there_are}")
        if self.offset is not None and self.partition is None and partitions > 1:
            raise SelectionError("offset", "an offset means something only together with a partition")
        if self.offset is not None and self.offset < 0:
            raise SelectionError("offset", f"offsets begin with 0, {self.offset} is none")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise SelectionError("to", "`to` must be later than `from`")

    def matcher(self) -> Wanted:
        """Whether a record is looked for, wherever it stands."""
        tests: list[Wanted] = []
        key, since, until = self.key, self.since, self.until
        if key is not None:
            tests.append(lambda record: record.key == key)
        if since is not None:
            tests.append(lambda record: record.timestamp >= since)
        if until is not None:
            tests.append(lambda record: record.timestamp < until)
        if self.id is not None:
            wanted_id = (ID_HEADER, self.id.encode())
            tests.append(lambda record: wanted_id in record.headers)
        if self.tag is not None:
            tag = self.tag.encode()
            tests.append(lambda record: has_tag(record, tag))
        if len(tests) == 1:
            return tests[0]
        return lambda record: all(test(record) for test in tests)


def has_tag(record: StoredRecord, tag: bytes) -> bool:
    """Whether a record has a tag, as the whole of its tags or as one between commas."""
    for name, value in record.headers:
        if name == TAGS_HEADER and (value == tag or tag in [part.strip() for part in value.split(_SEPARATOR)]):
            return True
    return False
