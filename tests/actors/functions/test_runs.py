"""The history of a function: what is remembered of its runs, and what is to be stored."""

from __future__ import annotations

from actors.functions.runs import LogLine, Run, RunChanges, RunHistory


def run(number: int, *, failed: bool = False, text: str = "") -> Run:
    outcome, lines = "failed" if failed else "done", (LogLine(0.1, text),) if text else ()
    return Run(number, 1000, 1, "a", "", 1, int(failed), 0.0, 0.1, outcome, "", 0, lines, 0)  # type: ignore[arg-type]


def history(kept: int = 3, kept_bytes: int = 1000) -> RunHistory:
    return RunHistory(kept, kept_bytes)


def called(one: RunHistory, calls: str, text: str = "") -> None:
    """A dot is a call that brought a result, anything else one that failed."""
    for call in calls:
        one.add(run(one.next_number(), failed=call != ".", text=text))


def numbers(changes: RunChanges | None) -> tuple[list[int], set[int]]:
    return ([], set()) if changes is None else ([one.number for one in changes.new], set(changes.gone))


def take(one: RunHistory, most: int = 100, most_bytes: int = 1_000_000) -> tuple[list[int], set[int]]:
    return numbers(one.take_changes(most, most_bytes))


def test_what_is_new_is_stored_once_and_what_is_forgotten_is_deleted() -> None:
    """The newest first; a run that failed stays stored for as long as it is among the last that failed."""
    one = history()
    assert one.take_changes(100, 100) is None
    called(one, "x..")
    assert take(one) == ([3, 2, 1], set())
    assert one.take_changes(100, 100) is None
    called(one, "..")
    assert take(one) == ([5, 4], {2})
    called(one, "xxx")
    assert take(one) == ([8, 7, 6], {1, 3, 4, 5})
    assert one.unstored == 0


def test_what_is_forgotten_before_it_was_stored_never_is() -> None:
    """However many calls there are between two writes, what is to be written is bounded; the rest is counted."""
    one = history()
    called(one, "." * 1000)
    assert take(one) == ([1000, 999, 998], set())
    assert one.unstored == 997


def test_a_round_takes_so_many_and_the_next_the_rest() -> None:
    """So many runs, and so many bytes of logs; one run goes always."""
    one = history(10)
    called(one, "." * 5, text="x" * 40)
    assert take(one, most=2) == ([5, 4], set())
    assert take(one, most_bytes=1) == ([3], set())
    assert take(one, most_bytes=200) == ([2, 1], set())


def test_what_was_not_stored_is_taken_again() -> None:
    """With the newest first all the same; what was forgotten meanwhile is neither stored nor deleted."""
    one = history()
    called(one, "...")
    assert take(one) == ([3, 2, 1], set())
    called(one, ".")
    changes = one.take_changes(100, 100)
    assert changes is not None
    assert numbers(changes) == ([4], {1})
    called(one, ".")
    one.put_back(changes)
    assert take(one) == ([5, 4], {1, 2})
    called(one, "..")
    changes = one.take_changes(100, 100)
    assert changes is not None
    assert numbers(changes) == ([7, 6], {3, 4})
    called(one, "...")
    one.put_back(changes)
    assert take(one) == ([10, 9, 8], {3, 4, 5})
    assert one.unstored == 2


def test_stored_runs_are_remembered_and_numbers_go_on() -> None:
    """What is stored is not written again; where less is to be kept than is stored, the rest is deleted."""
    one = history()
    one.restore([run(3, failed=True), run(7), run(8), run(9), run(10)])
    assert [each.number for each in one.runs()] == [10, 9, 8]
    assert [each.number for each in one.runs(failed=True)] == [3]
    assert (one.calls, one.next_number()) == (0, 11)
    assert take(one) == ([], {7})


def test_logs_are_bounded_together_but_the_last_run_is_kept() -> None:
    """The oldest go; a run that logged more than all may is the only one."""
    one = history(10, kept_bytes=300)
    called(one, "." * 5, text="x" * 68)
    assert [each.number for each in one.runs()] == [5, 4, 3]
    called(one, "x", text="x" * 1000)
    assert [each.number for each in one.runs()] == [6]
    called(one, ".")
    assert [each.number for each in one.runs()] == [7]
    assert [each.number for each in one.runs(failed=True)] == [6]
