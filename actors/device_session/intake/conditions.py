"""Reports that wait for a function to say whether a rule takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from actors.errors import ActorGone, FunctionError, PenstockError
from actors.functions.batches import call_each
from actors.functions.failures import Failures, LastFailure
from actors.functions.messages import FunctionFailure
from actors.runtime.backoff import Backoff
from actors.topic_partition.messages import Append

if TYPE_CHECKING:
    from actors.device_session.counters import Counters
    from actors.device_session.targets import PartitionTarget
    from actors.functions.messages import FunctionCalls
    from actors.records import Record, TopicPartition
    from actors.rules.condition import Condition
    from actors.rules.forward import Forward
    from actors.runtime.log_limiter import LogLimiter

# What one call is asked: a function has one time-out for all of them.
_REPORTS_A_CALL: Final = 256
_REASON_SHOWN: Final = 200
_RULES_NAMED: Final = 3
_BACKOFF: Final = Backoff(initial=0.1, maximum=5.0)


class Doubt(NamedTuple):
    """Of the records of an append, those from `start` to before `end` are subject to the condition of their forward."""

    start: int
    end: int
    forward: Forward


class ConditionStatistics(NamedTuple):
    """What became of the reports that a rule's condition was asked about.

    `last_failure` is that of its function; `holding` tells why they wait, if they do.
    """

    taken: int = 0
    dropped: int = 0
    failed: int = 0
    last_failure: LastFailure | None = None
    holding: str = ""


class _Waiting(NamedTuple):
    partition: PartitionTarget
    append: Append
    doubts: Sequence[Doubt]


class Conditions:
    """Has functions decide what is appended; one line for each partition, so that its order stays as it is.

    What waits is bounded by what sessions may have outstanding: nothing of it is acknowledged before it is stored, or
    a function has said that it is not to be. A function is called once for all that waits, from however many sessions;
    while it cannot be called at all, its partition's line waits. A report for which it fails, or answers anything but
    true or false, is dropped or taken as the rule says. It is a Child, and may live several times.
    """

    def __init__(self, functions: FunctionCalls | None, counters: Counters, log: LogLimiter) -> None:
        self._functions = functions
        self._counters = counters
        self._log = log
        self._lines: dict[TopicPartition, deque[_Waiting]] = {}
        self._rules: dict[str, ConditionStatistics] = {}
        self._failures: dict[str, Failures] = {}
        self._nursery: trio.Nursery | None = None
        self._stopping = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Decide until stopped, and then what is left, for as long as it is let."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                started()
                await self._stopping.wait()
                self._nursery = None
        finally:
            # Ready for another life.
            self._nursery = None
            self._stopping = trio.Event()
            lines, self._lines = self._lines, {}
            for waiting in (one for line in lines.values() for one in line):
                waiting.append.reply.fail(ActorGone("conditions"))

    def stop(self) -> None:
        """Take nothing new, decide what is here, and end."""
        self._stopping.set()

    def submit(
        self, place: TopicPartition, partition: PartitionTarget, append: Append, doubts: Sequence[Doubt]
    ) -> None:
        """Leave an append in line; its answer comes once what is left of it is stored, or nothing is left.

        Raises:
            ActorGone: nobody decides now.
        """
        if self._nursery is None or self._functions is None:
            raise ActorGone("conditions")
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = deque()
            self._nursery.start_soon(self._work, place, line)
        line.append(_Waiting(partition, append, doubts))

    @property
    def waiting(self) -> int:
        """How many reports wait for a decision."""
        return sum(len(one.append.records) for line in self._lines.values() for one in line)

    def statistics(self, rule: str) -> ConditionStatistics:
        """What a rule's condition has decided since the start."""
        return self._rules.get(rule, ConditionStatistics())

    def forget(self, rule: str) -> None:
        """The rule is gone."""
        self._rules.pop(rule, None)
        self._failures.pop(rule, None)

    async def _work(self, place: TopicPartition, line: deque[_Waiting]) -> None:
        while line:
            # They stay in line until they are decided: what cuts this off finds them there.
            some = _some(line)
            verdicts = await self._verdicts(some)
            for one, refused in zip(some, verdicts, strict=True):
                line.popleft()
                self._hand_over(one, refused)
        del self._lines[place]

    async def _verdicts(self, some: Sequence[_Waiting]) -> list[set[int]]:
        """For each append, which of its records are not to be stored."""
        refused: list[set[int]] = [set() for _ in some]
        asked: dict[tuple[str, str], list[tuple[int, int, Condition]]] = {}
        items: dict[tuple[str, str], list[Any]] = {}
        for at, one in enumerate(some):
            for start, end, forward in one.doubts:
                condition = forward.condition
                if condition is None:
                    continue
                key = (condition.function, condition.app)
                asked.setdefault(key, []).extend((at, number, condition) for number in range(start, end))
                items.setdefault(key, []).extend(
                    condition.item(forward.payload_of(record), record.timestamp)
                    for record in one.append.records[start:end]
                )
        for (function, app), subjects in asked.items():
            results = await self._ask(function, app, items[function, app], {one.rule for _, _, one in subjects})
            for (at, number, condition), result in zip(subjects, results, strict=True):
                if not self._takes(condition, result):
                    refused[at].add(number)
        return refused

    async def _ask(self, function: str, app: str, items: Sequence[Any], rules: set[str]) -> list[Any]:
        """What a function answers; where it cannot be called, it is tried again."""
        assert self._functions is not None  # noqa: S101 - nothing is taken without them
        failures = 0
        told = False

        def hold(reason: str) -> None:
            nonlocal told
            if reason and not told:
                facts = {"function": function, "count": len(items), "reason": reason}
                self._log.warning("Reports wait for a rule's condition", **facts)
            told = bool(reason)
            self._hold(rules, reason)

        while True:
            try:
                results = await call_each(self._functions, function, items, app, rule_names(rules), waits=hold)
            except FunctionError as error:
                failures += 1
                hold(str(error))
                await trio.sleep(_BACKOFF.delay(failures))
            else:
                if told:
                    hold("")
                return results

    def _takes(self, condition: Condition, result: Any) -> bool:
        known = self._rules.get(condition.rule) or ConditionStatistics()
        takes = condition.take
        if isinstance(result, bool):
            takes = result
        else:
            self._counters.failed_conditions += 1
            reason = result.error.reason if isinstance(result, FunctionFailure) else "it answers neither true nor false"
            last = self._failures.setdefault(condition.rule, Failures()).add(condition.function, reason)
            known = known._replace(failed=known.failed + 1, last_failure=last)
            facts = {"rule": condition.rule, "function": condition.function, "reason": reason[:_REASON_SHOWN]}
            self._log.warning("A rule's condition failed", taken=condition.take, **facts)
        if takes:
            known = known._replace(taken=known.taken + 1)
        else:
            self._counters.dropped_by_condition += 1
            known = known._replace(dropped=known.dropped + 1)
        self._rules[condition.rule] = known
        return takes

    def _hold(self, rules: set[str], reason: str) -> None:
        for rule in rules:
            self._rules[rule] = (self._rules.get(rule) or ConditionStatistics())._replace(holding=reason)

    def _hand_over(self, one: _Waiting, refused: set[int]) -> None:
        append = one.append
        records: Sequence[Record] = append.records
        if refused:
            records = [record for number, record in enumerate(records) if number not in refused]
        if not records:
            append.reply.set(-1)
            return
        size = append.size if not refused else sum(len(key or b"") + len(value or b"") for key, value, _, _ in records)
        try:
            one.partition.submit(Append(records, size, append.reply, append.sender))
        except PenstockError as error:
            append.reply.fail(error)
        else:
            self._counters.records += len(records)


def rule_names(rules: set[str]) -> str:
    """Which rules ask, by the names of a few."""
    first, *others = sorted(rules)[:_RULES_NAMED]
    named = ", ".join((f"rule {first}", *others))
    return named if len(rules) <= _RULES_NAMED else f"{named} and {len(rules) - _RULES_NAMED} more"


def _some(line: deque[_Waiting]) -> list[_Waiting]:
    """As much of what waits as one call takes; one append at least."""
    some: list[_Waiting] = []
    count = 0
    for one in line:
        count += len(one.append.records)
        if some and count > _REPORTS_A_CALL:
            break
        some.append(one)
    return some
