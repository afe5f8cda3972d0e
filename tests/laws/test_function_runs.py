"""Laws of the runs of functions that are stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.functions.runs import LogLine, Run, RunChanges, RunHistory

STEPS = st.lists(st.sampled_from(["call", "failure", "long", "take", "stored", "not stored", "restart"]), max_size=60)


def run(number: int, step: str) -> Run:
    outcome, lines = "failed" if step == "failure" else "done", (LogLine(0.0, "x" * 200),) if step == "long" else ()
    return Run(number, 0, 1, "a", "", 1, int(step == "failure"), 0.0, 0.0, outcome, "", 0, lines, 0)  # type: ignore[arg-type]


class Stored:
    """A history, and what a store has of it; one write at a time may be under way."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.history = RunHistory(kept, 500)
        self.rows: dict[int, Run] = {}
        self.ever: set[int] = set()
        self.taken: RunChanges | None = None
        self.last = 0

    def step(self, step: str, most: int) -> None:
        match step:
            case "take":
                self.taken = self.taken or self.history.take_changes(most, 300)
            case "stored":
                self.write()
            case "not stored" if self.taken is not None:
                self.history.put_back(self.taken)
                self.taken = None
            case "call" | "failure" | "long":
                number = self.history.next_number()
                assert number > self.last
                self.last = number
                self.history.add(run(number, step))
            case "restart":
                self.drain()
                self.history = RunHistory(self.kept, 500)
                self.history.restore(self.rows[number] for number in sorted(self.rows))
                self.ever = set()

    def write(self) -> None:
        if self.taken is not None:
            self.rows |= {one.number: one for one in self.taken.new}
            self.ever |= {one.number for one in self.taken.new}
            for number in self.taken.gone:
                self.rows.pop(number, None)
        self.taken = None

    def drain(self) -> None:
        self.write()
        while (taken := self.history.take_changes(2, 300)) is not None:
            self.taken = taken
            self.write()

    def remembered(self) -> set[int]:
        return {one.number for one in (*self.history.runs(), *self.history.runs(failed=True))}


@given(STEPS, st.integers(1, 4), st.integers(1, 5))
def test_what_is_stored_is_what_is_remembered(steps: list[str], kept: int, most: int) -> None:
    """However writes fail and calls go on: once all is written, neither more nor less is stored, and each run counts.

    Numbers grow over restarts, and no run is stored without being remembered for longer than one write takes.
    """
    stored = Stored(kept)
    for step in steps:
        stored.step(step, most)
        assert len(stored.rows) <= 4 * kept
    stored.drain()
    assert set(stored.rows) == stored.remembered()
    assert stored.history.calls == len(stored.ever) + stored.history.unstored
    assert all(stored.history.run(number) == one for number, one in stored.rows.items())
