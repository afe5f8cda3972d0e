"""What a line is held to."""

import json
import math

import pytest

from scripts.benchmarks.report import Line, show


def test_a_floor_is_a_ratio_of_medians() -> None:
    """One run that was disturbed decides nothing."""
    line = Line("mine", "requests/s", [10.0, 100.0, 110.0], floors={"peer": 2.0})
    assert line.against({"peer": [50.0, 49.0, 1.0]}).met
    assert not line.against({"peer": [50.0, 51.0, 52.0]}).met


def test_a_ceiling_is_a_ratio_that_is_not_passed() -> None:
    """Twice as long is met, more is not."""
    line = Line("while changing", "ms", [4.0], ceilings={"at peace": 2.0})
    assert line.against({"at peace": [2.0]}).met
    assert not line.against({"at peace": [1.9]}).met


def test_a_bound_is_of_the_figure_itself() -> None:
    """As high as it may be is met."""
    assert Line("p99", "ms", [25.0], most=25.0).met
    assert not Line("p99", "ms", [25.1], most=25.0).met


def test_a_peer_that_was_not_measured_bounds_nothing() -> None:
    """What is not installed is left out, and no reason to fail."""
    line = Line("mine", "requests/s", [1.0], floors={"absent": 8.0}, ceilings={"absent": 1.0})
    assert line.against({"absent": []}).met
    assert not line.bound


def test_a_peer_that_did_nothing_meets_no_ceiling() -> None:
    """A figure of 0 is nothing that can be compared with."""
    line = Line("while changing", "ms", [4.0], ceilings={"at peace": 2.0}).against({"at peace": [0.0]})
    assert math.isnan(line.ratios["at peace"])
    assert not line.met


def test_a_line_that_is_reported_is_always_met() -> None:
    """Where a machine cannot be judged by it."""
    assert Line("mine", "ms", [99.0], most=1.0, judged=False).met


@pytest.mark.parametrize(("figure", "code"), [(24.0, 0), (26.0, 1)])
def test_the_table_says_what_is_not_met(capsys: pytest.CaptureFixture[str], figure: float, code: int) -> None:
    """By the exit code, and in the line that it is about."""
    assert show("gateway", {"runs": 1}, [Line("p99", "ms", [figure], most=25.0)], as_json=False) == code
    printed = capsys.readouterr().out
    assert "(at most 25)" in printed
    assert ("NOT MET" in printed) == bool(code)


def test_json_has_all_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """With what the line is held to, and whether it is met."""
    show("gateway", {}, [Line("a", "ms", [1.0, 3.0], most=1.5)], as_json=True)
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert (line["runs"], line["median"], line["most"], line["met"]) == ([1.0, 3.0], 2.0, 1.5, False)
