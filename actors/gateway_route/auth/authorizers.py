"""Authorizers: functions that are asked who calls, and what they said is remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import trio

from actors.errors import PenstockError
from actors.functions.failures import Failures
from actors.functions.messages import FunctionCalls
from actors.gateway_route.auth.decisions import Decision, Decisions
from config.resources import Authorizer

Clock = Callable[[], float]
"""Seconds of a clock that never goes back."""


class Subject(NamedTuple):
    """What an authorizer is asked about: `place` is where, `data` makes what its function gets.

    `identity` is what its `identities` found in the request, in their order.
    """

    place: str
    data: Callable[[], Mapping[str, Any]]
    identity: tuple[Any, ...]


class AuthorizerStatistics(NamedTuple):
    """What became of the calls that an authorizer was asked about; `remembered` of them ran no function."""

    allowed: int
    denied: int
    failed: int
    remembered: int
    kept: int


class _Question:
    """A decision that is being made; where it was cut off, whoever waited for it asks in its place."""

    __slots__ = ("decision", "ended", "error")

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.decision: Decision | None = None
        self.error: PenstockError | None = None


@dataclass(slots=True)
class RunningAuthorizer:
    """One authorizer as it is applied, with what it remembers; a new one takes its place when it changes.

    Whatever the function said is forgotten once another code of it runs. `failures` are those of the function.
    """

    settings: Authorizer
    functions: FunctionCalls
    clock: Clock
    allowed: int = 0
    denied: int = 0
    failed: int = 0
    remembered: int = 0
    failures: Failures = field(init=False, default_factory=Failures)
    _decisions: Decisions = field(init=False)
    _edition: object | None = field(init=False, default=None)
    _asked: dict[bytes, _Question] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is remembered yet."""
        self._decisions = Decisions(self.settings.ttl)

    def key(self, subject: Subject) -> bytes:
        """What tells callers apart: the identities; without any, all that the function gets. A digest keeps no secret.

        A decision about one method and path of one route and environment is none about another.
        """
        told: Any = subject.identity if self.settings.identities else subject.data()
        text = msgspec.json.encode([subject.place, told], order="deterministic")
        return blake2b(text, digest_size=24).digest()

    def known(self, key: bytes) -> Decision | None:
        """What was decided before, and still holds."""
        if not self.settings.ttl:
            return None
        edition = self.functions.edition(self.settings.function)
        if edition is not self._edition:
            self._decisions.clear()
            self._edition = edition
            return None
        found = self._decisions.find(key, self.clock())
        if found is not None:
            self.remembered += 1
        return found

    async def decide(self, key: bytes, ask: Callable[[], Any]) -> Decision:
        """Have `ask` decide; of those who ask the same at a time, one does where decisions are remembered.

        Raises:
            PenstockError: what `ask` raised, to all who waited for it.
        """
        if not self.settings.ttl:
            return await ask()  # type: ignore[no-any-return]  # it returns a decision
        while (asked := self._asked.get(key)) is not None:
            await asked.ended.wait()
            if asked.decision is not None:
                self.remembered += 1
                return asked.decision
            if asked.error is not None:
                # One error may answer many: without this, each of them would lengthen its traceback.
                raise asked.error.with_traceback(None)
        return await self._ask(key, ask)

    async def _ask(self, key: bytes, ask: Callable[[], Any]) -> Decision:
        mine = self._asked[key] = _Question()
        edition = self.functions.edition(self.settings.function)
        try:
            mine.decision = decision = await ask()
            if edition is self.functions.edition(self.settings.function) is self._edition:
                self._decisions.keep(key, decision, self.clock())
        except PenstockError as error:
            mine.error = error
            raise
        finally:
            del self._asked[key]
            mine.ended.set()
        return decision  # type: ignore[no-any-return]  # likewise

    def statistics(self) -> AuthorizerStatistics:
        """What it has decided so far."""
        return AuthorizerStatistics(self.allowed, self.denied, self.failed, self.remembered, len(self._decisions))


class Authorizers:
    """The authorizers that there are, by name."""

    def __init__(self, functions: FunctionCalls, clock: Clock = trio.current_time) -> None:
        self.functions = functions
        self._clock = clock
        self._running: dict[str, RunningAuthorizer] = {}

    def put(self, authorizer: Authorizer) -> None:
        """Add an authorizer, or replace the one of that name and all that it remembers."""
        before = self._running.get(authorizer.name)
        if before is None or before.settings != authorizer:
            self._running[authorizer.name] = RunningAuthorizer(authorizer, self.functions, self._clock)

    def remove(self, name: str) -> None:
        """Forget an authorizer; one that is not there is no error."""
        self._running.pop(name, None)

    def get(self, name: str) -> RunningAuthorizer | None:
        """The authorizer of that name."""
        return self._running.get(name)
