"""What one may ask of a group of HTTP consumers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.runtime.reply import Reply
from actors.topic_gateway.deliveries import Handed, Verdict


@dataclass(frozen=True, slots=True)
class Take:
    """Hand me at most so many messages, of at most so many bytes together, to be confirmed within `ack_wait` seconds.

    The answer comes as soon as there is one; who does not want to wait any longer withdraws.
    """

    max_messages: int
    max_bytes: int
    ack_wait: int
    reply: Reply[list[Handed]] = field(default_factory=Reply)


@dataclass(frozen=True, slots=True)
class Settle:
    """This became of messages: answers how many count as success and as failed, once that is stored and synced.

    `at` is when it was said, in milliseconds since the epoch: what waits here meanwhile is not late by that.
    """

    verdicts: Sequence[Verdict]
    at: int
    reply: Reply[tuple[int, int]] = field(default_factory=Reply)


HttpGroupMessage = Take | Settle
