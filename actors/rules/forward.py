"""How the messages of one plan become the records of one topic."""

from __future__ import annotations

import random
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from actors.directory.thing_model import Checker
from actors.records import Header, Record
from actors.rules.condition import Condition
from actors.rules.envelope import in_base64
from actors.rules.keys import SUFFIXES, KeyExtractor

_new = tuple.__new__


@dataclass(frozen=True, slots=True)
class Forward:
    """One target of one rule.

    A record's value is `prefix + payload + suffix`, the payload in base64 where `base64` says so. Its key is `key`
    (None: no key), unless `extract_key` reads it out of each payload. With `spread` each call of `records` adds a
    suffix of its own to the keys, so that the batches of one key go to all partitions. `check`, where there is one,
    tells why a payload cannot be forwarded here (it is not JSON and the envelope is), and is asked before `record` or
    `records`. With a `condition` a function is to be asked about each record before it is stored.
    """

    rule: str
    topic: str
    key: bytes | None
    prefix: bytes = b""
    suffix: bytes = b""
    base64: bool = False
    extract_key: KeyExtractor | None = None
    check: Checker | None = None
    headers: tuple[Header, ...] = ()
    spread: bool = False
    condition: Condition | None = None

    @property
    def fixed(self) -> bool:
        """Whether every record has the same key."""
        return self.key is not None and self.extract_key is None and not self.spread

    def with_headers(self, *headers: Header) -> Forward:
        """The same, with these headers on every record."""
        return replace(self, headers=headers)

    def payload_of(self, record: Record) -> bytes:
        """The payload that became this record."""
        value = record.value or b""
        value = value[len(self.prefix) : len(value) - len(self.suffix)]
        return a2b_base64(value) if self.base64 else value

    def record(self, payload: bytes, timestamp: int) -> Record:
        """The record of one payload; `timestamp` in milliseconds since the epoch."""
        return self.records((payload,), timestamp)[0]

    def records(self, payloads: Sequence[bytes], timestamp: int) -> list[Record]:
        """The records of many payloads, in their order."""
        values = [in_base64(payload) for payload in payloads] if self.base64 else payloads
        if self.prefix:
            prefix, suffix = self.prefix, self.suffix
            values = [prefix + value + suffix for value in values]
        headers = self.headers
        # One for all: the records of a batch stay together, and the next batch goes elsewhere.
        suffix = random.choice(SUFFIXES) if self.spread else b""
        if self.extract_key is not None:
            keys = [key + suffix if key is not None else None for key in map(self.extract_key, payloads)]
            return [_new(Record, (key, value, timestamp, headers)) for key, value in zip(keys, values, strict=True)]
        key = self.key + suffix if self.key is not None else None
        return [_new(Record, (key, value, timestamp, headers)) for value in values]


class Batch(NamedTuple):
    """What one forward makes of many payloads: records, and the reasons of those that it could not take."""

    forward: Forward
    records: list[Record]
    refused: list[str]
