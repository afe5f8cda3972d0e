"""Laws of the window of numbered producers, under any interleaving of calls, failures, restarts and other producers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from actors.records import StoredRecord, TopicPartition
from actors.topic_gateway.dedup import Numbered, Place, Window, parse

PARTITIONS = 3
# Of the topic itself, and of the one that it diverts to.
AT = [TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("ditch", 0)]
PRODUCERS = st.sampled_from(["app/p", "app/q", "other/p"])


class Producers(RuleBasedStateMachine):
    """Calls over a log in memory: each claims its numbers, then is stored, fails, or dies with the daemon."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        # Longer than anything these runs append: what is within the window must never come twice.
        self.window = Window(10_000)
        self.log: list[list[Numbered | None]] = [[] for _ in range(PARTITIONS)]
        self.answered: dict[Numbered, Place] = {}
        self.life = 0

    @rule(target=claims, producer=PRODUCERS, first=st.integers(0, 12), count=st.integers(1, 8))
    def send(self, producer: str, first: int, count: int) -> tuple[int, str, list[int]]:
        """A call comes: what is known is answered at once with the place that was answered before."""
        known = self.window.admit(producer, range(first, first + count))
        assert sorted([*known.stored, *known.under_way, *known.new]) == list(range(first, first + count))
        for sequence, place in known.stored.items():
            assert self.log[AT.index(place.partition)][place.offset] == (producer, sequence)
            assert self.answered.setdefault(Numbered(producer, sequence), place) == place
        return self.life, producer, known.new

    @rule(claim=consumes(claims), partition=st.integers(0, PARTITIONS - 1), answered=st.booleans())
    def store(self, claim: tuple[int, str, list[int]], partition: int, answered: bool) -> None:  # noqa: FBT001 - drawn
        """The append of a call is on disk; the daemon may die before it answers."""
        life, producer, sequences = claim
        if life != self.life or not sequences:
            return
        offset = len(self.log[partition])
        self.log[partition] += [Numbered(producer, sequence) for sequence in sequences]
        if answered:
            self.window.stored(producer, sequences, AT[partition], offset)
            for position, sequence in enumerate(sequences, offset):
                self.answered[Numbered(producer, sequence)] = Place(AT[partition], position)
        else:
            self.restart()

    @rule(claim=consumes(claims))
    def fail(self, claim: tuple[int, str, list[int]]) -> None:
        """The append of a call was refused."""
        life, producer, sequences = claim
        if life == self.life:
            self.window.failed(producer, sequences)

    @rule(partition=st.integers(0, PARTITIONS - 1), count=st.integers(1, 5))
    def others(self, partition: int, count: int) -> None:
        """Records without a number come between."""
        self.log[partition] += [None] * count

    @rule()
    def restart(self) -> None:
        """The daemon starts anew, and reads the window back from the log."""
        self.life += 1
        self.window = Window(10_000)
        for partition, records in enumerate(self.log):
            self.window.read_back(AT[partition], stored(records))

    @invariant()
    def each_number_is_stored_once(self) -> None:
        """Whatever happened, no number of a producer is in the log twice, and what was answered is there."""
        numbers = [one for records in self.log for one in records if one is not None]
        assert len(numbers) == len(set(numbers))
        for numbered, place in self.answered.items():
            assert self.log[AT.index(place.partition)][place.offset] == numbered


def stored(records: list[Numbered | None], start: int = 0) -> list[StoredRecord]:
    return [
        StoredRecord(None, b"1", 0, (("x", b"y"), one.header()) if one is not None else (), offset)
        for offset, one in enumerate(records[start:], start)
    ]


def test_each_number_is_stored_once() -> None:
    """Any interleaving of calls, retries, failures and restarts."""
    run_state_machine_as_test(Producers, settings=settings(max_examples=80, stateful_step_count=40, deadline=None))  # type: ignore[no-untyped-call]


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, PARTITIONS - 1), PRODUCERS, st.integers(1, 6), st.integers(0, 5)), max_size=30),
)
def test_the_window_is_a_function_of_the_log(size: int, appends: list[tuple[int, str, int, int]]) -> None:
    """What it remembers while it runs, as far as it reaches, is what it reads back from the tails of the partitions."""
    window, log, numbers = (
        Window(size),
        [[] for _ in range(PARTITIONS)],
        dict.fromkeys(("app/p", "app/q", "other/p"), 0),
    )
    for partition, producer, count, between in appends:
        records: list[Numbered | None] = log[partition]
        sequences = list(range(numbers[producer], numbers[producer] + count))
        numbers[producer] += count
        assert window.admit(producer, sequences).new == sequences
        window.stored(producer, sequences, AT[partition], len(records))
        records += [Numbered(producer, sequence) for sequence in sequences]
        records += [None] * between
    again = Window(size)
    for partition, records in enumerate(log):
        again.read_back(AT[partition], stored(records, max(0, len(records) - size)))
        window.advance(AT[partition], len(records))
    for producer, end in numbers.items():
        found, expected = window.admit(producer, range(end)).stored, again.admit(producer, range(end)).stored
        assert found == expected
    assert len(window) == len(again) <= size * PARTITIONS


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.integers(0, 2**63 - 1))
def test_the_header_is_read_as_it_was_written(producer: str, sequence: int) -> None:
    """Whatever the producer is called, also with slashes in it."""
    numbered = Numbered(producer, sequence)
    assert parse(numbered.header()[1]) == numbered


@given(st.one_of(st.none(), st.binary(max_size=20)))
def test_a_header_of_others_is_left_alone(value: bytes | None) -> None:
    """Records may come from anywhere: what is no number is none, and nothing breaks."""
    numbered = parse(value)
    assert numbered is None or numbered.sequence >= 0
