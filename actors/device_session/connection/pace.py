"""How fast one device may publish: messages and bytes a second, over all of its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.runtime.token_bucket import TokenBucket

if TYPE_CHECKING:
    from actors.directory.identities import Identity
    from config.settings import MqttSettings


class Pace:
    """The buckets of one device; what it may publish in a second passes at once. A rate of 0 is none."""

    __slots__ = ("_bytes", "_messages", "users")

    def __init__(self, messages: int, size: int, now: float) -> None:
        self._messages = TokenBucket(messages, now) if messages else None
        self._bytes = TokenBucket(size, now) if size else None
        self.users = 0
        """How many connections have it."""

    def take(self, messages: int, size: int, now: float) -> float:
        """So many messages in so many bytes were read; returns for how many seconds nothing more is to be read."""
        wait = self._messages.take(messages, now) if self._messages is not None else 0.0
        return max(wait, self._bytes.take(size, now)) if self._bytes is not None else wait

    def is_forgotten(self, now: float) -> bool:
        """Whether it is as one that was just made, and nobody has it."""
        buckets = (bucket for bucket in (self._messages, self._bytes) if bucket is not None)
        return not self.users and all(bucket.is_full(now) for bucket in buckets)


class Paces:
    """The pace of each device that has connections, or had lately: reconnecting gains nothing."""

    def __init__(self, settings: MqttSettings) -> None:
        self._messages = settings.max_messages_per_second
        self._bytes = settings.max_bytes_per_second
        self._paces: dict[Identity, Pace] = {}

    def __len__(self) -> int:
        """How many are known."""
        return len(self._paces)

    def join(self, identity: Identity, now: float) -> Pace | None:
        """The pace for a new connection, which gives it back with `leave`; None where there are no limits."""
        if not self._messages and not self._bytes:
            return None
        pace = self._paces.get(identity)
        if pace is None:
            pace = self._paces[identity] = Pace(self._messages, self._bytes, now)
        pace.users += 1
        return pace

    def leave(self, pace: Pace) -> None:
        """A connection has ended."""
        pace.users -= 1

    def sweep(self, now: float) -> None:
        """Forget those that nobody needs."""
        for identity in [identity for identity, pace in self._paces.items() if pace.is_forgotten(now)]:
            del self._paces[identity]
