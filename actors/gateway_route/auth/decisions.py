"""What authorizers decided, kept for a while: bounded in number and in bytes. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from actors.sizes import size_words

MAX_CONTEXT_BYTES = 16 * 1024
"""What an authorizer may say of a caller, as JSON."""

_MAX_ENTRIES = 10_000
_MAX_BYTES = 8 * 1024 * 1024
# What a decision costs beside its context.
_ENTRY_BYTES = 400


class UnusableDecisionError(ValueError):
    """What a function answered is no decision; says why, without what it said."""


class Decision(NamedTuple):
    """Whether a caller is let in, and what is said of it; `mark` tells callers apart, `size` is in bytes of JSON."""

    allowed: bool
    context: Mapping[str, Any]
    mark: str
    size: int


def decision_of(answer: Any, key: bytes) -> Decision:
    """Read `{"status": "allow" | "deny", "context": {...}}`; `key` is that of the caller.

    Raises:
        UnusableDecisionError: it is something else, or its context is too large.
    """
    match answer:
        case {"status": ("allow" | "deny") as status}:
            allowed = status == "allow"
        case _:
            raise UnusableDecisionError("an authorizer answers an object with `status`, which is `allow` or `deny`")
    context = answer.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise UnusableDecisionError("`context` of its answer is no object")
    encoded = msgspec.json.encode(context, order="deterministic")
    if len(encoded) > MAX_CONTEXT_BYTES:
        raise UnusableDecisionError(
            f"`context` of its answer has {len(encoded)} bytes; at most {size_words(MAX_CONTEXT_BYTES)} go"
        )
    mark = blake2b(key + encoded, digest_size=16).hexdigest()
    return Decision(allowed, context, mark, len(encoded))


class Decisions:
    """The decisions of one authorizer, by the digest of what tells callers apart; those asked for least recently go.

    Times in seconds of a clock that never goes back.
    """

    __slots__ = ("_bytes", "_kept", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[bytes, tuple[float, Decision]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes, now: float) -> Decision | None:
        """What was decided, where it still holds."""
        found = self._kept.get(key)
        if found is None:
            return None
        if now >= found[0]:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def keep(self, key: bytes, decision: Decision, now: float) -> None:
        """Let a decision hold from now on."""
        self._forget(key)
        self._kept[key] = (now + self._seconds, decision)
        self._bytes += decision.size + _ENTRY_BYTES
        while len(self._kept) > _MAX_ENTRIES or self._bytes > _MAX_BYTES:
            self._forget(next(iter(self._kept)))

    def clear(self) -> None:
        """Nothing of it holds any more."""
        self._kept.clear()
        self._bytes = 0

    def _forget(self, key: bytes) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= found[1].size + _ENTRY_BYTES
